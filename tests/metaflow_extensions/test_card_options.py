"""Who says whether a task gets a card."""

from __future__ import annotations

from typing import Any

import pytest
from metaflow.decorators import StepDecorator  # first: an extension's modules are read by Metaflow while it is imported

from metaflow_extensions.stepsize.plugins.alias import TrackResourcesDecorator
from metaflow_extensions.stepsize.plugins.decorator import StepsizeDecorator
from metaflow_extensions.stepsize.plugins.notes import launch_notes


def step_of(*decorators: StepsizeDecorator) -> StepsizeDecorator:
    """The first of a step's decorators, told of all of them."""
    for decorator in decorators:
        decorator.step_init(None, None, "start", list(decorators), None, None, None)
    assert isinstance(decorators[0], StepDecorator)
    return decorators[0]


def wanted(*decorators: StepsizeDecorator) -> tuple[bool, float]:
    found = step_of(*decorators).settings()
    return found.card, found.card_refresh_s


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STEPSIZE_CARD", raising=False)
    monkeypatch.delenv("STEPSIZE_CARD_REFRESH", raising=False)


@pytest.mark.parametrize("said", [True, "True", "1"])
def test_a_card_is_asked_for_in_the_code_or_on_the_command_line(said: Any) -> None:
    """`@stepsize(card=True)` gives a truth value, `--with stepsize:card=True` its text."""
    assert wanted(StepsizeDecorator({"card": said, "refresh_interval": "2.5"})) == (True, 2.5)


def test_the_step_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Either way; without a word of the step it is the environment's."""
    assert wanted(StepsizeDecorator()) == (False, 5.0)
    monkeypatch.setenv("STEPSIZE_CARD", "1")
    monkeypatch.setenv("STEPSIZE_CARD_REFRESH", "9")
    assert wanted(StepsizeDecorator()) == (True, 9.0)
    assert wanted(StepsizeDecorator({"card": False})) == (False, 9.0)


def test_the_alias_makes_a_card_unless_it_is_told_not_to() -> None:
    """As the decorator whose name it has, also where `STEPSIZE=1` attached ours before it."""
    assert wanted(TrackResourcesDecorator())[0]
    assert wanted(StepsizeDecorator(), TrackResourcesDecorator())[0]
    assert not wanted(TrackResourcesDecorator({"create_card": False}))[0]


def test_a_wrong_option_is_said_at_launch() -> None:
    """Each in a line, with the steps that are not tracked for it."""
    steps = {
        "a": [StepsizeDecorator({"card": "maybe"})],
        "b": [StepsizeDecorator({"refresh_interval": "soon"})],
        "c": [StepsizeDecorator({"card": "yes"})],
    }
    assert list(launch_notes(steps, {}, ["flow.py", "run"])) == [
        "stepsize: @stepsize(card='maybe') is neither True nor False. Not tracked: a.",
        "stepsize: @stepsize(refresh_interval='soon') is no time in seconds. Not tracked: b.",
    ]
