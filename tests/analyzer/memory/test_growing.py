"""A step that grows from run to run: what is asked for next, and for the week after."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.analyzer.sizing.memory.history import Finished, Task
from stepsize.analyzer.sizing.memory.learner import Workspace
from stepsize.analyzer.sizing.memory.static import Run, Static, size_step, static_settings
from stepsize.analyzer.sizing.memory.trend import Trend

TASK = Task(requested_bytes=math.inf)
WEEK = 7
CHEAP, BALANCED, SAFE = 0.5, 4.0, 16.0
PRICES = st.sampled_from([CHEAP, BALANCED, SAFE])
KNOWN = st.integers(10, 40)
PER_RUN = st.floats(0.01, 0.3)
"""Of the first run's peak."""


def most_above(known: int) -> float:
    """How far above what is needed one may ask for after so many runs without noise."""
    return 1.45 if known < 20 else 1.2


def run_of(number: int, peaks: list[float]) -> Run:
    return Run(run=str(number), finished=tuple(Finished(TASK, peak * 1e9, 0.5) for peak in peaks))


def sized(highs: list[float], price: float = SAFE, ahead: int = 1, *, replays: int = 0) -> Static:
    """After runs of one task with these peaks, in GB."""
    return of_runs([[high] for high in highs], price, ahead, replays=replays)


def of_runs(runs: list[list[float]], price: float = SAFE, ahead: int = 1, *, replays: int = 0) -> Static:
    step = Workspace(settings=static_settings(price, ahead=ahead)).step("flow")
    static = size_step(step, [run_of(number, peaks) for number, peaks in enumerate(runs)], replays=replays)
    assert static is not None
    return static


def asked_gb(highs: list[float], price: float = SAFE, ahead: int = 1) -> float:
    return sized(highs, price, ahead).request_bytes / 1e9


def line(runs: int, per_run: float, noise: float = 0.0, seed: int = 0) -> list[float]:
    chance = random.Random(seed)
    return [(1 + per_run * run) * math.exp(noise * chance.gauss(0, 1)) for run in range(runs)]


@given(KNOWN, PER_RUN, PRICES)
def test_a_line_is_sized_for_its_next_run(known: int, per_run: float, price: float) -> None:
    """Enough for it, and from twenty runs on no more than a fifth above it."""
    *before, following = line(known + 1, per_run)
    assert following <= asked_gb(before, price) <= most_above(known) * following


@given(KNOWN, st.floats(0.005, 0.15), PRICES)
def test_growth_by_a_share_is_sized_for_its_next_run(known: int, rate: float, price: float) -> None:
    """As a line."""
    *before, following = [math.exp(rate * run) for run in range(known + 1)]
    assert following <= asked_gb(before, price) <= most_above(known) * following


@given(st.integers(20, 40), PER_RUN, st.sampled_from([BALANCED, SAFE]))
def test_a_week_ahead_is_sized_for_its_last_run(known: int, per_run: float, price: float) -> None:
    """Enough for each of the seven, and no more than a third above the last."""
    highs = line(known + WEEK, per_run)
    assert highs[-1] <= asked_gb(highs[:known], price, WEEK) <= 1.34 * highs[-1]


@given(st.lists(st.floats(0.2, 60.0), min_size=1, max_size=14), PRICES, st.integers(1, WEEK), st.floats(0.01, 100.0))
def test_peaks_that_are_scaled_scale_the_request(steps: list[float], price: float, ahead: int, factor: float) -> None:
    """Grown from these steps: ten times the peaks is ten times the request, but for a cell of the grid."""
    highs = [10 + sum(steps[: run + 1]) for run in range(len(steps))]
    scaled = asked_gb([high * factor for high in highs], price, ahead)
    assert scaled == pytest.approx(asked_gb(highs, price, ahead) * factor, rel=0.025)


@given(st.lists(st.floats(-1.0, 3.0), min_size=1, max_size=25))
def test_dearer_failures_and_longer_periods_never_ask_for_less(steps: list[float]) -> None:
    """Nor is less than the newest peak asked for, or more than e times the largest and a margin of a cell."""
    highs = [40 + sum(steps[: run + 1]) for run in range(len(steps))]
    next_runs = [asked_gb(highs, price) for price in (CHEAP, BALANCED, SAFE)]
    weeks = [asked_gb(highs, price, WEEK) for price in (CHEAP, BALANCED, SAFE)]
    assert next_runs == sorted(next_runs)
    assert weeks == sorted(weeks)
    for next_run, week in zip(next_runs, weeks, strict=True):
        assert highs[-1] * (1 - 1e-9) <= next_run <= week <= math.e * 1.03 * max(highs)


def test_what_is_expected_is_told() -> None:
    """From 1,000 to 4,190 MB in twenty runs: the next is 4,358, the seventh from then 5,365."""
    growth = sized(line(20, 3.19 / 19), ahead=WEEK).growth
    assert growth is not None
    assert growth.per_run_bytes == pytest.approx(3.19e9 / 19, rel=0.01)
    assert growth.next_bytes == pytest.approx(4.358e9, rel=0.005)
    assert growth.ahead == WEEK
    assert growth.last_bytes == pytest.approx(5.365e9, rel=0.005)


def test_few_runs_let_nobody_look_far_ahead() -> None:
    """Half as many runs ahead as growth was seen in, and the next alone below six."""
    ahead = []
    for known in (4, 6, 9, 20):
        growth = sized(line(known, 0.1), ahead=WEEK).growth
        ahead.append(growth and growth.ahead)
    assert ahead == [1, 3, 4, 7]


def test_noise_is_no_growth() -> None:
    """Of 300 steps of up to forty runs whose peaks spread by a twentieth, in one in a hundred at most."""
    chance = random.Random(5)
    grew = 0
    for _ in range(300):
        trend, highs = Trend(), [chance.gauss(0, 0.05) for _ in range(40)]
        for known in (5, 10, 20, 40):
            trend.take(highs[:known], ())
        grew += trend.grows
    assert grew <= 3


@pytest.mark.parametrize("levels", [(1.0, 2.0), (2.0, 0.9)])
def test_a_change_at_once_is_no_growth(levels: tuple[float, float]) -> None:
    """Ten runs at one level, then ten at another: the second is what the step takes."""
    chance = random.Random(7)
    before, after = ([level * math.exp(chance.gauss(0, 0.01)) for _ in range(10)] for level in levels)
    static = sized([*before, *after], BALANCED, WEEK)
    assert static.growth is None
    assert static.request_bytes < 1.3e9 * levels[1]


def test_growth_that_goes_on_after_a_change_is_followed_from_there() -> None:
    """A line that doubles at once, and goes on: that it doubled is no error to be covered."""
    highs = [high * (2 if run >= 12 else 1) for run, high in enumerate(line(31, 0.05))]
    assert highs[-1] <= asked_gb(highs[:-1]) < 1.25 * highs[-1]


def test_growth_that_ends_is_not_drawn_on() -> None:
    """Twenty runs up to 3 GB and fifteen there: no more than a fifth above is asked for, a week ahead too."""
    highs = [1 + 0.1 * min(run, 20) for run in range(36)]
    assert all(3.0 <= asked_gb(highs, price, WEEK) <= 3.6 for price in (BALANCED, SAFE))


@pytest.mark.parametrize(("price", "most"), [(BALANCED, 1.3), (SAFE, 1.45)])
def test_noise_on_top_is_covered(price: float, most: float) -> None:
    """Thirty noisy steps (3 %) of 20 to 35 runs: all next runs but one have enough, for so much above them."""
    missed, over = 0, []
    for seed in range(30):
        *before, following = line(21 + seed % 16, 0.03 + 0.01 * (seed % 10), 0.03, seed)
        asked = asked_gb(before, price)
        missed += asked < following
        over.append(asked / following)
    assert missed <= 1
    assert sum(over) / len(over) < most


def test_items_that_grow_together_all_have_enough() -> None:
    """A foreach over twenty items of different sizes: the largest of the next run, and of the week after, fits."""
    chance = random.Random(3)
    items = [math.exp(chance.gauss(0, 0.2)) for _ in range(20)]
    runs = [[high * item * math.exp(chance.gauss(0, 0.02)) for item in items] for high in line(27, 0.08)]
    largest = [max(run) for run in runs]
    for price in (BALANCED, SAFE):
        assert largest[20] <= of_runs(runs[:20], price).request_bytes / 1e9 <= 1.4 * largest[20]
        assert max(largest[20:]) <= of_runs(runs[:20], price, WEEK).request_bytes / 1e9


def test_teeth_are_sized_by_their_tips() -> None:
    """Eight runs up, and down again: after the third fall still by what the tips reached."""
    highs = [1 + 0.1 * (run % 8) for run in range(26)]
    assert 1.7 <= asked_gb(highs, BALANCED) < 2.2


def test_the_answer_does_not_depend_on_how_often_it_is_asked() -> None:
    """Runs that are replayed are sized one by one on the way."""
    highs = [high * (1.6 if run >= 9 else 1) for run, high in enumerate(line(30, 0.05, 0.02, 1))]
    once, often = sized(highs, ahead=WEEK), sized(highs, ahead=WEEK, replays=30)
    assert len(often.replayed) == 29
    assert once.growth is not None
    assert once.request_bytes == often.request_bytes


def test_failures_are_expected_of_the_next_run() -> None:
    """Nearly none under what is asked for; all of them under the largest peak so far; of a run in a week sooner."""
    static = sized(line(20, 0.1, 0.01), ahead=WEEK)
    low, high = static.failure_range(static.request_bytes)
    assert 0 == low <= static.failure_share(static.request_bytes) <= high
    assert static.failure_share(static.request_bytes) < 0.02
    assert static.failure_share(static.largest_bytes) > 0.8
    between = 1.25 * static.largest_bytes
    assert static.failure_share(between) < 0.1
    assert static.share_of_last(between) > 0.8
