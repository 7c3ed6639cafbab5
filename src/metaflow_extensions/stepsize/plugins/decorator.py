"""``@stepsize``: a thin adapter from Metaflow's hooks to the client.

What comes in: Metaflow's calls. What goes out: one registration at the start of each attempt and its outcome at the
end. Never raises, prints nothing but the launcher's notes, waits only where the host ends with the task, and imports
where ``stepsize`` cannot be imported (a Python that is too old for it): such a step runs untracked. What the hooks do
is in the modules beside this one, and each imports what it needs: every ``import metaflow`` on the machine imports this
module.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from metaflow.decorators import StepDecorator

from metaflow_extensions.stepsize.plugins.guard import never_raises

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.card.start import CardWriter
    from stepsize.identity import Identity
    from stepsize.instrumentation.client import Registration


class StepsizeDecorator(StepDecorator):  # type: ignore[misc]  # Metaflow has no types
    """Tracks what each attempt of the step's tasks really uses.

    Parameters
    ----------
    interval : float, optional, default None
        Seconds between samples; ``STEPSIZE_INTERVAL``, or 1, where it is not given.
    card : bool, optional, default None
        Whether the task gets a card; ``STEPSIZE_CARD``, or not, where it is not given.
    refresh_interval : float, optional, default None
        Seconds between two states of the card, at least; ``STEPSIZE_CARD_REFRESH``, or 5, where it is not given.
    """

    name = "stepsize"
    defaults: ClassVar[dict[str, Any]] = {"interval": None, "card": None, "refresh_interval": None}

    identity: Identity | None = None
    """The attempt that this process is, once its step is about to begin."""
    _registration: Registration | None = None
    _card: CardWriter | None = None
    _flow_datastore: Any = None
    _decorators: Sequence[Any] = ()
    _failed = False

    @never_raises
    def step_init(
        self, _flow: Any, _graph: Any, _step: str, decorators: Any, _environment: Any, flow_datastore: Any, *_: Any
    ) -> None:
        """Remember the step's decorators: they hold what it asks for. A remote step is given our settings."""
        self._decorators, self._flow_datastore = decorators, flow_datastore
        from metaflow_extensions.stepsize.plugins.request import is_remote  # noqa: PLC0415 - see above

        if is_remote(decorators, sys.argv):  # else a task has no use for what does it
            from metaflow_extensions.stepsize.plugins.remote import give_settings  # noqa: PLC0415 - see above

            give_settings(decorators, os.environ, sys.argv)

    @never_raises
    def package_init(self, flow: Any, _step: str, _environment: Any) -> None:
        """In the launcher, of runs and of deployments: say what cannot work."""
        from metaflow.cli import echo_always  # noqa: PLC0415 - see above

        from metaflow_extensions.stepsize.plugins.notes import launch_notes  # noqa: PLC0415 - see above
        from metaflow_extensions.stepsize.plugins.remote import give_settings  # noqa: PLC0415 - see above

        tracked = {step.__name__: step.decorators for step in flow if _trackers(step.decorators)}
        first = next(iter(tracked.values()), ())
        if self is leader(first):  # of all those in the flow: the flow is told once
            for decorators in tracked.values():  # once more: a deployment may have attached others since
                give_settings(decorators, os.environ, sys.argv)
            for line in launch_notes(tracked, os.environ, sys.argv):
                echo_always(line)

    def add_to_package(self) -> Sequence[tuple[str, str]]:
        """In the launcher: the part of ``stepsize`` that interpreters without it need."""
        with suppress(Exception):  # a flow without our files is better than none
            from metaflow_extensions.stepsize.plugins.shipped import package_files  # noqa: PLC0415 - see above

            return list(package_files())
        return ()

    @never_raises
    def runtime_init(self, flow: Any, *_: Any) -> None:
        """In the launcher of a run: have the agent up before the first task on this machine needs it."""
        from metaflow_extensions.stepsize.plugins.request import REMOTE  # noqa: PLC0415 - see above
        from stepsize.instrumentation.client import start_agent  # noqa: PLC0415 - see above

        local = (step.decorators for step in flow if not any(one.name in REMOTE for one in step.decorators))
        if self is next((first for first in map(leader, local) if first), None):
            start_agent(self.settings())

    @never_raises
    def runtime_step_cli(self, cli_args: Any, *_: Any) -> None:
        """In the launcher of a run: tell a task with an interpreter of its own which one has all of ``stepsize``."""
        from stepsize.interpreter import handed_on  # noqa: PLC0415 - see above

        cli_args.env.update(handed_on(os.environ))

    @never_raises
    def task_pre_step(
        self,
        step_name: str,
        _task_datastore: Any,
        metadata: Any,
        run_id: Any,
        task_id: Any,
        flow: Any,
        _graph: Any,
        retry_count: int,
        max_user_code_retries: int,
        *_: Any,
    ) -> None:
        """In the task: say which attempt this process is."""
        from metaflow_extensions.stepsize.plugins.attempt import describe  # noqa: PLC0415 - see above
        from stepsize.instrumentation.client import register  # noqa: PLC0415 - see above

        # Beyond the retries of the step's own code there is `@catch`'s stand-in for it, which uses nothing.
        if self is not leader(self._decorators) or retry_count > max_user_code_retries:
            return
        self._failed = False
        self.identity = describe(flow, str(run_id), step_name, str(task_id), retry_count, self._decorators)
        settings = self.settings()
        if settings.card:
            self._order_card(self.identity, settings, metadata)  # first: its start is no part of the attempt
        self._registration = register(self.identity, settings)

    def task_decorate(self, step_func: Any, *_: Any) -> Any:
        """In the task, when every decorator is ready and the step about to begin: it is left as it is."""
        self._say_what_it_continues()
        return step_func

    @never_raises
    def task_exception(self, *_: Any) -> None:
        """Remember that the step raised: ``@catch`` makes such a task a success in Metaflow's eyes."""
        self._failed = True

    @never_raises
    def task_finished(self, _step: str, _flow: Any, _graph: Any, is_task_ok: bool, *_: Any) -> None:
        """In the task: the last word and the last readings."""
        from stepsize.identity import Outcome  # noqa: PLC0415 - see above

        if self._registration is not None:
            self._registration.end(Outcome.OK if is_task_ok and not self._failed else Outcome.FAILED)
        if self._card is not None:
            self._card.wait()

    def settings(self) -> Any:
        """This step's settings.

        Raises:
            ConfigError: one of them is wrong; the launcher has said so.
        """
        from stepsize.settings import Settings  # noqa: PLC0415 - see above

        return Settings.load(
            interval_s=self._said("interval"),
            card=self._said("card", "create_card"),
            card_refresh_s=self._said("refresh_interval"),
        )

    def _said(self, *names: str) -> str | None:
        """What the first of the step's tracking decorators that says anything says under one of these names."""
        said = (tracker.attributes.get(name) for tracker in _trackers(self._decorators) for name in names)
        return next((str(value) for value in said if value is not None), None)

    @never_raises
    def _order_card(self, identity: Identity, settings: Any, metadata: Any) -> None:
        """An attempt without a card is better than none."""
        from metaflow_extensions.stepsize.plugins.card import order_card  # noqa: PLC0415 - see above

        self._card = order_card(identity, settings, self._flow_datastore, metadata)

    @never_raises
    def _say_what_it_continues(self) -> None:
        from metaflow import current  # noqa: PLC0415 - see above

        if current.get("checkpoint") is None:
            return
        from metaflow_extensions.stepsize.plugins.checkpoint import resumed_from  # noqa: PLC0415 - see above

        continued = resumed_from(current)
        if continued and self._registration is not None:
            self._registration.annotate(resumed_from=continued)


def _trackers(decorators: Sequence[Any]) -> list[StepsizeDecorator]:
    return [decorator for decorator in decorators if isinstance(decorator, StepsizeDecorator)]


def leader(decorators: Sequence[Any]) -> StepsizeDecorator | None:
    """The one of a step's tracking decorators that registers its attempts: two would count them twice."""
    return next(iter(_trackers(decorators)), None)
