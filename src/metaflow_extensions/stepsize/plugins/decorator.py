"""``@stepsize``: a thin adapter from Metaflow's hooks to the client.

What comes in: Metaflow's calls. What goes out: one registration at the start of each attempt and its outcome at the
end. Never raises, prints or waits, and imports where the ``stepsize`` package is not there (the interpreter of a
``@pypi`` step): such a step runs untracked. What the hooks do is in the modules beside this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metaflow.decorators import StepDecorator

from metaflow_extensions.stepsize.plugins.attempt import describe
from metaflow_extensions.stepsize.plugins.guard import never_raises
from metaflow_extensions.stepsize.plugins.request import REMOTE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepsize.instrumentation.client import Registration


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

    @never_raises
    def runtime_init(self, *_: Any) -> None:
        """In the launcher: have the agent up before the first task needs it."""
        from stepsize.instrumentation.client import start_agent  # noqa: PLC0415 - absent in isolated interpreters

        if not any(decorator.name in REMOTE for decorator in self._decorators):
            start_agent(self._settings())

    @never_raises
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

        identity = describe(flow, str(run_id), step_name, str(task_id), retry_count, self._decorators)
        self._failed = False
        self._registration = register(identity, self._settings())

    @never_raises
    def task_exception(self, *_: Any) -> None:
        """Remember that the step raised: ``@catch`` makes such a task a success in Metaflow's eyes."""
        self._failed = True

    @never_raises
    def task_finished(self, _step: str, _flow: Any, _graph: Any, is_task_ok: bool, *_: Any) -> None:
        """In the task: the last word and the last readings."""
        from stepsize.model import Outcome  # noqa: PLC0415 - absent in isolated interpreters

        if self._registration is not None:
            self._registration.end(Outcome.OK if is_task_ok and not self._failed else Outcome.FAILED)

    def _settings(self) -> Any:
        from stepsize.settings import Settings  # noqa: PLC0415 - absent in isolated interpreters

        interval = self.attributes["interval"]
        return Settings.load(interval_s=None if interval is None else float(interval))
