"""Tovar's two first allocations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from stepsize.analyzer.backtest.baselines.tovar import Tovar, least_waste, most_throughput
from tests.backtest.baseline_tasks import MACHINE_MIB, REQUEST_MIB, finished, retry_mib, size_mib

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.analyzer.sizing.memory.arrays import Floats

PEAKS, TIMES = np.array([100.0, 960.0, 50.0]), np.array([360.0, 360.0, 50.0])
"""The example of the README of efficient-resource-allocations."""


def test_least_waste() -> None:
    """Mean time 770/3. 960 costs 246,400; 100: 25,667 + 960 * 360/3 = 140,867; 50: 12,833 + 960 * 720/3 = 243,233."""
    assert least_waste(PEAKS, TIMES) == 100


def test_most_throughput() -> None:
    """960: 1 / 256.67 = 0.0039. 100: (9.6 * 2/3 + 1/3) / (256.67 + 120) = 0.0179. 50: (6.4 + 2/3) / 496.67 = 0.0142."""
    assert most_throughput(PEAKS, TIMES) == 100


def test_equal_peaks_are_one_candidate() -> None:
    """Nine of 100 and one of 110, all an hour: 110 costs 110; 100 costs 100 + 110/10 = 111, so the larger it is."""
    peaks = np.array([100.0] * 9 + [110.0])
    assert least_waste(peaks, np.ones(10)) == 110


def test_long_tasks_weigh_more() -> None:
    """The one of 1000 ran 100 hours of 109: 1000 costs 10,900, 100 costs 1,090 + 1000 * 10. Of an hour, it loses."""
    peaks = np.array([100.0] * 9 + [1000.0])
    assert least_waste(peaks, np.array([1.0] * 9 + [100.0])) == 1000
    assert least_waste(peaks, np.ones(10)) == 100


@pytest.mark.parametrize("formula", [least_waste, most_throughput])
def test_a_repetition_climbs(formula: Callable[[Floats, Floats], float]) -> None:
    """From 100 to the largest seen, 960; then to the request; then to the machine."""
    rule = Tovar(formula)
    for peak, hours in ((100, 360), (960, 360), (50, 50)):
        rule.learn(finished(peak, hours=hours))
    assert size_mib(rule) == 100
    climbed = [retry_mib(rule, failed) for failed in (100, 960, REQUEST_MIB)]
    assert climbed == [960, REQUEST_MIB, MACHINE_MIB]
