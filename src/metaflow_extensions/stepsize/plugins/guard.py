"""Keeps what goes wrong in a hook of ours away from the user's flow, and nothing else.

What comes in: a hook. What goes out: one that lets nothing out but what a signal handler of the program's raised while
it ran: the alarm of Metaflow's ``@timeout``, say. Imports where ``stepsize`` cannot be imported.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Hook = TypeVar("Hook", bound="Callable[..., None]")


def never_raises(hook: Hook) -> Hook:
    """``hook``, which Metaflow calls, without its exceptions: the flow comes first, whatever is wrong with ours.

    What a signal handler raises meanwhile is the flow's own, and goes on to it.
    """

    @functools.wraps(hook)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            hook(*args, **kwargs)
        except Exception as error:
            if _is_the_flows(error):
                raise

    return guarded  # type: ignore[return-value]  # the wrapper has the hook's own signature


def _is_the_flows(error: Exception) -> bool:
    try:
        from stepsize.instrumentation.quiet import came_by_signal  # noqa: PLC0415 - absent in isolated interpreters
    except Exception:  # noqa: BLE001 - nor is what this Python cannot read: then the hook had next to nothing to do
        return False
    return came_by_signal(error)
