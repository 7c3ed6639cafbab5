"""How long an attempt may run."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.analyzer.sizing.timeout import FEWEST_TASKS, SETUP_S, advise, decorator, least_cost_s, said, times
from stepsize.analyzer.usage import Attempt, Query, StepEvidence, histories
from stepsize.model import Outcome
from stepsize.testing import write_tasks
from tests.analyzer.rows import NOON, attempt, evidence, row

MINUTE_S, HOUR_S = 60.0, 3600.0


def ran(*minutes: float, run: str = "1", first: int = 0, **values: Any) -> tuple[Attempt, ...]:
    """One finished task for each run time."""
    return tuple(
        attempt(task=str(number), run=run, duration_s=one * MINUTE_S, **values)
        for number, one in enumerate(minutes, first)
    )


EVEN = tuple(one for run in range(6) for one in ran(10.0, 12.0 if run == 3 else 11.0, run=str(run)))
"""Twelve tasks in six runs of 10 to 12 minutes."""


def with_timeout(minutes: float, attempts: tuple[Attempt, ...] = EVEN) -> tuple[Attempt, ...]:
    """The same, each under this timeout."""
    return tuple(
        attempt(task=a.task, run=a.run, duration_s=a.duration_s, requested_timeout_s=minutes * 60) for a in attempts
    )


def test_a_step_without_a_timeout_is_given_one() -> None:
    """Twice its longest time, room for what comes before the step, rounded up; with sentences to check."""
    answer = advise(evidence(*EVEN))
    assert answer.value == 30 * 60
    assert answer.reasons == (
        "Of 12 tasks that ended well the longest took 12 min (3/train/1), half of them up to 10 min.",
        "30 min is twice the longest, and 5 min for a pod or job to start.",
    )
    assert decorator(answer.value) == "@timeout(minutes=30)"


def test_times_that_differ_and_few_runs_get_more_room() -> None:
    """Tasks that take from a minute to an hour, or that were seen in one run alone, may take more than twice the
    longest next."""
    spread = tuple(one for run in range(6) for one in ran(1, 8, 3 + 11.4 * run, run=str(run)))
    even = tuple(one for run in range(6) for one in ran(58, 59, 60, run=str(run)))
    for uncertain, said_so in (
        (spread, "times the longest, which 6 runs leave possible"),
        (ran(30, 40, 45, 50, 52, 55, 58, 60), "times the longest, which 1 run leaves possible"),
    ):
        answer = advise(evidence(*uncertain))
        assert answer.value is not None
        assert answer.value > (advise(evidence(*even)).value or 0) > 2 * HOUR_S
        assert said_so in answer.reasons[1]


def test_few_tasks_are_no_ground_for_a_timeout() -> None:
    """How many more are needed is said, and nothing else."""
    answer = advise(evidence(*ran(10, 10, 10)))
    assert answer.value is None
    assert answer.reasons == (f"A timeout is advised from {FEWEST_TASKS} finished tasks on, 5 more needed.",)
    assert advise(evidence()).reasons == ()
    assert advise(evidence(attempt(outcome=None))).reasons == ()


@pytest.mark.parametrize(
    ("minutes", "expected_minutes"),
    [(13, 30), (20, 30), (25, None), (30, None), (119, None), (121, 30)],
)
def test_a_timeout_moves_where_it_is_too_near_or_far_too_long(minutes: float, expected_minutes: int | None) -> None:
    """Between four fifths and four times of what would be advised it stays."""
    answer = advise(evidence(*with_timeout(minutes)))
    assert answer.value == (expected_minutes and expected_minutes * 60)
    assert bool(answer.reasons) == (expected_minutes is not None)


def test_one_task_that_comes_near_its_timeout_is_enough_to_raise_it() -> None:
    """It takes no eight tasks to see that the next may be ended; to lower it it does."""
    near = advise(evidence(*with_timeout(15, ran(12))))
    assert near.value is not None
    assert near.value >= 30 * 60
    assert near.reasons[:2] == (
        "The 1 task that ended well took 12 min (1/train/0).",
        "The step's timeout is 15 min, which a slow machine may make too short.",
    )
    assert advise(evidence(*with_timeout(600, ran(12)))).value is None


def test_attempts_that_a_timeout_ended_raise_it_where_others_come_near() -> None:
    """Of tasks that take 10 to 12 minutes, one that was ended at 20 may have needed longer: twice 20, and 5."""
    ended = attempt(
        task="x", run="3", outcome=Outcome.FAILED, duration_s=20 * MINUTE_S + 2, requested_timeout_s=20 * MINUTE_S
    )
    answer = advise(evidence(*with_timeout(20), ended))
    assert answer.value == 45 * 60
    assert answer.reasons[-2:] == (
        "1 attempt was ended by a timeout of 20 min: others took as much as 12 min, so that may have been too short.",
        "45 min is twice the time that was not enough, and 5 min for a pod or job to start.",
    )


def test_a_timeout_that_was_raised_too_little_is_raised_again_by_few_tasks() -> None:
    """From 20 minutes, which were not enough for one task, to 24: twice the longest of three tasks, not twice 20."""
    few = with_timeout(24, ran(10, 11, 12))
    assert advise(evidence(*few)).value is None
    ended = attempt(task="x", run="0", outcome=Outcome.FAILED, duration_s=20 * MINUTE_S, requested_timeout_s=1200.0)
    assert advise(evidence(*few, replace(ended, started_at_s=0.0))).value == 45 * 60


def test_times_of_long_ago_leave_less_possible() -> None:
    """All of them bound a timeout; how far times may go above it is learned from the newest six hundred."""
    uneven, even = [600 / (600 - n) for n in range(600)], [10.0] * 600

    def over_longest(older: list[float], newer: list[float]) -> float:
        old = ran(*older, started_at_s=1e9)
        found = times(evidence(*old, *ran(*newer, first=len(old), started_at_s=2e9)))
        assert found is not None
        return found.timeout_s / found.longest_s

    assert over_longest(uneven, even) == 2
    assert over_longest(even, uneven) == over_longest(uneven, uneven) > 2.5


def test_attempts_that_hung_do_not_raise_it() -> None:
    """What takes 12 minutes at most and was ended after an hour has hung: that is what a timeout is for."""
    hung = tuple(
        attempt(task=f"x{n}", outcome=Outcome.KILLED, duration_s=58 * MINUTE_S, requested_timeout_s=HOUR_S)
        for n in range(2)
    )
    answer = advise(evidence(*with_timeout(60), *hung))
    assert answer.value is None
    (said_so,) = answer.reasons
    assert said_so == (
        "2 attempts were ended by a timeout of 1 h: those that ended well took 12 min at most, so they seem to have "
        "hung."
    )


@pytest.mark.parametrize(
    ("outcome", "minutes", "by_timeout"),
    [
        (Outcome.FAILED, 60, True),  # an error in the task, when the time is over
        (Outcome.FAILED, 58, False),  # an error of its own
        (Outcome.KILLED, 58, True),  # a pod, whose time began before the task's
        (Outcome.LOST, 56, True),
        (Outcome.KILLED, 50, False),
        (Outcome.OOM, 60, False),
        (Outcome.OK, 60, False),
    ],
)
def test_attempts_that_a_timeout_ended_are_told_from_others(outcome: Outcome, minutes: float, by_timeout: bool) -> None:
    """By how they ended, and how long they ran."""
    other = attempt(task="x", outcome=outcome, duration_s=minutes * MINUTE_S, requested_timeout_s=HOUR_S)
    said_so = [reason for reason in advise(evidence(*with_timeout(60), other)).reasons if "was ended by" in reason]
    assert bool(said_so) == by_timeout


def test_where_none_ended_well_nothing_is_advised() -> None:
    """Whether they hung or needed longer cannot be told."""
    ended = attempt(outcome=Outcome.LOST, duration_s=HOUR_S, requested_timeout_s=HOUR_S)
    answer = advise(evidence(ended))
    assert answer.value is None
    (said_so,) = answer.reasons
    assert said_so == (
        "1 attempt was ended by a timeout of 1 h and no task ended well: whether they hung or needed longer is not to "
        "be seen from here."
    )


def test_what_runs_for_longer_than_advised_is_said() -> None:
    """An attempt that still runs, or did not end well, may show that the step can take longer."""
    running = attempt(task="x", outcome=None, duration_s=9 * HOUR_S)
    assert advise(evidence(*EVEN, running)).reasons[-1] == (
        "1 attempt that did not end well, or not yet, ran for longer: up to 9 h."
    )


def test_what_a_timeout_ended_is_told_once() -> None:
    """An attempt that hung until its timeout of 9 h ran for longer than what is advised: that is the same news."""
    hung = attempt(task="x", outcome=Outcome.KILLED, duration_s=9 * HOUR_S, requested_timeout_s=9 * HOUR_S)
    told = [reason for reason in advise(evidence(*with_timeout(540), hung)).reasons if "9 h" in reason]
    assert told == [
        "The step's timeout is 9 h, for which a task that hangs would be held.",
        "1 attempt was ended by a timeout of 9 h: those that ended well took 12 min at most, so it seems to have hung.",
    ]


@pytest.mark.parametrize(
    ("target", "days", "warned"),
    [("fargate", 8, True), ("gcp-batch", 8, True), ("fargate", 6, False), ("slurm", 8, False), (None, 8, False)],
)
def test_a_platform_that_may_end_it_sooner_is_named(target: str | None, days: float, warned: bool) -> None:
    """Where twice the longest time is more than the fourteen days after which it may."""
    minutes = days * 24 * 60
    answer = advise(evidence(*(one for run in "1234" for one in ran(minutes, minutes, run=run, target=target))))
    assert answer.value is not None
    assert answer.value >= 2 * days * 24 * HOUR_S
    assert answer.reasons[-1].endswith(" may end what runs for longer than 14 d.") is warned


def test_a_retry_counts_with_its_own_time() -> None:
    """A timeout is per attempt: what came before a retry is not added."""
    retried = attempt(task="0", attempt=1, duration_s=11 * MINUTE_S)
    failed = attempt(task="0", outcome=Outcome.FAILED, duration_s=10 * MINUTE_S)
    found = times(evidence(*ran(*[10.0] * 8, first=1), failed, retried))
    assert found is not None
    assert (found.tasks, found.longest_s) == (9, 11 * MINUTE_S)


@pytest.mark.parametrize(
    ("duration_s", "expected"),
    [
        (0.0, "0 s"),
        (0.00001, "0 s"),
        (0.4, "0.4 s"),
        (9.96, "10 s"),
        (90, "90 s"),
        (119.9, "120 s"),
        (121, "2 min 1 s"),
        (400, "6 min 40 s"),
        (599.6, "10 min"),
        (725, "12 min"),
        (3599, "1 h"),
        (5400, "1 h 30 min"),
        (86_400, "24 h"),
        (54 * 3600, "2 d 6 h"),
        (72 * 3600, "3 d"),
    ],
)
def test_durations_read_as_a_person_says_them(duration_s: float, expected: str) -> None:
    """Seconds, minutes, hours, days."""
    assert said(duration_s) == expected


def test_a_decorator_has_the_parts_that_are_not_zero() -> None:
    """Metaflow adds its arguments up."""
    assert decorator(5430) == "@timeout(hours=1, minutes=30, seconds=30)"
    assert decorator(7200) == "@timeout(hours=2)"


def test_the_timeout_of_a_step_comes_from_the_lake(tmp_path: Path) -> None:
    """The column of `tasks` is what an attempt was given."""
    with write_tasks(tmp_path, [row(started_at=NOON, requested_timeout_s=5400.0)]).connect() as connection:
        (step,) = histories(connection, Query())
    assert step.attempts[0].requested_timeout_s == 5400.0


seconds = st.floats(0.1, 10**6)
well = st.builds(
    attempt,
    task=st.integers(0, 30).map(str),
    run=st.integers(0, 3).map(str),
    duration_s=seconds,
    started_at_s=st.none() | st.floats(0, 1e9),
    requested_timeout_s=st.sampled_from([None, 600.0, 7200.0]),
)
ended = st.builds(
    attempt,
    task=st.integers(40, 50).map(str),
    outcome=st.sampled_from([Outcome.FAILED, Outcome.KILLED, Outcome.LOST]),
    started_at_s=st.just(0.0),
    attempt=st.just(1),
    duration_s=seconds,
    requested_timeout_s=st.none() | seconds,
)


@given(st.lists(well, max_size=20), st.lists(ended, max_size=4), st.randoms(use_true_random=False))
def test_whatever_was_seen_no_task_that_ended_well_would_have_been_ended(
    finished: list[Attempt], unwell: list[Attempt], shuffled: random.Random
) -> None:
    """An answer is twice the longest at least, with room; what a timeout ended never lowers it; the order of the
    evidence does not matter."""
    step = evidence(*finished, *unwell)
    answer = advise(step)
    if answer.value is not None:
        assert answer.value >= (2 * max(one.duration_s or 0 for one in finished) + SETUP_S) * (1 - 1e-9)
        assert answer.value >= (advise(evidence(*finished)).value or 0)
    again = [*finished, *unwell]
    shuffled.shuffle(again)
    other = StepEvidence(flow=step.flow, step=step.step, attempts=tuple(again))
    if other.newest == step.newest:
        assert advise(other) == answer


@given(st.lists(seconds, min_size=1, max_size=30), st.integers(1, 10), st.floats(1.1, 100))
def test_the_scale_of_time_does_not_matter(durations_s: list[float], runs: int, scale: float) -> None:
    """Tasks that take so many times as long get so many times the timeout, rounding aside."""
    slow = [10 * duration_s + 1 for duration_s in durations_s]
    scaled = [scale * duration_s for duration_s in slow]
    assert least_cost_s(scaled, runs) == pytest.approx(scale * least_cost_s(slow, runs), rel=0.03)


@pytest.mark.parametrize("duration_s", [0.0, 0.002, 0.4])
def test_a_task_of_no_time_is_given_room_to_start(duration_s: float) -> None:
    """What a pod or job does first is what its timeout is for: no multiple of next to nothing."""
    advice = advise(evidence(*ran(*[duration_s / MINUTE_S] * 20)))
    assert advice.value == 360
    assert advice.reasons[-1] == "6 min is little more than the 5 min that a pod or job may take to start."


def test_a_timeout_that_is_less_than_a_task_took_is_told_as_such() -> None:
    """It was made shorter since, or a step went on when its time was over."""
    advice = advise(evidence(*ran(*[500 / MINUTE_S] * 20, requested_timeout_s=400.0)))
    assert advice.value == 1500
    assert advice.reasons[1] == "The step's timeout is 6 min 40 s, which is less than that took."
