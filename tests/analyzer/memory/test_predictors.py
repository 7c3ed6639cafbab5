"""What holds for each predictor by itself, whatever was seen: properties, of requests that it proposes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.analyzer.sizing.memory.history import Finished, Stopped, Task
from stepsize.analyzer.sizing.memory.learner import Settings, StepLearner, Workspace
from stepsize.analyzer.sizing.memory.predictors.by_input import AlongCurve, Neighbours, line_in, power_of
from stepsize.analyzer.sizing.memory.predictors.constant import Constant, Recent
from stepsize.analyzer.sizing.memory.predictors.same_item import SameItem
from stepsize.analyzer.sizing.memory.predictors.same_word import SameWord

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from stepsize.analyzer.sizing.memory.predictors.base import Predictor

GIB = 2.0**30
PREDICTORS: dict[str, Callable[[], Predictor]] = {
    "all tasks": Constant,
    "all tasks, the largest covered": lambda: Constant(covers_seen=True),
    "newest tasks": lambda: Recent(newest=4),
    "same item": SameItem,
    "line": lambda: AlongCurve(line_in),
    "power": lambda: AlongCurve(power_of),
    "neighbours": Neighbours,
    "same word": SameWord,
}
WITHOUT_ORDER = [name for name in PREDICTORS if name not in {"newest tasks", "same item"}]
each_predictor = pytest.mark.parametrize("name", PREDICTORS)

TASKS = st.builds(
    lambda peak, rows, item, word: Finished(
        Task(100 * GIB, item=item, annotations={"rows": rows, "model": word}), peak * GIB, 1.0
    ),
    st.floats(0.2, 60.0),
    st.floats(1e3, 1e6),
    st.sampled_from("abc"),
    st.sampled_from(["small", "large"]),
)
RUNS = st.lists(st.lists(TASKS, min_size=1, max_size=6), min_size=1, max_size=5)
STOPPED = st.builds(
    lambda gib, rows, item, word: Stopped(Task(100 * GIB, item=item, annotations={"rows": rows, "model": word}), gib),
    st.floats(0.1 * GIB, 2000 * GIB),
    st.floats(1e3, 1e6),
    st.sampled_from("abc"),
    st.sampled_from(["small", "large"]),
)
PRICES = st.floats(0.0, 100.0)
NEXT = Task(100 * GIB, item="a", annotations={"rows": 1e5, "model": "large"})


def learned(name: str, runs: list[list[Finished]], price: float, stopped: list[Stopped] | None = None) -> StepLearner:
    """A step after these runs, at whose side the named predictor stands; then after what was stopped."""
    how = Settings(price, predictors=lambda: (Constant(), PREDICTORS[name]()), chance_of_change=0.002)
    step = Workspace(settings=how).step("flow")
    for run in runs:
        step.learn([(step.size(finished.task), finished) for finished in run])
    step.learn_stopped(stopped or [])
    return step


def proposed(step: StepLearner) -> float | None:
    """What the predictor asks for the next task; None where it has nothing to say."""
    return step.size(NEXT).requests[1]


@settings(max_examples=30)
@each_predictor
@given(runs=RUNS, stopped=st.lists(STOPPED, max_size=3), one=PRICES, other=PRICES)
def test_a_higher_price_of_failures_never_lowers_a_request(
    name: str, runs: list[list[Finished]], stopped: list[Stopped], one: float, other: float
) -> None:
    """Whoever pays more for a failure is never offered less memory."""
    low, high = sorted((one, other))
    less, more = proposed(learned(name, runs, low, stopped)), proposed(learned(name, runs, high, stopped))
    assert (less is None) == (more is None)
    if less is not None and more is not None:
        assert less <= more * (1 + 1e-9)


@settings(max_examples=30)
@each_predictor
@given(runs=RUNS, stopped=st.lists(STOPPED, max_size=4), price=PRICES, added=STOPPED)
def test_one_more_task_that_ran_out_of_memory_never_lowers_a_request(
    name: str, runs: list[list[Finished]], stopped: list[Stopped], price: float, added: Stopped
) -> None:
    """At whatever limit it was killed, and however many were before."""
    without, with_it = (proposed(learned(name, runs, price, those)) for those in (stopped, [*stopped, added]))
    assert (without is None) == (with_it is None)
    if without is not None and with_it is not None:
        assert without <= with_it * (1 + 1e-9)


@given(runs=RUNS, stopped=st.lists(STOPPED, max_size=4), price=PRICES, added=STOPPED)
def test_nor_the_request_of_all_predictors_that_compete(
    runs: list[list[Finished]], stopped: list[Stopped], price: float, added: Stopped
) -> None:
    """Which one is followed is decided by tasks that ended well."""
    asked = []
    for those in (stopped, [*stopped, added]):
        step = Workspace(settings=Settings(price)).step("flow")
        for run in runs:
            step.learn([(step.size(finished.task), finished) for finished in run])
        step.learn_stopped(those)
        asked.append(step.size(NEXT).request_bytes)
    assert asked[0] <= asked[1] * (1 + 1e-9)


@settings(max_examples=30)
@each_predictor
@given(runs=RUNS, price=PRICES, factor=st.floats(0.01, 100.0))
def test_peaks_that_are_scaled_scale_a_request(
    name: str, runs: list[list[Finished]], price: float, factor: float
) -> None:
    """A request has no units of its own, but for a cell of the grid and a tie between two that cost the same."""
    scaled = [[Finished(one.task, one.peak_bytes * factor, one.hours) for one in run] for run in runs]
    plain, larger = proposed(learned(name, runs, price)), proposed(learned(name, scaled, price))
    assert (plain is None) == (larger is None)
    if plain is not None and larger is not None:
        assert larger == pytest.approx(plain * factor, rel=0.06)


@settings(max_examples=30)
@pytest.mark.parametrize("name", WITHOUT_ORDER)
@given(runs=RUNS, price=PRICES, chance=st.randoms(use_true_random=False))
def test_the_order_of_tasks_of_a_run_does_not_matter(
    name: str, runs: list[list[Finished]], price: float, chance: random.Random
) -> None:
    """Tasks that became known at once have no order."""
    shuffled = [chance.sample(run, len(run)) for run in runs]
    plain, other = proposed(learned(name, runs, price)), proposed(learned(name, shuffled, price))
    assert (plain is None) == (other is None)
    if plain is not None and other is not None:
        assert other == pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize("name", ["line", "power"])
@given(runs=RUNS, price=PRICES, rows=st.floats(1.0, 1e12))
def test_nothing_is_extrapolated_to_more_than_seven_times_what_was_seen(
    name: str, runs: list[list[Finished]], price: float, rows: float
) -> None:
    """However large the input, and however few tasks a curve was drawn through: by e squared, retries do the rest."""
    asked = learned(name, runs, price).size(Task(100 * GIB, annotations={"rows": rows})).requests[1]
    largest = max(finished.peak_bytes for run in runs for finished in run)
    assert asked is None or asked <= 7.39 * largest
