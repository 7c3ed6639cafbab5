"""Greedy and exhaustive bucketing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.analyzer.backtest.baselines.bucketing import Bucketing
from stepsize.analyzer.backtest.baselines.buckets import Buckets
from stepsize.analyzer.backtest.baselines.exhaustive_buckets import exhaustive_buckets
from stepsize.analyzer.backtest.baselines.greedy_buckets import greedy_buckets
from tests.backtest.baseline_tasks import retry_mib, size_mib, taught

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.analyzer.sizing.memory.arrays import Floats

    Find = Callable[[Floats, Floats], Buckets]

BOTH = pytest.mark.parametrize("find", [greedy_buckets, exhaustive_buckets])


def bucketed(find: Find, *peaks: float) -> Buckets:
    """The buckets of peaks in the order of completion, each weighing its number."""
    order = np.argsort(peaks, kind="stable")
    return find(np.array(peaks, dtype=float)[order], (order + 1).astype(float))


@BOTH
def test_the_buckets_that_cctools_checks(find: Find) -> None:
    """Its bucketing_base_test.c: ten values, each twice the last modulo 7000 from 4000 on, give 2000 and 4000 first."""
    values = [4000.0]
    while len(values) < 10:
        values.append(values[-1] * 2 % 7000)
    assert bucketed(find, *values).values_mib[:2].tolist() == [2000, 4000]


@BOTH
def test_equal_peaks_are_one_bucket(find: Find) -> None:
    """There is nothing to break."""
    buckets = bucketed(find, 300, 300, 300)
    assert (buckets.values_mib.tolist(), buckets.probabilities.tolist()) == ([300], [1])


def test_greedy_breaks_where_it_costs_least() -> None:
    """1 and 101, weighing 1 and 2. Whole: 101 - (1 + 202) / 3 = 33.3. Broken: 2/9 of 100 and 2/9 of 1: 22.4."""
    buckets = bucketed(greedy_buckets, 1, 101)
    assert buckets.values_mib.tolist() == [1, 101]
    assert buckets.probabilities == pytest.approx([1 / 3, 2 / 3])


def test_greedy_leaves_whole_what_is_close() -> None:
    """99 and 101: whole 101 - 301/3 = 0.67. Broken: 2/9 of 2 and 2/9 of 99: more than 22."""
    assert bucketed(greedy_buckets, 99, 101).values_mib.tolist() == [101]


def test_exhaustive_knows_powers_of_two() -> None:
    """1 and 3 MB: even one bucket is cut at 2^0, and cutting costs (2 + 1) / 4 with equal weights."""
    buckets = exhaustive_buckets(np.array([1.0, 3.0]), np.ones(2))
    assert (buckets.values_mib.tolist(), buckets.probabilities.tolist()) == ([1, 3], [0.5, 0.5])


@BOTH
@given(peaks=st.lists(st.floats(1, 1e5), min_size=1, max_size=60))
def test_buckets_hold_every_peak(find: Find, peaks: list[float]) -> None:
    """Values rise, are peaks that were seen, the last is the largest; probabilities are positive and add up to one."""
    buckets = bucketed(find, *peaks)
    assert set(buckets.values_mib.tolist()) <= set(peaks)
    assert buckets.values_mib[-1] == max(peaks)
    assert (np.diff(buckets.values_mib) > 0).all()
    assert (buckets.probabilities > 0).all()
    assert buckets.probabilities.sum() == pytest.approx(1)


@BOTH
def test_ten_tasks_are_samples(find: Find) -> None:
    """1000 MB, then 2000 and 4000 after failures, until ten tasks have ended."""
    rule = taught(Bucketing(find), *[300] * 9)
    assert [size_mib(rule), retry_mib(rule, 1000), retry_mib(rule, 2000)] == [1000, 2000, 4000]
    taught(rule, 300)
    assert size_mib(rule) == 300


@BOTH
def test_above_the_highest_bucket_it_doubles(find: Find) -> None:
    """From 300 to 500, from 500 to 1000: the powers of two of 1000 MB."""
    rule = taught(Bucketing(find), *[300] * 10)
    assert [retry_mib(rule, 300), retry_mib(rule, 500), retry_mib(rule, 1000)] == [500, 1000, 2000]


def test_buckets_are_drawn_by_their_probability() -> None:
    """Of a quarter, a half and a quarter; after a failure of the lowest the others by two thirds and a third."""
    buckets = Buckets(np.array([100.0, 200.0, 400.0]), np.array([0.25, 0.5, 0.25]))
    rule = taught(Bucketing(lambda _peaks, _weights: buckets), *[100] * 10)
    first = [size_mib(rule) for _ in range(4000)]
    second = [retry_mib(rule, 100) for _ in range(4000)]
    shares = [first.count(100) / 4000, first.count(400) / 4000, second.count(200) / 4000, second.count(100)]
    assert shares == pytest.approx([0.25, 0.25, 2 / 3, 0], abs=0.03)
