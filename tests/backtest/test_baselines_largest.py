"""Rules that take the largest peak: what users asked for, margins over all and over the last, resource-tracker, KRR."""

from __future__ import annotations

import pytest

from stepsize.analyzer.backtest.baselines.krr import Krr
from stepsize.analyzer.backtest.baselines.largest import LargestOfAll, LargestOfLast
from stepsize.analyzer.backtest.baselines.requested import Requested
from stepsize.analyzer.backtest.baselines.resource_tracker import ResourceTracker
from tests.backtest.baseline_tasks import DAY_S, REQUEST_MIB, finished, retry_mib, size_mib, task, taught


def test_the_request_grows_with_the_attempt() -> None:
    """6000 MiB; the second attempt gets 2 times 6000, the third 3 times, whatever the tasks before needed."""
    rule = taught(Requested(), 100)
    assert size_mib(rule) == REQUEST_MIB
    assert [retry_mib(rule, 6000), retry_mib(rule, 6000, 12000)] == [12000, 18000]


def test_a_fifth_more_than_the_largest_of_all() -> None:
    """Of 100, 300 and 200 the largest is 300: 1.2 times 300 is 360; doubled after a failure."""
    rule = taught(LargestOfAll(), 100, 300, 200)
    assert size_mib(rule) == pytest.approx(360)
    assert retry_mib(rule, 360) == 720


def test_a_fifth_more_than_the_largest_of_the_last_five() -> None:
    """900 is the sixth from the end: 1.2 times 50 is 60."""
    assert size_mib(taught(LargestOfLast(), 900, 10, 20, 50, 40, 30)) == pytest.approx(60)


def test_resource_tracker_takes_the_last_five_runs() -> None:
    """Run 0 (1000 MiB) is forgotten with the sixth run; of run 1's tasks, 500 and 300, the larger counts: 600."""
    rule = ResourceTracker(rounded=False)
    rule.learn(finished(1000, run="0"))
    rule.learn(finished(500, run="1"))
    assert size_mib(rule) == pytest.approx(1200)
    for run in ("1", "2", "3", "4", "5"):
        rule.learn(finished(300, run=run))
    assert size_mib(rule) == pytest.approx(600)


def test_resource_tracker_takes_the_last_five_tasks_where_runs_are_unknown() -> None:
    """900 is the sixth task from the end: 1.2 times 50 is 60."""
    assert size_mib(taught(ResourceTracker(rounded=False), 900, 10, 20, 50, 40, 30)) == pytest.approx(60)


@pytest.mark.parametrize(("peak", "rounded"), [(100, 128), (200, 256), (1000, 2048), (2000, 3072)])
def test_resource_tracker_rounds_up_to_its_steps(peak: float, rounded: float) -> None:
    """With a fifth on top 120, 240, 1200 and 2400 MiB become 128, 256, 2048 and 3072."""
    assert size_mib(taught(ResourceTracker(), peak)) == rounded


def test_krr_adds_15_percent_and_after_a_kill_25() -> None:
    """1.15 times 1000; killed there, 1.25 times 1150 = 1437.5, which stays though the peak was 1200 (1.15: 1380)."""
    rule = taught(Krr(), 1000)
    assert size_mib(rule) == pytest.approx(1150)
    assert retry_mib(rule, 1150) == pytest.approx(1437.5)
    assert size_mib(rule) == pytest.approx(1150)
    rule.learn(finished(1200, killed_mib=(1150,)))
    assert size_mib(rule) == pytest.approx(1437.5)


def test_krr_asks_for_100_mib_at_least() -> None:
    """1.15 times 10 MiB is less than its smallest answer."""
    assert size_mib(taught(Krr(), 10)) == 100


def test_krr_knows_two_weeks() -> None:
    """2000 MiB of day 0 count until day 14, 1000 MiB of day 10 after that, and as the last answer for good."""
    rule = Krr()
    rule.learn(finished(2000, at_s=0))
    rule.learn(finished(1000, at_s=10 * DAY_S))
    asked = [size_mib(rule, task(at_s=day * DAY_S)) for day in (11, 15, 60)]
    assert asked == pytest.approx([2300, 1150, 1150])
