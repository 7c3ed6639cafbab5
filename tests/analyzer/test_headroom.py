"""The default policy, rule by rule."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stepsize.analyzer.sizing.headroom import MEMORY_FLOOR_MB, HeadroomPolicy
from stepsize.analyzer.sizing.policy import Confidence
from stepsize.analyzer.sizing.rounding import round_up_mb
from stepsize.model import Outcome
from tests.analyzer.rows import MB, attempt, evidence, tasks

POLICY = HeadroomPolicy()
peaks = st.lists(st.floats(1, 500_000), min_size=1, max_size=20)


def memory(*attempts: object, requested_mb: int | None = 4096) -> int | None:
    """MB to ask for, with the request where it is to be kept."""
    asked = None if requested_mb is None else requested_mb * MB
    changed = [replace(one, requested_memory_bytes=asked) for one in attempts]  # type: ignore[type-var] # dataclasses
    return POLICY.recommend(evidence(*changed)).memory_mb.value or requested_mb  # type: ignore[arg-type] # as above


def test_memory_is_the_highest_peak_with_a_fifth_on_top() -> None:
    """Of all tasks, whichever run and sibling it was."""
    assert memory(*tasks([500, 900, *[600] * 8])) == 1100  # 1080, rounded up to a step of 50


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.KILLED, Outcome.LOST, Outcome.UNKNOWN])
def test_attempts_that_did_not_end_well_needed_at_least_what_they_used(outcome: Outcome) -> None:
    """Their peak counts as any other where it is the highest."""
    assert memory(*tasks([600] * 8), attempt(task="x", outcome=outcome, memory_peak_bytes=1000 * MB)) == 1200


def test_attempts_that_failed_early_do_not_let_memory_fall() -> None:
    """Ten that died at 50 MB say nothing of what a whole task takes."""
    assert memory(*tasks([50] * 10, outcome=Outcome.FAILED)) == 4096


def test_running_out_of_memory_pushes_above_the_limit() -> None:
    """The last reading before the kill is below the limit; what was needed is above it."""
    killed = attempt(task="x", outcome=Outcome.OOM, memory_peak_bytes=700 * MB, memory_limit_bytes=1000 * MB)
    assert memory(*tasks([600] * 8), killed, requested_mb=1000) == 1500


def test_running_out_of_memory_without_a_limit_known_counts_from_the_request() -> None:
    """The request is the limit where a platform enforces it."""
    killed = attempt(outcome=Outcome.OOM, memory_peak_bytes=None)
    assert memory(killed, requested_mb=2000) == 3000


@pytest.mark.parametrize(
    ("count", "requested_mb", "expected"),
    [
        (1, 4096, 4096),
        (2, 4096, 4096),  # two tasks: a request never falls
        (3, 4096, 1200),  # three: down to twice the peak
        (7, 4096, 1200),
        (8, 4096, 720),  # eight: down to the target
        (3, 1000, 1000),  # twice the peak is above the request: kept
        (1, 500, 720),  # raising needs one task
        (1, None, 1200),  # no request known: twice the peak until eight
        (8, None, 720),
    ],
)
def test_how_fast_memory_may_fall(count: int, requested_mb: int | None, expected: int) -> None:
    """From three tasks on; with fewer than eight not under twice the peak; up at once."""
    assert memory(*tasks([600] * count), requested_mb=requested_mb) == expected


def test_attempts_of_one_task_are_one_task() -> None:
    """Three retries of one task are not three tasks."""
    retried = [attempt(attempt=n, outcome=Outcome.OK if n == 2 else Outcome.FAILED) for n in range(3)]
    assert memory(*retried) == 4096


def test_a_reason_says_how_many_tasks_are_missing() -> None:
    """What a person has to do for an answer."""
    reasons = POLICY.recommend(evidence(*tasks([600, 610]))).all_reasons
    assert any("1 more needed" in reason for reason in reasons)


def test_a_reason_names_the_peak_and_the_task_it_was_in() -> None:
    """So that a person can look it up."""
    reasons = POLICY.recommend(evidence(*tasks([600, 912.3, 610]))).all_reasons
    assert any("912 MB" in reason and "1/train/1" in reason and "3 tasks" in reason for reason in reasons)


def test_a_fall_of_less_than_a_tenth_is_not_worth_an_edit() -> None:
    """660 would do where 700 is asked for: kept."""
    assert memory(*tasks([550] * 8), requested_mb=700) == 700


def test_a_request_that_gives_the_headroom_is_not_raised_to_a_round_number() -> None:
    """4320 MB are enough and 4325 are asked for: not 4350."""
    assert memory(*tasks([3600] * 8), requested_mb=4325) == 4325


def test_memory_does_not_fall_under_what_starting_a_task_takes() -> None:
    """A step that uses nothing still fetches its code."""
    assert memory(*tasks([3] * 8)) == MEMORY_FLOOR_MB


def test_unread_memory_is_kept_with_a_reason() -> None:
    """A value that could not be read is not zero."""
    answer = POLICY.recommend(evidence(*tasks([1] * 8, memory_peak_bytes=None)))
    assert answer.memory_mb.value is None
    assert answer.failures_expected_per_1000 is None
    assert any("could be read" in reason for reason in answer.all_reasons)


def test_peaks_from_samples_alone_are_said_to_be() -> None:
    """A spike between two samples is not in them."""
    answer = POLICY.recommend(evidence(*tasks([600] * 9, memory_source="samples")))
    assert any("samples alone" in reason for reason in answer.all_reasons)
    assert answer.confidence is Confidence.MEDIUM


@pytest.mark.parametrize(
    ("count", "runs", "expected"),
    [
        (0, 1, Confidence.NONE),
        (2, 2, Confidence.LOW),
        (7, 2, Confidence.MEDIUM),
        (8, 1, Confidence.MEDIUM),
        (8, 2, Confidence.HIGH),
    ],
)
def test_confidence_grows_with_tasks_and_runs(count: int, runs: int, expected: Confidence) -> None:
    """Eight tasks in two runs are high."""
    seen = [replace(one, run=str(n % runs)) for n, one in enumerate(tasks([600] * count))]
    failed = attempt(task="x", outcome=Outcome.FAILED)
    assert POLICY.recommend(evidence(failed, *seen)).confidence is expected


def cpu(cores: dict[float, float], requested: float | None = 8.0, count: int = 3, **values: object) -> float | None:
    """Cores to ask for, with the request where it is to be kept."""
    seconds = sum(cores.values()) or 1.0
    used = sum(value * spent for value, spent in cores.items())
    each = {"cpu_seconds": used / count, "duration_s": seconds / count, "cpu_max": max(cores), **values}
    answer = POLICY.recommend(evidence(*tasks([600] * count, requested_cpu=requested, **each), cores=cores))
    return requested if answer.cpu.value is None else answer.cpu.value


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        ({1.0: 60}, 1),
        ({1.05: 60}, 1),  # jitter of sampling
        ({0.01: 60}, 1),
        ({0.1: 90, 4.0: 10}, 4),  # busy a tenth of the time: the mean, 0.5, would starve it
        ({0.1: 99, 4.0: 1}, 1),  # one second in a hundred is not worth three cores
        ({3.6: 60}, 4),
        ({5.9: 60}, 6),
    ],
)
def test_cores_are_those_that_were_enough_nearly_always(cores: dict[float, float], expected: int) -> None:
    """By the distribution over time, not by its mean."""
    assert cpu(cores) == expected


def test_cpu_time_of_children_between_samples_counts() -> None:
    """Samples saw an idle step, its CPU time says two cores."""
    assert cpu({0.1: 60}, cpu_seconds=40.0, duration_s=20.0) == 2


def test_cpu_time_over_hardly_any_run_time_is_no_number_of_cores() -> None:
    """Half a CPU second booked on an attempt that lived for a tenth of one is not five cores."""
    answer = POLICY.recommend(evidence(*tasks([600], cpu_seconds=0.5, duration_s=0.1), cores={}))
    assert answer.cpu.value is None


@pytest.mark.parametrize(("requested", "expected"), [(1.0, 1), (8.0, 8), (None, 1)])
def test_a_step_over_in_a_moment_says_nothing_of_cores(requested: float | None, expected: float) -> None:
    """Four milliseconds on three cores, histogram and all: the request stays, with the reason; without one it is 1."""
    seen = tasks([600], requested_cpu=requested, duration_s=0.004, cpu_seconds=0.012, cpu_max=3.0, cpu_mean=3.0)
    answer = POLICY.recommend(evidence(*seen, cores={3.0: 0.004}))
    assert (requested if answer.cpu.value is None else answer.cpu.value) == expected
    assert any("4 ms in all are too short" in reason for reason in answer.cpu.reasons)


def test_moments_add_up() -> None:
    """Three hundred tasks of 4 ms are more than a second."""
    assert cpu({3.0: 1.2}, requested=1.0, count=300) == 3


def test_cores_beyond_those_asked_for_are_explained() -> None:
    """1.04 cores were enough and 1 is kept, or asked for: a reader wonders."""
    for requested in (1.0, 4.0):
        seen = tasks([600] * 3, requested_cpu=requested, cpu_seconds=62.0, cpu_max=1.04)
        reasons = POLICY.recommend(evidence(*seen, cores={1.04: 180})).cpu.reasons
        assert any("1.04 cores were enough" in reason for reason in reasons)
        assert any("above 1 is no more than measuring may add" in reason for reason in reasons)
    reasons = POLICY.recommend(evidence(*tasks([600] * 3))).cpu.reasons
    assert not any("measuring" in reason for reason in reasons)


@pytest.mark.parametrize(("used", "expected"), [(93.0, 90), (96.0, 96)])
def test_many_cores_are_not_edited_for_less_than_a_bucket(used: float, expected: int) -> None:
    """93 where 90 are asked for may be 90; 96 are not."""
    assert cpu({used: 60}, requested=90.0) == expected


def test_what_holds_a_request_is_one_of_the_reasons() -> None:
    """For those who want to know only why it stays; nothing holds a request that fits."""
    answer = POLICY.recommend(evidence(*tasks([600], requested_cpu=8.0)))
    assert answer.held == (
        "Memory stays at 4,096 MB until 3 tasks have finished, 2 more needed.",
        "CPU stays at 8 until 3 tasks have finished (1 so far).",
    )
    assert set(answer.held) <= set(answer.all_reasons)
    assert POLICY.recommend(evidence(*tasks([3500] * 8))).held == ()


def test_cpu_falls_from_three_tasks_on() -> None:
    """As memory does."""
    assert cpu({1.0: 60}, count=2) == 8
    assert cpu({1.0: 60}, count=3) == 1


def test_a_step_held_back_by_a_quota_keeps_its_cores() -> None:
    """What it used is not what it could have used."""
    assert cpu({1.0: 60}, throttled_s=5.0) == 8


def test_cores_beyond_the_request_are_raised_and_explained() -> None:
    """Where the platform enforces nothing, a library takes every core of the host."""
    used = tasks([600], requested_cpu=1.0, host_cpus=8, cpu_max=7.9, cpu_seconds=474.0)
    answer = POLICY.recommend(evidence(*used, cores={7.9: 60}))
    assert answer.cpu.value == 8
    assert any("the request was no limit" in reason for reason in answer.cpu.reasons)
    assert any("host with 8 cores" in reason for reason in answer.cpu.reasons)


def test_half_a_core_that_is_enough_is_kept() -> None:
    """Kubernetes takes fractions; a whole core is not forced on a step that needs less."""
    assert cpu({0.3: 60}, requested=0.5) == 0.5


@pytest.mark.parametrize(
    ("used", "requested", "count", "expected"),
    [
        (1.0, 4.0, 3, 1),
        (1.0, 4.0, 2, None),
        (0.0, 1.0, 3, 0),
        (2.0, 1.0, 1, 2),
        (None, 1.0, 9, None),
        (0.0, None, 9, None),
    ],
)
def test_gpus_are_the_most_in_use_at_once(
    used: float | None, requested: float | None, count: int, expected: int | None
) -> None:
    """Falling from three tasks on; kept where none could be read."""
    answer = POLICY.recommend(evidence(*tasks([600] * count, gpu_count=used, requested_gpu=requested)))
    assert answer.gpu.value == expected


def test_vram_is_sized_as_memory_is() -> None:
    """Highest peak with a fifth on top once eight tasks were seen; nothing where no GPU was used."""
    assert POLICY.recommend(evidence(*tasks([600] * 8, gpu_memory_peak_bytes=6000 * MB))).vram_mb.value == 7200
    assert POLICY.recommend(evidence(*tasks([600] * 8))).vram_mb.value is None


def test_disk_is_asked_for_only_where_the_default_is_not_enough() -> None:
    """Kubernetes gives 10 GB unasked; a request that is far too large falls."""
    assert POLICY.recommend(evidence(*tasks([600] * 8, disk_peak_bytes=2000 * MB))).disk_mb.value is None
    assert POLICY.recommend(evidence(*tasks([600] * 8, disk_peak_bytes=20_000 * MB))).disk_mb.value == 24_000
    asked = tasks([600] * 8, disk_peak_bytes=2000 * MB, requested_disk_bytes=50_000 * MB)
    assert POLICY.recommend(evidence(*asked)).disk_mb.value == 2400


@given(peaks, st.integers(2, 1000), st.integers(300, 500_000))
def test_scaling_all_peaks_scales_the_answer(found: list[float], factor: int, requested_mb: int) -> None:
    """Floor and rounding aside: never more than 5 % and the smallest step apart."""
    assume(max(found) * 1.2 > MEMORY_FLOOR_MB)
    small = memory(*tasks(found), requested_mb=requested_mb)
    large = memory(*tasks([peak * factor for peak in found]), requested_mb=requested_mb * factor)
    assert small is not None
    assert large is not None
    # Rounding may decide whether the tenth that is worth an edit is reached.
    assert large == pytest.approx(small * factor, rel=0.12, abs=10 * factor)


@given(peaks, st.integers(1, 500_000), st.floats(1, 500_000), st.one_of(st.none(), st.integers(1, 500_000)))
def test_an_added_oom_never_lowers_the_request(
    found: list[float], requested_mb: int, limit_mb: float, peak_mb: int | None
) -> None:
    """Whatever its limit was, and whatever was read before the kill."""
    killed = attempt(
        task="killed",
        started_at_s=0.0,
        outcome=Outcome.OOM,
        memory_limit_bytes=int(limit_mb * MB),
        memory_peak_bytes=None if peak_mb is None else peak_mb * MB,
    )
    before = memory(*tasks(found), requested_mb=requested_mb)
    after = memory(*tasks(found), killed, requested_mb=requested_mb)
    assert before is not None
    assert after is not None
    assert after >= before
    assert after * MB >= limit_mb * MB


@given(peaks, st.lists(st.floats(0, 1), max_size=10), st.one_of(st.none(), st.integers(1, 500_000)))
def test_more_tasks_below_the_peak_never_raise_the_request(
    found: list[float], shares: list[float], requested_mb: int | None
) -> None:
    """Each is one more sign that the peak is high enough."""
    more = [max(found) * share for share in shares]
    before = memory(*tasks(found), requested_mb=requested_mb)
    after = memory(*tasks([*found, *more]), requested_mb=requested_mb)
    assert before is not None
    assert after is not None
    assert after <= before


@given(peaks, st.integers(1, 500_000))
def test_what_is_asked_for_holds_every_task_seen(found: list[float], requested_mb: int) -> None:
    """With the headroom that the policy promises, unless the request already gave it."""
    asked = memory(*tasks(found), requested_mb=requested_mb)
    assert asked is not None
    assert asked * MB >= max(found) * MB
    assert asked in (requested_mb, round_up_mb(asked * MB)) or asked == MEMORY_FLOOR_MB
