"""What a step's learner asks for: properties that hold whatever was seen, and what changes an answer."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.analyzer.sizing.memory.history import Finished, Task
from stepsize.analyzer.sizing.memory.learner import Settings, StepLearner, Workspace, every_predictor, static_predictors

GIB = 2.0**30
PEAKS = st.lists(st.floats(0.2, 60.0), min_size=1, max_size=40)
PRICES = st.floats(0.0, 100.0)


def learned(peaks_gib: list[float], price: float, *, at_once: bool = True) -> StepLearner:
    """A step after tasks of an hour with these peaks, known at once or one by one."""
    step = Workspace(settings=Settings(price, predictors=static_predictors)).step("flow")
    task = Task(requested_bytes=100 * GIB)
    done = [(step.size(task), Finished(task, peak * GIB, 1.0)) for peak in peaks_gib]
    for batch in [done] if at_once else [[one] for one in done]:
        step.learn(batch)
    return step


def request_gib(step: StepLearner) -> float:
    return step.size(Task(requested_bytes=100 * GIB)).request_bytes / GIB


@given(PEAKS, PRICES, PRICES)
def test_a_higher_price_of_failures_never_lowers_the_request(peaks: list[float], one: float, other: float) -> None:
    """Whoever pays more for a failure gets at least as much memory."""
    low, high = sorted((one, other))
    assert request_gib(learned(peaks, low)) <= request_gib(learned(peaks, high)) * (1 + 1e-9)


@given(PEAKS, PRICES, st.floats(0.01, 100.0))
def test_peaks_that_are_scaled_scale_the_request(peaks: list[float], price: float, factor: float) -> None:
    """The answer has no units of its own: ten times the peaks is ten times the request, but for a cell of the grid."""
    scaled = request_gib(learned([peak * factor for peak in peaks], price))
    assert scaled == pytest.approx(request_gib(learned(peaks, price)) * factor, rel=0.025)


@given(PEAKS, PRICES, st.randoms(use_true_random=False))
def test_the_order_of_tasks_known_at_once_does_not_matter(
    peaks: list[float], price: float, chance: random.Random
) -> None:
    """Tasks of one run have no order."""
    shuffled = chance.sample(peaks, len(peaks))
    assert request_gib(learned(shuffled, price)) == pytest.approx(request_gib(learned(peaks, price)), rel=1e-9)


@given(PEAKS, st.floats(0.1, 100.0))
def test_what_a_failure_costs_is_relative_to_a_typical_task(peaks: list[float], price: float) -> None:
    """At any price the request lies between a little above the smallest peak and e times the largest, three cells
    more."""
    asked = request_gib(learned(peaks, price))
    assert min(peaks) * 0.8 <= asked <= max(peaks) * 2.72 * 1.03


def test_small_tasks_beside_large_ones_get_wide_margins() -> None:
    """A failure costs as much attention in a small step, where memory is nearly free."""
    workspace = Workspace(settings=Settings(4.0, predictors=static_predictors))
    small, large = workspace.step("flow"), workspace.step("flow")
    task = Task(requested_bytes=100 * GIB)
    for run in range(10):
        jitter = 1 + 0.02 * (run % 3)
        small.learn([(small.size(task), Finished(task, 0.2 * GIB * jitter, 0.01))])
        large.learn([(large.size(task), Finished(task, 50 * GIB * jitter, 5.0))])
    margin_small = request_gib(small) / (0.2 * 1.04)
    margin_large = request_gib(large) / (50 * 1.04)
    assert margin_small > 1.3
    assert margin_large < 1.1


def test_one_by_one_narrows_the_margin() -> None:
    """The more tasks were alike, the less is kept for one that is not."""
    after = [request_gib(learned([4.0] * count, 4.0, at_once=False)) for count in (1, 3, 30, 300)]
    assert after == sorted(after, reverse=True)
    assert after[-1] < 4.0 * 1.03


def test_what_siblings_did_after_one_task_teaches_a_step_with_one() -> None:
    """Forty steps repeated themselves to a thousandth: the forty-first gets less margin after its first task."""

    def request_after_one(*, siblings: int) -> float:
        workspace = Workspace(settings=Settings(4.0, predictors=static_predictors))
        task = Task(requested_bytes=100 * GIB)
        for _ in range(siblings):
            other = workspace.step("flow")
            for peak in (4.0, 3.999, 3.998):
                other.learn([(other.size(task), Finished(task, peak * GIB, 1.0))])
        step = workspace.step("flow")
        step.learn([(step.size(task), Finished(task, 4 * GIB, 1.0))])
        return request_gib(step)

    assert request_after_one(siblings=40) < request_after_one(siblings=0)


def test_a_step_that_never_ran_gets_what_was_asked_for_it_at_most() -> None:
    """Five siblings that needed about 1 GiB take a request of 64 GiB down; a request of 0.5 GiB stays."""
    workspace = Workspace(settings=Settings(4.0))
    task = Task(requested_bytes=64 * GIB)
    for peak in (0.8, 0.9, 1.0, 1.1, 1.2):
        step = workspace.step("flow")
        step.learn([(step.size(task), Finished(task, peak * GIB, 1.0))])
    new = workspace.step("flow")
    assert 1.0 < new.size(task).request_bytes / GIB < 16.0
    assert new.size(Task(requested_bytes=0.5 * GIB)).request_bytes == 0.5 * GIB


def test_input_sizes_are_followed_where_that_pays() -> None:
    """Peaks are three times the input: after thirty tasks a small input gets little and a large one what it needs."""
    chance = random.Random(1)
    workspace = Workspace(settings=Settings(4.0, predictors=every_predictor))
    step = workspace.step("flow")
    for _ in range(30):
        task = Task(requested_bytes=100 * GIB, input_bytes=chance.uniform(1, 10) * GIB)
        step.learn([(step.size(task), Finished(task, 3 * (task.input_bytes or 0) * chance.uniform(0.98, 1.02), 1.0))])
    asked = {size: step.size(Task(100 * GIB, input_bytes=size * GIB)).request_bytes / GIB for size in (2, 9)}
    assert 6.0 < asked[2] < 7.5
    assert 27.0 < asked[9] < 32.0


def test_after_a_failure_more_is_asked_for() -> None:
    """Every retry is larger than what failed, and soon enough for anything."""
    step = learned([1.0, 2.0, 4.0, 4.1], 4.0)
    sized = step.size(Task(requested_bytes=100 * GIB))
    allocated = [sized.request_bytes]
    while allocated[-1] < 500 * GIB:
        allocated.append(step.retry(sized, allocated[-1]))
    assert allocated == sorted(set(allocated))
    assert len(allocated) < 15
