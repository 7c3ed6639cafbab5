"""How sure a recommendation is."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.analyzer.sizing.certainty import failures_per_1000
from stepsize.analyzer.sizing.peaks import Peaks

sizes = st.lists(st.integers(1, 10**12), min_size=1, max_size=50)


def peaks_of(finished: list[int], exceeded: tuple[int, ...] = ()) -> Peaks:
    return Peaks(
        highest_bytes=max(finished, default=0),
        highest_at="1/train/1",
        finished_bytes=tuple(sorted(finished)),
        exceeded_limits_bytes=exceeded,
    )


@pytest.mark.parametrize("count", [1, 2, 5, 20])
def test_without_headroom_it_is_the_share_of_tasks_that_exceed_all_before(count: int) -> None:
    """One in n + 1, as drawing tasks from a distribution shows."""
    draw = random.Random(count)
    trials = 40_000
    exceeded = sum(
        draw.lognormvariate(0, 1) > max(draw.lognormvariate(0, 1) for _ in range(count)) for _ in range(trials)
    )
    expected = failures_per_1000(100, peaks_of([100] * count))
    assert expected == pytest.approx(1000 * exceeded / trials, rel=0.08)


@given(sizes, st.floats(0.1, 10), st.floats(1, 10))
def test_more_memory_never_fails_more_often(finished: list[int], share: float, more: float) -> None:
    """And the estimate is a rate."""
    peaks = peaks_of(finished)
    low = failures_per_1000(max(finished) * share, peaks)
    high = failures_per_1000(max(finished) * share * more, peaks)
    assert low is not None
    assert high is not None
    assert 0 <= high <= low <= 1000


def test_tasks_seen_above_the_allocation_count_as_themselves() -> None:
    """Of ten tasks five were larger: about half will be."""
    expected = failures_per_1000(500, peaks_of([400] * 5 + [600] * 5))
    assert expected == pytest.approx(1000 * 6 / 11, abs=0.1)


def test_an_exceeded_limit_is_no_smaller_than_the_largest_peak() -> None:
    """Headroom is counted from what was needed at least."""
    plain = failures_per_1000(1200, peaks_of([600] * 9))
    censored = failures_per_1000(1200, peaks_of([600] * 9, exceeded=(1100,)))
    assert plain is not None
    assert censored is not None
    assert censored > plain


def test_nothing_known_is_no_figure() -> None:
    """Never zero."""
    assert failures_per_1000(None, peaks_of([1])) is None
    assert failures_per_1000(100, None) is None
    assert failures_per_1000(100, peaks_of([], exceeded=(50,))) is None
