"""Witt's percentile, linear and low-wastage predictors."""

from __future__ import annotations

import numpy as np
import pytest

from stepsize.analyzer.backtest.baselines.witt_linear import WittLinear
from stepsize.analyzer.backtest.baselines.witt_low_wastage import WittLowWastage, low_wastage_line, wasted
from stepsize.analyzer.backtest.baselines.witt_percentile import WittPercentile
from tests.backtest.baseline_tasks import finished, retry_mib, size_mib, task, taught


def test_the_95th_percentile_is_interpolated() -> None:
    """Of 200 and 100: 100 + 0.95 * 100 = 195. Of 1 to 21: the twentieth. Doubled after a failure."""
    assert size_mib(taught(WittPercentile(), 200, 100)) == pytest.approx(195)
    rule = taught(WittPercentile(), *range(21, 0, -1))
    assert size_mib(rule) == pytest.approx(20)
    assert retry_mib(rule, 20) == 40


def test_the_line_follows_the_input() -> None:
    """Through (1, 3), (2, 5) and (3, 7) nothing is left: at 4 it is 9."""
    rule = WittLinear()
    for x, y in ((1, 3), (2, 5), (3, 7)):
        rule.learn(finished(y, x))
    assert size_mib(rule, task(4)) == pytest.approx(9)


def test_the_line_is_raised_by_what_it_leaves() -> None:
    """(0, 1), (1, 2), (2, 6): slope 2.5, at 1 it is 3; it leaves 0.5, -1, 0.5, of variance 1.5 / 2: 3 + 0.866."""
    rule = WittLinear()
    for x, y in ((0, 1), (1, 2), (2, 6)):
        rule.learn(finished(y, x))
    assert size_mib(rule, task(1)) == pytest.approx(3 + 0.75**0.5)


def test_a_line_without_inputs_is_the_mean_and_the_standard_deviation() -> None:
    """100 and 300: 200, and the root of (100^2 + 100^2) / 1 = 141.4."""
    assert size_mib(taught(WittLinear(), 100, 300)) == pytest.approx(200 + 20000**0.5)


def test_a_line_below_zero_gives_the_largest_peak() -> None:
    """(0, 10) and (1, 1): -35 at 5."""
    rule = WittLinear()
    for x, y in ((0, 10), (1, 1)):
        rule.learn(finished(y, x))
    assert size_mib(rule, task(5)) == 10


@pytest.mark.parametrize(
    ("first", "peak", "waste"), [(7, 3, 4), (7, 10, 7 + 4), (7, 20, 7 + 14 + 8), (5, 10, 5), (1, 10, 15 + 6)]
)
def test_what_an_attempt_sequence_wastes(first: float, peak: float, waste: float) -> None:
    """The cases of the original's test_wastage.py: failed attempts in full, of the last what lies above the peak."""
    assert wasted(np.array([float(first)]), np.array([float(peak)]))[0] == pytest.approx(waste)


def test_a_perfect_line_is_found() -> None:
    """The original's own test: peaks twice their inputs waste nothing."""
    inputs, peaks = np.array([2.0, 5.0, 3.0, 1.0, 6.0]), np.array([4.0, 10.0, 6.0, 2.0, 12.0])
    assert low_wastage_line(inputs, peaks, np.ones(5)) == pytest.approx((2.0, 0.0), abs=1e-9)


def test_inputs_that_hardly_vary_give_a_level_line() -> None:
    """Inputs of 100 to 104 vary by 4 % of their mean."""
    slope, _ = low_wastage_line(np.array([100.0, 102.0, 104.0]), np.array([1.0, 5.0, 9.0]), np.ones(3))
    assert slope == 0


def test_one_spike_is_left_to_fail() -> None:
    """Nineteen of 100 and one of 10,000: at 100 the spike costs 12,700 + 2,800, at 10,000 the others 19 times 9,900.

    Nothing is asked for below 1 % of the range above the smallest: 100 + 99.
    """
    rule = taught(WittLowWastage(), *[100] * 10, 10_000, *[100] * 9)
    assert size_mib(rule) == pytest.approx(199)
    assert retry_mib(rule, 199) == 398


def test_a_spike_that_runs_long_is_not() -> None:
    """The same spike over 1000 hours outweighs nineteen tasks of one."""
    rule = WittLowWastage()
    for _ in range(19):
        rule.learn(finished(100))
    rule.learn(finished(10_000, hours=1000))
    assert size_mib(rule) > 2000
