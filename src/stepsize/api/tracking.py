"""``stepsize.track``: tracks a block, or every call of a function.

What comes in: names, as far as the user gives any, and a block or a function. What goes out: a `Tracked` for each time
that it runs. What the block or function returns and raises is untouched.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import signal
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from stepsize.api import current
from stepsize.api.tracked import Tracked
from stepsize.errors import ConfigError, UsageError
from stepsize.instrumentation import registered
from stepsize.instrumentation.identity import of_settings
from stepsize.model import Identity, Outcome, Request
from stepsize.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator
    from types import TracebackType

Function = TypeVar("Function", bound="Callable[..., Any]")

_UNNAMED_STEP = "run"
"""What `of_settings` calls the step of a program that nobody named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class What:
    """What is to be tracked, as the user said it; see `track`."""

    flow: str | None
    run: str | None
    step: str | None
    task: str | None
    attempt: int
    request: Request | None
    interval_s: float | None
    pid: int | None
    children: bool
    system_only: bool


class Track:
    """Tracks the block that it is entered for (``with`` or ``async with``), and each call of a function that it wraps.

    What it gives is a `Tracked`. One may be used again, by several threads and tasks at once too.
    """

    def __init__(self, what: What) -> None:
        self._what = what
        self._open: list[Tracked] = []

    def start(self) -> Tracked:
        """Begin without a block: for notebooks, and wherever `Tracked.end` is called by hand. Never raises."""
        return _begin(self._what, None)

    def __enter__(self) -> Tracked:
        tracked = self.start()
        current.enter(tracked)
        self._open.append(tracked)
        return tracked

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        # Of those that were entered through this one, the one of this thread and task.
        tracked = next((each for each in current.entered() if each in self._open), self._open[-1])
        self._open.remove(tracked)
        current.leave(tracked)
        _end(tracked, error)

    async def __aenter__(self) -> Tracked:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def __call__(self, function: Function) -> Function:
        """``function``, each call of it tracked from its beginning to its end, also where it is async or yields.

        Its attribute ``latest`` is the handle of the call that began last.
        """
        if inspect.isasyncgenfunction(function):
            wrapper = self._async_generator(function)
        elif inspect.iscoroutinefunction(function):
            wrapper = self._coroutine(function)
        elif inspect.isgeneratorfunction(function):
            wrapper = self._generator(function)
        else:
            wrapper = self._function(function)
        functools.update_wrapper(wrapper, function)
        wrapper.latest = None  # type: ignore[attr-defined]  # functions take attributes
        return wrapper  # type: ignore[return-value]  # it has the function's own signature

    def _function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def tracked_function(*args: Any, **kwargs: Any) -> Any:
            with self._call(function, tracked_function):
                return function(*args, **kwargs)

        return tracked_function

    def _coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def tracked_function(*args: Any, **kwargs: Any) -> Any:
            with self._call(function, tracked_function):
                return await function(*args, **kwargs)

        return tracked_function

    def _generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def tracked_function(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            # Not entered: between two values it is whoever asks for them that runs.
            with self._call(function, tracked_function, entered=False):
                return (yield from function(*args, **kwargs))

        return tracked_function

    def _async_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def tracked_function(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            with self._call(function, tracked_function, entered=False):
                async with contextlib.aclosing(function(*args, **kwargs)) as values:
                    async for value in values:
                        yield value

        return tracked_function

    @contextlib.contextmanager
    def _call(self, function: Callable[..., Any], wrapper: Any, *, entered: bool = True) -> Iterator[None]:
        tracked = wrapper.latest = _begin(self._what, getattr(function, "__name__", None))
        if entered:
            current.enter(tracked)
        try:
            yield
        except BaseException as error:
            _end(tracked, error)
            raise
        else:
            _end(tracked, None)
        finally:
            current.leave(tracked)


@overload
def track(function: Function, /) -> Function: ...


@overload
def track(
    *,
    flow: str | None = ...,
    run: str | None = ...,
    step: str | None = ...,
    task: str | None = ...,
    attempt: int = ...,
    request: Request | None = ...,
    interval_s: float | None = ...,
    pid: int | None = ...,
    children: bool = ...,
    system_only: bool = ...,
) -> Track: ...


def track(
    function: Callable[..., Any] | None = None,
    /,
    *,
    flow: str | None = None,
    run: str | None = None,
    step: str | None = None,
    task: str | None = None,
    attempt: int = 0,
    request: Request | None = None,
    interval_s: float | None = None,
    pid: int | None = None,
    children: bool = True,
    system_only: bool = False,
) -> Any:
    """Track a block (``with stepsize.track(step="train") as task:``) or every call of a function (``@stepsize.track``).

    What is tracked is the whole process with whatever it starts: blocks that overlap in one process each count all of
    it. Tracking never raises into the block or function; `Tracked.problem` says where there is nothing to see.

    Args:
        function: where it decorates without arguments.
        flow, run, step: names. Left out, flow and run are those of the attempt around (a Metaflow step, another
            ``track``, the ``stepsize run`` of this program), else what the environment says (``STEPSIZE_FLOW`` and so
            on, an orchestrator's variables), else the program's name and the time of its first attempt. A step left out
            is the function's name, else what the environment says, else the script's name.
        task: left out, a name of its own for each block and call.
        attempt: from 0.
        request: what it was given, if that is known, so that advice can say what to change.
        interval_s: seconds between samples; ``STEPSIZE_INTERVAL``, or 1.
        pid: another process of this user than this one.
        children: whether what the process starts counts too.
        system_only: look at the host alone; nothing is then sent to a collector.

    Raises:
        UsageError: an interval that is none, or a process that does not go with ``system_only``.
    """
    try:
        is_interval = interval_s is None or interval_s > 0
    except TypeError:
        is_interval = False
    if not is_interval:
        raise UsageError(f"interval_s={interval_s!r}: give seconds above 0")
    if system_only and pid is not None:
        raise UsageError("system_only looks at no process: leave pid out")
    what = What(
        flow=flow,
        run=run,
        step=step,
        task=task,
        attempt=attempt,
        request=request,
        interval_s=interval_s,
        pid=pid,
        children=children,
        system_only=system_only,
    )
    found = Track(what)
    return found if function is None else found(function)


def _begin(what: What, name: str | None) -> Tracked:
    """A handle that has begun; where the settings are wrong, it says so."""
    problem = None
    try:
        settings = Settings.load(interval_s=what.interval_s)
    except ConfigError as error:
        settings, problem = Settings(sdk_disabled=True), str(error)
    identity = _identity(what, name)
    tracked = Tracked(identity, settings, pid=what.pid, children=what.children, system_only=what.system_only)
    return tracked.start(problem)


def _end(tracked: Tracked, error: BaseException | None) -> None:
    """End by what the block or function came to.

    Who is interrupted or cancelled was stopped from outside, which says nothing of what the code needs to end well.
    """
    asyncio = sys.modules.get("asyncio")
    if isinstance(error, KeyboardInterrupt):
        tracked.end(Outcome.KILLED, signal.SIGINT)
    elif asyncio is not None and isinstance(error, asyncio.CancelledError):
        tracked.end(Outcome.KILLED)
    elif error is None or isinstance(error, GeneratorExit) or (isinstance(error, SystemExit) and not error.code):
        tracked.end(Outcome.OK)
    else:
        tracked.end(Outcome.FAILED)


def _identity(what: What, name: str | None) -> Identity:
    """Who it is: what the user says, then what it is a part of, then the function's and the program's names."""
    around = current.registration() or registered.oldest()
    program = _program(os.getpid())
    base = program if around is None else around.identity
    step = None if program.step == _UNNAMED_STEP else program.step
    return base._replace(
        flow=what.flow or base.flow,
        run=what.run or base.run,
        step=what.step or name or step or Path(program.flow).stem,
        task=what.task or f"{time.time_ns() // 1000}-{uuid.uuid4().hex[:4]}",
        attempt=what.attempt,
        item=None,
        request=what.request or Request(),
        annotations={},
    )


@functools.cache
def _program(pid: int) -> Identity:  # noqa: ARG001 - a fork is a program of its own
    """Who this program is, told once: its run is the time of its first attempt."""
    try:
        return of_settings(sys.orig_argv, os.environ, Settings.load())
    except Exception:  # noqa: BLE001 - the user's program goes on whatever happens
        return Identity("program", str(time.time_ns() // 1000), _UNNAMED_STEP, "0")
