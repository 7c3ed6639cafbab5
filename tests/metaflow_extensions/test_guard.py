"""What comes out of a hook of ours when something goes wrong in it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from metaflow import stepsize, track_resources

from metaflow_extensions.stepsize.plugins.guard import never_raises

if TYPE_CHECKING:
    from collections.abc import Iterator


class _TooLate(Exception):  # noqa: N818 - as Metaflow names its
    pass


class _Timeout:
    """As Metaflow's ``@timeout``: a handler that is a method."""

    def too_late(self, *_: object) -> None:
        raise _TooLate


class _Decorators:
    """A step's decorators, at whose sight an alarm goes off."""

    def __iter__(self) -> Iterator[object]:
        signal.raise_signal(signal.SIGALRM)
        return iter(())


@pytest.fixture
def _timeout() -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, _Timeout().too_late)
    yield
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("_timeout")
@pytest.mark.parametrize("kind", [stepsize, track_resources], ids=["stepsize", "track_resources"])
def test_the_alarm_that_bounds_a_step_is_not_swallowed_by_a_hook(kind: type) -> None:
    """It goes off once: a step that does not hear of it runs for ever."""
    ours = kind.args[0](attributes={})  # type: ignore[attr-defined]  # Metaflow keeps the class in its decorator
    with pytest.raises(_TooLate):
        ours.step_init(None, None, "train", _Decorators(), None, None)


@pytest.mark.usefixtures("_timeout")
def test_what_a_hook_itself_raises_stays_in_it() -> None:
    """Of the same kind too: where it comes from counts."""

    @never_raises
    def hook() -> None:
        raise _TooLate

    hook()


@pytest.mark.usefixtures("_timeout")
def test_an_alarm_that_goes_off_while_an_artifact_is_made_is_not_swallowed() -> None:
    """Its figures are asked of the agent, with settings that may be wrong."""
    ours = track_resources.args[0](attributes={"artifact_name": "used"})
    ours.step_init(None, None, "train", [ours], None, None)
    ours.task_pre_step("train", None, None, "1", "2", None, None, 1, 0)
    ours.identity = object()
    ours.settings = lambda: signal.raise_signal(signal.SIGALRM)
    with pytest.raises(_TooLate):
        ours.task_post_step("train", object())
