"""Keeps what goes wrong with us away from the user's program, and nothing else.

What comes in: an exception that came up while our code ran in the user's program. What goes out: whether it is ours to
swallow. One that the program's own signal handler raised (an alarm that bounds a step, say) came up in our code by
chance: swallowed, the program would wait for ever. Never prints. Standard library only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import CodeType, TracebackType


class quietly:  # noqa: N801 - as `contextlib.suppress` is one
    """Swallow every `Exception` of the block but those that a signal handler of the program's raised."""

    def __enter__(self) -> None:
        """Nothing."""

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        """Whether it is swallowed."""
        return isinstance(error, Exception) and not came_by_signal(error)


def came_by_signal(error: BaseException) -> bool:
    """Whether a signal handler that is installed now raised it, or what it called did."""
    import signal  # noqa: PLC0415 - only where something went wrong

    handlers = {_code(signal.getsignal(number)) for number in signal.valid_signals()} - {None}
    here = error.__traceback__
    while here is not None:
        if here.tb_frame.f_code in handlers:
            return True
        here = here.tb_next
    return False


def _code(handler: Any) -> CodeType | None:
    """A handler's code; ``None`` for those that are not written in Python."""
    if not callable(handler):
        return None
    function = getattr(handler, "__func__", handler)  # of a method
    if not hasattr(function, "__code__"):
        function = type(handler).__call__
    code: CodeType | None = getattr(function, "__code__", None)
    return code
