"""Rules whose evidence fades: the histogram of Kubernetes' recommender, that recommender, Autopilot."""

from __future__ import annotations

import math

import pytest

from stepsize.analyzer.backtest.baselines.autopilot import Autopilot
from stepsize.analyzer.backtest.baselines.decaying_histogram import DecayingHistogram
from stepsize.analyzer.backtest.baselines.kubernetes_vpa import KubernetesVpa, after_oom
from stepsize.analyzer.sizing.memory.history import Finished
from stepsize.sizes import MIB
from tests.backtest.baseline_tasks import DAY_S, finished, retry_mib, size_mib, task, taught

END_OF_1E9 = 1e7 * (1.05**37 - 1) / 0.05
"""1e9 lies in bucket 36 (ln 6 / ln 1.05 = 36.7), which ends where bucket 37 starts: 1.0163e9."""
END_OF_3E9 = 1e7 * (1.05**57 - 1) / 0.05
"""3e9 lies in bucket 56 (ln 16 / ln 1.05 = 56.8), which ends at 3.0272e9."""


def ended(peak_bytes: float, at_s: float | None = None, hours: float = 1.0) -> Finished:
    """A task by its peak in bytes."""
    return finished(peak_bytes / MIB, at_s=at_s, hours=hours)


def test_a_percentile_is_the_end_of_its_bucket() -> None:
    """The example of estimator_test.go: the median of 1e9, 2e9 and 3e9 is 2e9 within 5 %. 2e9 lies in bucket 49."""
    histogram = DecayingHistogram(DAY_S)
    for value in (1e9, 2e9, 3e9):
        histogram.add(value, None)
    assert histogram.percentile(0.5) == pytest.approx(1e7 * (1.05**50 - 1) / 0.05)
    assert histogram.percentile(0.5) == pytest.approx(2e9, rel=0.05)


def test_a_percentile_counts_weights() -> None:
    """As in TestPercentiles of histogram_test.go, weights 1, 2, 3, 4: the steps lie at 0.1, 0.3 and 0.6."""
    histogram = DecayingHistogram(1.0)
    # One half-life later a sample weighs twice as much.
    for value, weight in ((1e9, 1), (2e9, 2), (3e9, 3), (4e9, 4)):
        histogram.add(value, math.log2(weight))
    ends = [histogram.percentile(fraction) for fraction in (0.09, 0.2, 0.29, 0.4, 0.59, 0.7, 1.0)]
    assert ends == pytest.approx([1e9, 2e9, 2e9, 3e9, 3e9, 4e9, 4e9], rel=0.05)


def test_the_smallest_and_the_largest_bucket() -> None:
    """What is below 10 MB answers 10 MB; above the last bucket, 1 TB and a little, nothing more is told apart."""
    small, large = DecayingHistogram(1.0), DecayingHistogram(1.0)
    small.add(1.0, None)
    large.add(1e15, None)
    assert small.percentile(0.9) == pytest.approx(1e7)
    assert 1e12 <= large.percentile(0.9) <= 1.05e12


def test_samples_fade_as_in_kubernetes_own_test() -> None:
    """TestDecayingHistogramPercentiles: 1, 2, 3, 4 as often as they say, a half-life apart, weigh 1/8, 2/4, 3/2 and 4:
    up to 2 %, 10 %, 34 % and all."""
    histogram = DecayingHistogram(3600.0)
    for value in (1, 2, 3, 4):
        for _ in range(value):
            histogram.add(value * 1e9, 1234567890 + value * 3600.0)
    ends = [histogram.percentile(fraction) for fraction in (0.0, 0.02, 0.03, 0.10, 0.11, 0.34, 0.35, 1.0)]
    assert ends == pytest.approx([1e9, 1e9, 2e9, 2e9, 3e9, 3e9, 4e9, 4e9], rel=0.05)


def test_a_large_weight_fades_as_in_kubernetes_own_test() -> None:
    """TestSimpleDecay: a thousand of 2, and one of 1 twenty half-lives later, which weighs a thousand times as much as
    they do. TestLongtermDecay: after a hundred and one half-lives nothing is left of the first."""
    histogram = DecayingHistogram(3600.0)
    for _ in range(1000):
        histogram.add(2e9, 0.0)
    histogram.add(1e9, 20 * 3600.0)
    assert [histogram.percentile(f) for f in (0.999, 1.0)] == pytest.approx([1e9, 2e9], rel=0.05)
    later = DecayingHistogram(3600.0)
    later.add(2e9, 0.0)
    later.add(1e9, 101 * 3600.0)
    assert later.percentile(1.0) == pytest.approx(1e9, rel=0.05)


def test_samples_fade() -> None:
    """Ten of 1e9 outweigh one of 3e9 at the same time; ten half-lives later it weighs 1024 of theirs."""
    together, later = DecayingHistogram(DAY_S), DecayingHistogram(DAY_S)
    for _ in range(10):
        together.add(1e9, 0.0)
        later.add(1e9, 0.0)
    together.add(3e9, 0.0)
    later.add(3e9, 10 * DAY_S)
    assert together.percentile(0.9) == pytest.approx(END_OF_1E9)
    assert later.percentile(0.9) == pytest.approx(END_OF_3E9)


def test_fading_goes_on_for_years() -> None:
    """Weights of samples that lie thousands of half-lives apart neither overflow nor lose the newest."""
    histogram = DecayingHistogram(DAY_S)
    for year in range(5):
        histogram.add(3e9 if year < 4 else 1e9, year * 365 * DAY_S)
    assert histogram.percentile(0.9) == pytest.approx(END_OF_1E9)


def test_vpa_adds_15_percent() -> None:
    """One peak of 1e9: the end of its bucket times 1.15."""
    rule = KubernetesVpa()
    rule.learn(ended(1e9))
    assert rule.size(task()) == pytest.approx(END_OF_1E9 * 1.15)


def test_vpa_asks_for_250_mib_at_least() -> None:
    """A peak of 1 MiB."""
    rule = KubernetesVpa()
    rule.learn(finished(1))
    assert size_mib(rule) == 250


@pytest.mark.parametrize(("failed", "bumped"), [(300, 400), (500, 600), (1000, 1200)])
def test_an_oom_is_bumped(failed: float, bumped: float) -> None:
    """A fifth more, 100 MiB at least."""
    assert after_oom(failed * MIB) / MIB == pytest.approx(bumped)


def test_vpa_repeats_with_the_bump_where_many_peaks_hold_the_target_down() -> None:
    """Twenty peaks of 400 MiB: one OOM at 1000 is 1 of 21, p90 stays in the bucket of 400, and 1200 is more."""
    rule = taught(KubernetesVpa(), *[400] * 20)
    assert retry_mib(rule, 1000) == pytest.approx(1200)


def test_vpa_repeats_with_the_target_where_ooms_are_most_of_what_it_knows() -> None:
    """The first OOM of all, at 1000 MiB, is a sample of 1200 alone: its bucket's end and 15 %."""
    assert retry_mib(KubernetesVpa(), 1000) == pytest.approx(1200 * 1.15, rel=0.05)


def test_vpa_counts_ooms_when_the_task_is_known() -> None:
    """An OOM at 4000 MiB is a sample of 4800, one of three, so that p90 lies in its bucket once the task has ended."""
    rule = KubernetesVpa()
    rule.learn(finished(500))
    before = size_mib(rule)
    retry_mib(rule, 4000)
    assert size_mib(rule) == before
    rule.learn(finished(500, killed_mib=(4000,)))
    assert size_mib(rule) == pytest.approx(4800 * 1.15, rel=0.05)


def test_vpa_bounds_narrow_with_confidence() -> None:
    """Twelve hours of one sample a minute are a confidence of 0.5: 3 times the upper estimate, as recommender.go says.

    Lower: (1 + 0.001 / 0.5)^-2 = 0.996 of the estimate.
    """
    rule = KubernetesVpa()
    assert rule.bounds() == (0, math.inf)
    rule.learn(ended(1e9, hours=12))
    estimate = END_OF_1E9 * 1.15
    assert rule.bounds() == pytest.approx((estimate * 1.002**-2, estimate * 3))


def test_autopilot_adds_10_percent() -> None:
    """One peak of 1e9: the end of its bucket times 1.1."""
    rule = Autopilot()
    rule.learn(ended(1e9))
    assert rule.size(task()) == pytest.approx(END_OF_1E9 * 1.1)


def test_autopilot_weighs_by_load() -> None:
    """The example of figure 2: nine of 1 and one of 10 are 9 and 10 of 19; p90 by time is 1, by load 10."""
    histogram = DecayingHistogram(DAY_S)
    for value in (*[1e9] * 9, 10e9):
        histogram.add(value, None)
    assert histogram.percentile(0.9) == pytest.approx(1e9, rel=0.05)
    assert histogram.percentile_of_load(0.9) == pytest.approx(10e9, rel=0.05)


def test_autopilot_holds_a_recommendation_for_an_hour() -> None:
    """A peak of 3e9, then 160 of 1e9: 3 of 163 by load and p98 falls, but what was recommended stands for an hour."""
    rule = Autopilot()
    rule.learn(ended(3e9, at_s=0))
    asked = [rule.size(task(at_s=10))]
    for _ in range(160):
        rule.learn(ended(1e9, at_s=0))
    asked += [rule.size(task(at_s=at_s)) for at_s in (20, 3611)]
    assert asked == pytest.approx([END_OF_3E9 * 1.1, END_OF_3E9 * 1.1, END_OF_1E9 * 1.1])
