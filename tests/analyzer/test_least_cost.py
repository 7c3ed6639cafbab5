"""The default policies, rule by rule."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stepsize.analyzer.sizing.least_cost import LeastCostPolicy, balanced, cheap, safe
from stepsize.analyzer.sizing.lessons import ALONE, FlowKey, Lessons
from stepsize.analyzer.sizing.levels import MEMORY_FLOOR_MB, RUNS_LEARNED
from stepsize.analyzer.sizing.memory.exceedances import Exceedances
from stepsize.analyzer.sizing.memory.learner import Mean
from stepsize.analyzer.sizing.policy import Confidence
from stepsize.analyzer.sizing.rounding import round_up_mb
from stepsize.analyzer.usage import Attempt
from stepsize.model import Outcome
from tests.analyzer.rows import MB, attempt, evidence, in_runs, tasks

POLICY = safe()
peaks = st.lists(st.floats(1, 500_000), min_size=1, max_size=20)
presets = st.sampled_from([cheap(), balanced(), safe()])


def memory(
    *attempts: Attempt, requested_mb: int | None = 4096, policy: LeastCostPolicy = POLICY, lessons: Lessons = ALONE
) -> int | None:
    """MB to ask for, with the request where it is to be kept."""
    asked = None if requested_mb is None else requested_mb * MB
    changed = [replace(one, requested_memory_bytes=asked) for one in attempts]
    return policy.recommend(evidence(*changed), lessons).memory_mb.value or requested_mb


def experienced() -> Lessons:
    """Fifty steps whose later runs never went above what was known of them."""
    exceedances = Exceedances()
    for known in range(1, 10):
        exceedances.count(known, 50.0, None)
    return Lessons(exceedances, {FlowKey(None, production=False, flow="TrainFlow"): Mean(500 * 600.0 * MB / 60, 500)})


def test_a_step_that_repeats_itself_gets_a_narrow_margin() -> None:
    """A hundred tasks in ten runs alike, within one per cent of 1,000 MB: never less than the largest, little more."""
    asked = memory(*in_runs([1000 + n // 10 for n in range(100)], 10))
    assert asked is not None
    assert 1009 <= asked <= 1150


def test_a_step_that_differs_gets_a_wide_one() -> None:
    """The same largest task, peaks a factor of ten apart."""
    narrow = memory(*in_runs([1000.0] * 20, 10))
    wide = memory(*in_runs([100 + 45.0 * n for n in range(21)], 10))
    assert narrow is not None
    assert wide is not None
    assert wide > narrow


@given(peaks, st.integers(1, 5))
def test_a_dearer_failure_never_asks_for_less(found: list[float], runs: int) -> None:
    """cheap, balanced, safe."""
    asked = [memory(*in_runs(found, runs), requested_mb=None, policy=one()) or 0 for one in (cheap, balanced, safe)]
    assert asked == sorted(asked)


@given(peaks, st.integers(1, 5), presets)
def test_what_is_asked_for_holds_the_largest_task_of_few_runs(
    found: list[float], runs: int, policy: LeastCostPolicy
) -> None:
    """A retry would have no more memory, so a request that a task is known to exceed fails its run again and again."""
    asked = memory(*in_runs(found, runs), requested_mb=None, policy=policy)
    assert asked is not None
    assert asked * MB >= max(found) * MB * (1 - 1e-9)
    assert asked == round_up_mb(asked * MB) or asked == MEMORY_FLOOR_MB


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.KILLED, Outcome.LOST, Outcome.UNKNOWN])
def test_attempts_that_did_not_end_well_needed_at_least_what_they_used(outcome: Outcome) -> None:
    """Their peak counts as any other where it is the highest."""
    failed = attempt(task="x", outcome=outcome, memory_peak_bytes=1000 * MB)
    assert memory(*tasks([600] * 8), failed) == 1000


def test_attempts_that_failed_early_do_not_let_memory_fall() -> None:
    """Ten that died at 50 MB say nothing of what a whole task takes."""
    assert memory(*tasks([50] * 10, outcome=Outcome.FAILED)) == 4096


def test_running_out_of_memory_pushes_above_the_limit() -> None:
    """The last reading before the kill is below the limit; what was needed is above it."""
    killed = attempt(task="x", outcome=Outcome.OOM, memory_peak_bytes=700 * MB, memory_limit_bytes=1000 * MB)
    assert memory(*tasks([600] * 8), killed, requested_mb=1000) == 1250


def test_running_out_of_memory_without_a_limit_known_counts_from_the_request() -> None:
    """The request is the limit where a platform enforces it."""
    killed = attempt(outcome=Outcome.OOM, memory_peak_bytes=None)
    assert memory(killed, requested_mb=2000) == 2500


def test_an_attempt_that_ran_out_of_memory_counts_though_its_retry_went_well() -> None:
    """The retry took 600 MB of the same 1,000 that were not enough before: they may not be again."""
    killed = attempt(task="0", outcome=Outcome.OOM, memory_peak_bytes=900 * MB, memory_limit_bytes=1000 * MB)
    went_well = replace(attempt(task="0"), attempt=1)
    assert memory(killed, went_well, *tasks([600] * 9)[1:], requested_mb=1000) == 1250


def test_what_no_longer_counts_is_said() -> None:
    """Where a step takes less than it did, how many of its runs are counted, and the most in these; else nothing."""

    def told(*peaks_mb: float) -> list[str]:
        answer = POLICY.recommend(evidence(*in_runs(list(peaks_mb), len(peaks_mb))))
        return [reason for reason in answer.all_reasons if "has changed since" in reason]

    assert told(*[3000.0] * 6, *[500.0] * 6) == [
        "The step has changed since: its last 6 runs count, in which no task took more than 500 MB."
    ]
    assert told(*[600.0] * 12) == told(600.0) == []


def test_growth_is_told_and_sized_for_a_week() -> None:
    """From 1,000 to 4,190 MB in twenty runs, whatever was asked for: enough for the 5,365 MB of the seventh run from
    now, and no more than a quarter above them."""
    grown = in_runs([1000 + 3190 * run / 19 for run in range(20)], 20)
    for policy in (balanced(), safe()):
        answer = policy.recommend(evidence(*grown))
        assert answer.memory_mb.value is not None
        assert 5366 <= answer.memory_mb.value <= 6710
        told = "the next is expected to reach 4,358 MB, the last of the next 7 5,365 MB."
        assert f"Memory grows by about 168 MB a run: {told}" in answer.memory_mb.reasons
        assert answer.failures_expected_per_1000 is not None
        assert answer.failures_expected_per_1000 < 20


def test_what_does_not_grow_is_not_said_to() -> None:
    """Steps alike, noisy, falling, or changed at once."""
    noisy = [1000.0 + 37 * (run * 7 % 11) for run in range(20)]
    for peaks_mb in ([1000.0] * 20, noisy, [3000.0 - 50 * run for run in range(20)], [1000.0] * 10 + [2000.0] * 10):
        answer = POLICY.recommend(evidence(*in_runs(peaks_mb, 20)))
        assert not [reason for reason in answer.all_reasons if "grows" in reason]


@pytest.mark.parametrize(
    ("count", "falls", "lessons"),
    [(1, False, ALONE), (2, False, ALONE), (3, True, ALONE), (1, False, experienced()), (2, True, experienced())],
)
def test_how_soon_memory_may_fall(count: int, falls: bool, lessons: Lessons) -> None:
    """From three tasks on; from two where the lake has seen what other steps did after as little."""
    asked = memory(*tasks([600] * count), lessons=lessons)
    assert asked is not None
    assert (asked < 4096) is falls
    assert asked >= 600


def test_what_other_steps_did_makes_a_young_step_sure() -> None:
    """Four runs alike are four runs alike; that other steps' fifth runs were never larger narrows the margin."""
    young = in_runs([1000.0] * 4, 4)
    alone, taught = memory(*young), memory(*young, lessons=experienced())
    assert alone is not None
    assert taught is not None
    assert taught < alone


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
    answer = POLICY.recommend(evidence(*in_runs([600] * 9, 3, memory_source="samples")))
    assert any("samples alone" in reason for reason in answer.all_reasons)
    assert answer.confidence is Confidence.MEDIUM  # nine tasks in three runs are else high


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
    failed = attempt(task="x", outcome=Outcome.FAILED)
    assert POLICY.recommend(evidence(failed, *in_runs([600] * count, runs))).confidence is expected


def test_its_own_runs_are_replayed() -> None:
    """Peaks of 600 MB in ten runs, then a run of 2,000: it would have been missed, and the reason says so."""
    seen = in_runs([600.0] * 40, 10)
    late = replace(attempt(task="late", memory_peak_bytes=2000 * MB), run="99", started_at_s=2e9)
    answer = POLICY.recommend(evidence(*seen, late))
    assert [one.run for one in answer.replayed[-2:]] == ["9", "99"]
    assert answer.replayed[-1].too_small == 1
    (told,) = [reason for reason in answer.all_reasons if reason.startswith("Its last ")]
    assert "too little for 1 of" in told
    assert "requested" in told


@given(st.permutations(range(12)), presets)
def test_the_order_in_which_runs_are_told_does_not_matter(order: list[int], policy: LeastCostPolicy) -> None:
    """Of a step that changed half way, with a kill for memory before that: when they began is what counts."""
    seen = in_runs([3000.0] * 6 + [1000.0] * 6, 12)
    seen[2] = replace(seen[2], outcome=Outcome.OOM, memory_limit_bytes=5000 * MB)
    assert policy.recommend(evidence(*(seen[n] for n in order))) == policy.recommend(evidence(*seen))


def test_counts_are_told_without_an_exponent() -> None:
    """Of 20,000 tasks in two runs thousands would have been expected to need more."""
    many = [one for run in range(3) for one in tasks([600.0] * 1000, run=str(run), started_at_s=1e9 + 3600 * run)]
    (told,) = [reason for reason in POLICY.recommend(evidence(*many)).all_reasons if reason.startswith("Its last ")]
    expected = re.search(r"\(([^ ]+) expected\)", told)
    assert expected
    assert re.fullmatch(r"[1-9]\d0", expected[1])


def test_what_was_long_ago_is_forgotten() -> None:
    """A year of daily runs is learned from, however many there were: work that does not grow for ever."""

    def after_one_of_3000_mb(runs: int) -> int:
        return memory(*in_runs([3000.0, *[600.0] * runs], runs + 1), requested_mb=None) or 0

    assert after_one_of_3000_mb(RUNS_LEARNED - 1) >= 3000
    assert after_one_of_3000_mb(RUNS_LEARNED) < 1000


def test_a_kill_that_is_forgotten_is_not_said_to_count() -> None:
    """Thirty-one runs later the request lies above its limit, and below what it was counted as."""
    killed = attempt(run="-", started_at_s=0.0, outcome=Outcome.OOM, memory_limit_bytes=1000 * MB)
    answer = POLICY.recommend(evidence(killed, *in_runs([1050.0] * 31, 31)))
    assert answer.memory_mb.value is not None
    assert 1050 <= answer.memory_mb.value < 1250
    (told,) = [reason for reason in answer.all_reasons if "out of memory" in reason]
    assert told.endswith("no longer counts.")


def test_what_holds_a_request_is_one_of_the_reasons() -> None:
    """For those who want to know only why it stays; nothing holds a request that fits."""
    answer = POLICY.recommend(evidence(*tasks([600], requested_cpu=8.0)))
    assert answer.held == (
        "Memory stays at 4,096 MB until 3 tasks have finished, 2 more needed.",
        "CPU stays at 8 until 3 tasks have finished (1 so far).",
    )
    assert set(answer.held) <= set(answer.all_reasons)
    assert POLICY.recommend(evidence(*tasks([3500] * 8))).held == ()


def test_vram_is_sized_as_memory_is() -> None:
    """At least the highest peak; nothing where no GPU was used."""
    vram = POLICY.recommend(evidence(*tasks([600] * 8, gpu_memory_peak_bytes=6000 * MB))).vram_mb.value
    assert vram is not None
    assert 6000 <= vram <= 9000
    assert POLICY.recommend(evidence(*tasks([600] * 8))).vram_mb.value is None


def test_vram_of_other_numbers_of_gpus_does_not_count() -> None:
    """Peaks are summed over devices: what eight held says nothing of what one has to."""
    eight = in_runs([600] * 8, 8, requested_gpu=8.0, gpu_count=8.0, gpu_memory_peak_bytes=160_000 * MB)
    later = {"requested_gpu": 1.0, "gpu_count": 1.0, "started_at_s": 2e9}
    one = tasks([600] * 2, run="one", gpu_memory_peak_bytes=20_000 * MB, **later)
    answer = POLICY.recommend(evidence(*eight, *one))
    assert answer.vram_mb.value is not None
    assert 20_000 <= answer.vram_mb.value < 60_000
    assert "20,000 MB" in answer.vram_mb.reasons[0]
    running = attempt(run="one", outcome=None, **later)
    unknown = POLICY.recommend(evidence(*eight, running)).vram_mb
    assert (unknown.value, unknown.reasons) == (
        None,
        ("What so many GPUs hold is not known: servers are matched without.",),
    )
    none = replace(running, requested_gpu=None)
    assert POLICY.recommend(evidence(*eight, none)).vram_mb.reasons == ()


def test_disk_is_asked_for_only_where_the_default_is_not_enough() -> None:
    """Kubernetes gives 10 GB unasked; a request that is far too large falls."""
    assert POLICY.recommend(evidence(*tasks([600] * 8, disk_peak_bytes=2000 * MB))).disk_mb.value is None
    large = POLICY.recommend(evidence(*tasks([600] * 8, disk_peak_bytes=20_000 * MB))).disk_mb.value
    assert large is not None
    assert large >= 20_000
    asked = tasks([600] * 8, disk_peak_bytes=2000 * MB, requested_disk_bytes=50_000 * MB)
    falls = POLICY.recommend(evidence(*asked)).disk_mb.value
    assert falls is not None
    assert 2000 <= falls < 5000


@given(peaks, st.integers(2, 1000))
def test_scaling_all_peaks_scales_the_answer(found: list[float], factor: int) -> None:
    """Floor and rounding aside: never more than 5 % and a cell of the grid apart."""
    small = memory(*tasks(found), requested_mb=None)
    large = memory(*tasks([peak * factor for peak in found]), requested_mb=None)
    assert small is not None
    assert large is not None
    assume(small > MEMORY_FLOOR_MB)
    assert large == pytest.approx(small * factor, rel=0.07, abs=10 * factor)


@given(peaks, st.integers(1, 5), st.floats(1.001, 20), presets)
def test_a_task_that_needed_more_than_was_asked_for_never_lowers_it(
    found: list[float], runs: int, times: float, policy: LeastCostPolicy
) -> None:
    """In a run of its own, after all others: what is asked for holds it."""
    seen = in_runs(found, runs)
    before = memory(*seen, requested_mb=None, policy=policy)
    assert before is not None
    more = replace(attempt(run="more", task="more", memory_peak_bytes=round(before * times * MB)), started_at_s=2e9)
    after = memory(*seen, more, requested_mb=None, policy=policy)
    assert after is not None
    assert after >= before * times * (1 - 1e-9)


@given(peaks, st.integers(1, 500_000), st.floats(1, 500_000), st.one_of(st.none(), st.integers(1, 500_000)), presets)
def test_an_added_oom_never_lowers_the_request(
    found: list[float], requested_mb: int, limit_mb: float, peak_mb: int | None, policy: LeastCostPolicy
) -> None:
    """Whatever its limit was, and whatever was read before the kill."""
    killed = attempt(
        task="killed",
        started_at_s=0.0,
        outcome=Outcome.OOM,
        memory_limit_bytes=int(limit_mb * MB),
        memory_peak_bytes=None if peak_mb is None else peak_mb * MB,
    )
    before = memory(*tasks(found), requested_mb=requested_mb, policy=policy)
    after = memory(*tasks(found), killed, requested_mb=requested_mb, policy=policy)
    assert before is not None
    assert after is not None
    assert after >= before
    assert after * MB >= limit_mb * MB
