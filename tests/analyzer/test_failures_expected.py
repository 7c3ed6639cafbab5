"""Failures that the default policy expects, and between which rates they may lie."""

from __future__ import annotations

import math
import random

import pytest

from stepsize.analyzer.sizing.least_cost import LeastCostPolicy, safe
from tests.analyzer.rows import MB, attempt, evidence, in_runs

POLICY = safe()


def test_failures_are_expected_within_an_interval_that_narrows() -> None:
    """The same step, seen for longer."""
    widths = []
    for count in (5, 50):
        answer = POLICY.recommend(evidence(*in_runs([600.0 + n % 5 for n in range(count)], count)))
        assert answer.failures_range_per_1000 is not None
        assert answer.failures_expected_per_1000 is not None
        low, high = answer.failures_range_per_1000
        assert 0 <= low <= answer.failures_expected_per_1000 <= high <= 1000
        widths.append(high - low)
    assert widths[1] < widths[0]


def test_a_request_that_is_kept_though_too_small_is_known_to_fail() -> None:
    """Where the policy asks for what half of the tasks exceed, half of them fail."""
    small = LeastCostPolicy().recommend(evidence(*in_runs([600.0] * 5 + [900.0] * 5, 5)))
    assert small.memory_mb.value is not None
    assert small.memory_mb.value >= 900
    assert small.failures_expected_per_1000 is not None
    assert small.failures_expected_per_1000 < 100


def made_up(draw: random.Random, runs: int, tasks: int, between: float, within: float) -> list[list[float]]:
    """Peaks in MB of the runs of a step: log-normal around a level of each run's own."""
    levels = [1000 * math.exp(draw.gauss(0, between)) for _ in range(runs)]
    return [[level * math.exp(draw.gauss(0, within)) for _ in range(tasks)] for level in levels]


def expected(peaks_mb: list[list[float]]) -> tuple[int, float, tuple[float, float]]:
    """MB asked for after these runs, the failures expected of 1,000, and their interval."""
    seen = [
        attempt(run=f"{run:03}", task=str(task), memory_peak_bytes=round(peak * MB), requested_memory_bytes=None)
        for run, of_run in enumerate(peaks_mb)
        for task, peak in enumerate(of_run)
    ]
    answer = POLICY.recommend(evidence(*seen))
    assert answer.memory_mb.value is not None
    assert answer.failures_expected_per_1000 is not None
    assert answer.failures_range_per_1000 is not None
    return answer.memory_mb.value, answer.failures_expected_per_1000, answer.failures_range_per_1000


def test_a_hundred_tasks_of_one_run_say_little_of_the_next_run() -> None:
    """They all took the same; what is asked for is little more. The next run may be another."""
    asked, failures, (low, high) = expected([[1000.0] * 100])
    assert asked < 1200
    assert failures > 100
    assert (low, high) == (0, 950)


@pytest.mark.parametrize("runs", [1, 2, 4, 10])
@pytest.mark.parametrize(("between", "within"), [(0.5, 0.0), (0.3, 0.2), (0.0, 0.2)])
def test_what_is_expected_comes_where_runs_differ_as_wholes(runs: int, between: float, within: float) -> None:
    """Forty made-up steps of 20 tasks a run: on average at least a third of what comes is expected, and the interval
    holds it nearly always."""
    draw = random.Random(f"{runs} {between}")
    likely, came, held = 0.0, 0.0, 0
    for _ in range(40):
        asked, failures, (low, high) = expected(made_up(draw, runs, 20, between, within))
        spread = math.hypot(between, within) * math.sqrt(2)
        rate = 500 * math.erfc(math.log(asked / 1000) / spread)
        likely, came, held = likely + failures, came + rate, held + (low <= rate <= high)
    assert likely >= came / 3
    assert held >= 34


def test_an_interval_is_that_of_runs_however_many_tasks_they_have() -> None:
    """Where none needed more, a share of runs of which as few are seen with a chance of 5 %."""
    for runs in (1, 3, 20):
        _, _, (low, high) = expected([[1000.0 + task for task in range(30)] for _ in range(runs)])
        assert low == 0
        assert high == pytest.approx(1000 * (1 - 0.05 ** (1 / runs)), abs=0.1)
