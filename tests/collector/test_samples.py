"""Samples of a rate hold for the time since the one before, however many are weighed at once and in whatever order."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.collector.limits import RollupLimits
from stepsize.collector.rollup.table import AttemptTable
from stepsize.model import cpu_bucket
from tests.collector.otlp import SECOND
from tests.collector.rollup_log import T0, attempt, fold

_MAX_GAP_S = 120
_Samples = list[tuple[float, float]]
"""(seconds after the start, cores)."""
_CORES = st.one_of(st.floats(0, 8), st.sampled_from([0.0, 2.0**-8, 1.0, 2.0**12, 1e5]))
_GAPS = st.one_of(st.floats(0.001, 200), st.sampled_from([1.0, 120.0, 120.5]))


def weighed(samples: _Samples) -> tuple[float, dict[int, float]]:
    """Core seconds and seconds by bucket, a sample at a time; the attempt began at 0."""
    total, histogram = 0.0, dict[int, float]()
    for (before, _), (now, cores) in pairwise([(0.0, 0.0), *samples]):
        seconds = min(now - before, _MAX_GAP_S)
        total += cores * seconds
        histogram[cpu_bucket(cores)] = histogram.get(cpu_bucket(cores), 0.0) + seconds
    return total, histogram


@given(
    parts=st.lists(st.lists(st.tuples(_GAPS, _CORES), min_size=1, max_size=6), min_size=1, max_size=4),
    shuffle=st.randoms(use_true_random=False),
)
@settings(deadline=None, max_examples=60)
def test_batches_of_samples_add_up(parts: list[_Samples], shuffle: object) -> None:
    """In order of arrival between batches and in any order within one, the sum is that of all samples in a row."""
    table = AttemptTable(RollupLimits(), T0)
    now_s, seen = 0.0, list[tuple[float, float]]()
    for part in parts:
        batch: _Samples = []
        for gap_s, cores in part:
            now_s = round(now_s + gap_s, 3)
            batch.append((now_s, cores))
        seen += batch
        shuffle.shuffle(batch)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
        request = attempt("1").sum("stepsize.task.cpu.time", T0, [(T0 + int(now_s * SECOND), 1.0)], unit="s")
        points = [(T0 + round(second * 1000) * 10**6, cores) for second, cores in batch]
        fold(table, request.gauge("stepsize.task.cpu.usage", points, unit="{cpu}"))
    (found,) = table.attempts.values()
    total, histogram = weighed(seen)
    assert found.cpu.total == pytest.approx(total, rel=1e-9, abs=1e-9)
    assert found.cpu_histogram == pytest.approx(histogram, rel=1e-9)
    assert found.cpu.last_ns == T0 + round(now_s * 1000) * 10**6


def test_a_sample_that_comes_late_holds_for_the_usual_interval(log_table: AttemptTable) -> None:
    """It neither takes time from those after it nor is left out; one that came before counts no time again."""
    for seconds in ([10, 20], [15, 20, 30]):
        request = attempt("1").sum("stepsize.task.cpu.time", T0, [(T0 + 30 * SECOND, 1.0)], unit="s")
        fold(
            log_table, request.gauge("stepsize.task.cpu.usage", [(T0 + s * SECOND, 2.0) for s in seconds], unit="{cpu}")
        )
    (found,) = log_table.attempts.values()
    assert found.cpu.total == pytest.approx(2.0 * (10 + 10 + 10 + 10))


@pytest.fixture
def log_table() -> AttemptTable:
    return AttemptTable(RollupLimits(), T0)
