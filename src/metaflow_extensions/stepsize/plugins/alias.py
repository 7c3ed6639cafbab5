"""``@track_resources``: resource-tracker's decorator, done by ours.

What comes in: Metaflow's calls and resource-tracker's three options. What goes out: the same as from ``@stepsize``, and
an artifact where its name is given. Metaflow is told of it only where resource-tracker itself is not installed, whose
name it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from metaflow_extensions.stepsize.plugins.decorator import StepsizeDecorator, leader
from metaflow_extensions.stepsize.plugins.guard import never_raises

if TYPE_CHECKING:
    from metaflow_extensions.stepsize.plugins.artifact import Beginning


class TrackResourcesDecorator(StepsizeDecorator):
    """Tracks what each attempt of the step's tasks really uses, under resource-tracker's name.

    Parameters
    ----------
    interval : float, optional, default None
        Seconds between samples; ``STEPSIZE_INTERVAL``, or 1, where it is not given.
    artifact_name : str, optional, default None
        Artifact that holds what the attempt used as a dict of numbers; none where it is not given.
        ``merge_artifacts`` leaves it out.
    create_card : bool, default True
        Whether the task gets a card.
    """

    name = "track_resources"
    defaults: ClassVar[dict[str, Any]] = {"interval": None, "artifact_name": None, "create_card": True}

    _beginning: Beginning | None = None

    @never_raises
    def step_init(self, *arguments: Any) -> None:
        """In every process: have `merge_artifacts` leave our artifact out."""
        super().step_init(*arguments)
        if self._artifact:
            from metaflow_extensions.stepsize.plugins.artifact import keep_from_merging  # noqa: PLC0415 - hardly used

            keep_from_merging(self._artifact)

    @never_raises
    def task_pre_step(self, *arguments: Any) -> None:
        """In the task: register the attempt, and what its process had used by then."""
        super().task_pre_step(*arguments)
        if self._artifact:
            from metaflow_extensions.stepsize.plugins.artifact import Beginning  # noqa: PLC0415 - hardly used

            self._beginning = Beginning.now()

    @never_raises
    def task_post_step(self, _step: str, flow: Any, *_: Any) -> None:
        """In the task, before its artifacts are kept."""
        self._leave_artifact(flow)

    @never_raises
    def task_exception(self, _exception: Any, _step: str, flow: Any, *_: Any) -> None:
        """As `task_post_step`: a failed task keeps its artifacts too."""
        super().task_exception()
        self._leave_artifact(flow)

    @property
    def _artifact(self) -> str | None:
        name: str | None = self.attributes["artifact_name"]
        return name

    def _leave_artifact(self, flow: Any) -> None:
        registered = leader(self._decorators)
        if self._artifact and self._beginning and registered and registered.identity:
            from stepsize.instrumentation.quiet import quietly  # noqa: PLC0415 - absent in isolated interpreters

            settings = None
            with quietly():  # they are wrong: the step is not tracked, and still finds its artifact
                settings = registered.settings()
            setattr(flow, self._artifact, self._beginning.used(registered.identity, settings))
