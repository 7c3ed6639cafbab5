"""Bins of a distribution: nothing is lost, each value is in the bin that is said to hold it, ends are round."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from stepsize.analyzer.spread import BINS, cpu_spread, memory_spread, nice
from tests.analyzer.rows import attempt, evidence

PEAKS = st.lists(st.integers(1, 10**13), min_size=1, max_size=30)


@given(PEAKS, st.none() | st.floats(1, 1e7))
def test_each_peak_is_in_the_bin_that_says_so(peaks: list[int], asked_mb: float | None) -> None:
    """Above the end before it and up to its own, which are whole steps of a round width."""
    found = memory_spread(evidence(*(attempt(memory_peak_bytes=peak) for peak in peaks)), asked_mb)
    assert found is not None
    width = found.upper / BINS
    assert abs(nice(width * (1 - 1e-9)) - width) < 1e-6 * width
    assert found.upper >= max([peak / 10**6 for peak in peaks] + [asked_mb or 0.0])
    below = [sum(found.weights[: index + 1]) for index in range(BINS)]
    for index, count in enumerate(below):
        end_mb = (index + 1) * width
        surely = sum(1 for peak in peaks if peak / 10**6 < end_mb * (1 - 1e-6))
        perhaps = sum(1 for peak in peaks if peak / 10**6 <= end_mb * (1 + 1e-6))
        assert surely <= count <= perhaps


def test_a_peak_at_the_end_of_a_bin_is_in_it() -> None:
    """600 MB is up to 600."""
    found = memory_spread(evidence(attempt(memory_peak_bytes=600 * 10**6)), 4096.0)
    assert found is not None
    assert found.upper == 100 * BINS
    assert [index for index, weight in enumerate(found.weights) if weight] == [5]


def test_nothing_has_no_bins() -> None:
    """No peak, and peaks of nothing."""
    assert memory_spread(evidence(attempt(memory_peak_bytes=None))) is None
    assert memory_spread(evidence(attempt(memory_peak_bytes=0))) is None
    assert cpu_spread(replace(evidence(attempt()), cpu_histogram=())) is None
