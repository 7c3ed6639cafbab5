"""``@stepsize``: a thin adapter from Metaflow's hooks to the client.

What comes in: Metaflow's calls. What goes out: one registration at the start of each attempt and its outcome at the
end. Never raises, prints or waits, and imports where the ``stepsize`` package is not there (the interpreter of a
``@pypi`` step): such a step runs untracked.
"""

from __future__ import annotations

import functools
import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from metaflow import current
from metaflow.decorators import StepDecorator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stepsize.instrumentation.client import Registration
    from stepsize.model import Identity, Request

_Hook = TypeVar("_Hook", bound="Callable[..., None]")
_REMOTE = {"kubernetes": 10**6, "batch": 2**20}
"""Compute decorators and what each takes for a MB."""
_LOCAL_MB = 10**6
_DEPLOYED = ("ARGO_WORKFLOW_NAME", "METAFLOW_SFN_STATE_MACHINE", "METAFLOW_AIRFLOW_JOB_ID")


def _never_raises(hook: _Hook) -> _Hook:
    @functools.wraps(hook)
    def guarded(*args: Any, **kwargs: Any) -> None:
        with suppress(Exception):  # the user's flow comes first, whatever is wrong with ours
            hook(*args, **kwargs)

    return guarded  # type: ignore[return-value]  # the wrapper has the hook's own signature


class StepsizeDecorator(StepDecorator):  # type: ignore[misc]  # Metaflow ships no types
    """Tracks what each attempt of the step's tasks really uses.

    Parameters
    ----------
    interval : float, optional, default None
        Seconds between samples; ``STEPSIZE_INTERVAL``, or 1, where it is not given.
    """

    name = "stepsize"
    defaults = {"interval": None}  # noqa: RUF012 - the form Metaflow reads

    _registration: Registration | None = None
    _decorators: Iterable[Any] = ()
    _failed = False

    def step_init(self, _flow: Any, _graph: Any, _step: str, decorators: Any, *_: Any) -> None:
        """Remember the step's other decorators: they hold what it asks for."""
        self._decorators = decorators

    @_never_raises
    def runtime_init(self, *_: Any) -> None:
        """In the launcher: have the agent up before the first task needs it."""
        from stepsize.instrumentation.client import start_agent  # noqa: PLC0415 - absent in isolated interpreters

        if not any(decorator.name in _REMOTE for decorator in self._decorators):
            start_agent(self._settings())

    @_never_raises
    def task_pre_step(
        self,
        step_name: str,
        _task_datastore: Any,
        _metadata: Any,
        run_id: Any,
        task_id: Any,
        flow: Any,
        _graph: Any,
        retry_count: int,
        *_: Any,
    ) -> None:
        """In the task: say which attempt this process is."""
        from stepsize.instrumentation.client import register  # noqa: PLC0415 - absent in isolated interpreters

        identity = _identity(flow, str(run_id), step_name, str(task_id), retry_count, self._decorators)
        self._failed = False
        self._registration = register(identity, self._settings())

    @_never_raises
    def task_exception(self, *_: Any) -> None:
        """Remember that the step raised: ``@catch`` makes such a task a success in Metaflow's eyes."""
        self._failed = True

    @_never_raises
    def task_finished(self, _step: str, _flow: Any, _graph: Any, is_task_ok: bool, *_: Any) -> None:
        """In the task: the last word and the last readings."""
        from stepsize.model import Outcome  # noqa: PLC0415 - absent in isolated interpreters

        if self._registration is not None:
            self._registration.end(Outcome.OK if is_task_ok and not self._failed else Outcome.FAILED)

    def _settings(self) -> Any:
        from stepsize.settings import Settings  # noqa: PLC0415 - absent in isolated interpreters

        interval = self.attributes["interval"]
        return Settings.load(interval_s=None if interval is None else float(interval))


def _identity(
    flow: Any, run_id: str, step_name: str, task_id: str, attempt: int, decorators: Iterable[Any]
) -> Identity:
    from stepsize.model import Identity  # noqa: PLC0415 - absent in isolated interpreters

    production = current.get("is_production")
    return Identity(
        flow=flow.name,
        run=run_id,
        step=step_name,
        task=task_id,
        attempt=attempt,
        item=_item(flow),
        project=current.get("project_name"),
        branch=current.get("branch_name") or ("prod" if production else None),
        user=current.get("username"),
        code_version=_code_version(flow),
        run_origin=None if any(name in os.environ for name in _DEPLOYED) else "adhoc",
        request=requested(decorators),
    )


def _item(flow: Any) -> str | None:
    """The foreach items from the outermost to this one, as Metaflow shows them, or None outside a foreach."""
    frames = getattr(flow, "_foreach_stack", None) or ()
    names = [str(frame.index if getattr(frame, "value", None) is None else frame.value) for frame in frames]
    return "/".join(names) or None


def _code_version(flow: Any) -> str | None:
    """The code package's hash where there is one, else the hash of the flow's own file."""
    packaged = os.environ.get("METAFLOW_CODE_SHA")
    if packaged:
        return packaged[:12]
    with suppress(OSError, AttributeError):
        return hashlib.sha256(Path(flow.script_name).read_bytes()).hexdigest()[:12]
    return None


def requested(decorators: Iterable[Any]) -> Request:
    """What the step asks for, as Metaflow merges it.

    ``@kubernetes`` and ``@batch`` hold the merged values by the time a task runs; elsewhere ``@resources`` is the
    request, or Metaflow's defaults. A MB is 10^6 bytes, on Batch 2^20.
    """
    from stepsize.model import (  # noqa: PLC0415 - absent in isolated interpreters
        METAFLOW_DEFAULT_CPU,
        METAFLOW_DEFAULT_MEMORY_MB,
        Request,
    )

    by_name = {decorator.name: decorator.attributes for decorator in decorators}
    target = next((name for name in _REMOTE if name in by_name), "resources")
    megabyte = _REMOTE.get(target, _LOCAL_MB)
    attributes = by_name.get(target, {})

    def number(key: str, default: float | None = None) -> float | None:
        value = attributes.get(key)
        if value is None:
            return default
        with suppress(TypeError, ValueError):
            return float(value)
        return None  # it says something that is no number: not known, which is not the default

    def in_bytes(key: str, default: float | None = None) -> int | None:
        value = number(key, default)
        return None if value is None else round(value * megabyte)

    return Request(
        cpu=number("cpu", METAFLOW_DEFAULT_CPU),
        memory_bytes=in_bytes("memory", METAFLOW_DEFAULT_MEMORY_MB),
        gpu=number("gpu"),
        disk_bytes=in_bytes("disk"),
    )
