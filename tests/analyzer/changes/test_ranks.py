"""Whether peaks have grown beyond chance."""

from __future__ import annotations

import itertools
import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.analyzer.changes.ranks import LEAST_TASKS, chance_of_larger, growth
from stepsize.analyzer.changes.runs import chance_of_runs

PEAKS = st.lists(st.floats(1, 1e12), min_size=LEAST_TASKS, max_size=30)


@pytest.mark.parametrize(("count", "others"), [(4, 4), (5, 6), (3, 9), (6, 6)])
def test_the_chance_is_near_the_exact_one(count: int, others: int) -> None:
    """Counted over every way to choose the ranks (without ties), within 0.02 where it matters."""
    ranks = range(count + others)
    sums = [sum(chosen) for chosen in itertools.combinations(ranks, count)]
    for chosen in itertools.islice(itertools.combinations(ranks, count), 0, None, 7):
        exact = sum(one >= sum(chosen) for one in sums) / len(sums)
        found = chance_of_larger(list(chosen), [rank for rank in ranks if rank not in chosen])
        assert found == pytest.approx(exact, abs=0.02)


@given(PEAKS, PEAKS, st.floats(0.001, 1000))
def test_units_do_not_matter_and_order_neither(peaks: list[float], others: list[float], factor: float) -> None:
    """Only ranks count."""
    found = chance_of_larger(peaks, others)
    assert 0 <= found <= 1
    assert chance_of_larger(sorted(peaks), others[::-1]) == pytest.approx(found, abs=1e-12)
    exact = [int(peak) * 2**20 for peak in peaks], [int(peak) * 2**20 for peak in others]
    scaled = [peak * 2 for peak in exact[0]], [peak * 2 for peak in exact[1]]
    assert chance_of_larger(*scaled) == chance_of_larger(*exact)


RUNS = st.lists(PEAKS, min_size=1, max_size=6)


@given(RUNS, RUNS)
def test_what_has_grown_is_larger(runs: list[list[float]], others: list[list[float]]) -> None:
    """A growth says what the medians are, and is at least a tenth."""
    found = growth("b", runs, others, 1)
    if found is not None:
        peaks, peaks_before = list(itertools.chain(*runs)), list(itertools.chain(*others))
        assert (found.tasks, found.tasks_before) == (len(peaks), len(peaks_before))
        assert found.peak_bytes == statistics.median(peaks)
        assert found.peak_bytes >= 1.1 * statistics.median(peaks_before)
        assert growth("a", others, runs, 1) is None


def test_peaks_that_are_alike_have_not_grown() -> None:
    """Nor has a version that nobody named, nor one of too few tasks, nor one by less than a tenth."""
    assert growth("b", [[5.0] * 9] * 3, [[5.0] * 9] * 3, 1) is None
    assert growth(None, [[9.0] * 9] * 3, [[5.0] * 9] * 3, 1) is None
    assert growth("b", [[9.0]] * 3, [[5.0]] * 90, 1) is None
    assert growth("b", [[5.4] * 9] * 3, [[5.0] * 9] * 3, 1) is None
    assert growth("b", [[9.0]] * 4, [[5.0]] * 4, 1) is not None


def test_one_large_task_is_no_growth() -> None:
    """The typical one counts."""
    usual = [[5.0, 5.1, 5.2, 5.3, 5.4]] * 4
    assert growth("b", [[5.0, 5.1, 5.2, 5.3, 50.0]] * 4, usual, 1) is None


def test_one_large_run_is_no_growth_where_runs_lie_apart() -> None:
    """However many tasks it has: they share its data. Where runs lie together it is one."""
    apart = [[size] * 9 for size in (4.0, 5.0, 6.5, 5.0, 4.5, 6.0)]
    assert growth("b", [[7.0 + part / 100 for part in range(50)]], apart, 1) is None
    together = [[size] * 9 for size in (5.0, 5.1, 4.9, 5.0, 5.1, 4.9)]
    assert growth("b", [[7.0 + part / 100 for part in range(50)]], together, 1) is not None


@pytest.mark.parametrize(("runs", "others"), [(1, 3), (1, 10), (3, 5)])
@pytest.mark.parametrize(("of_runs", "of_tasks"), [(0.1, 0.05), (0.3, 0.05), (0.1, 0.4)])
def test_the_chance_of_runs_is_one(runs: int, others: int, of_runs: float, of_tasks: float) -> None:
    """Of versions that are alike no more fall below a chance than it says, give or take: tried on made-up ones."""
    rng = random.Random(1)

    def run() -> list[float]:
        level = rng.gauss(0, of_runs)
        return [math.exp(level + rng.gauss(0, of_tasks)) for _ in range(8)]

    found = [chance_of_runs([run() for _ in range(runs)], [run() for _ in range(others)]) for _ in range(1500)]
    for chance in (0.005, 0.05):
        assert sum(one <= chance for one in found) / len(found) <= 2 * chance + 0.01
