"""Devices to ask for, and how much of what was held did nothing."""

from __future__ import annotations

import random
from dataclasses import replace
from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.analyzer.sizing.gpu import GpuUse, advise, use
from stepsize.analyzer.usage import Attempt, StepEvidence
from stepsize.model import Outcome
from tests.analyzer.rows import MB, attempt, evidence, tasks

HOUR_S = 3600.0


def gpus(count: int = 8, **values: Any) -> tuple[Attempt, ...]:
    """Finished tasks of an hour on the one GPU that they asked for, busy nearly all of the time."""
    return tasks(
        [600.0] * count,
        **{
            "duration_s": HOUR_S,
            "gpu_count": 1.0,
            "gpu_utilization_mean": 0.9,
            "gpu_utilization_max": 1.0,
            "gpu_memory_peak_bytes": 10_000 * MB,
            "requested_gpu": 1.0,
            **values,
        },
    )


def known_use(*attempts: Attempt) -> GpuUse:
    """What was used, where something was."""
    found = use(evidence(*attempts))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("used", "requested", "count", "expected"),
    [
        (1.0, 4.0, 3, 1),
        (1.5, 4.0, 3, 2),
        (1.0, 4.0, 2, None),
        (0.0, 1.0, 3, 0),
        (0.0, 1.0, 2, None),
        (2.0, 1.0, 1, 2),
        (1.0, 1.0, 9, None),
        (1.0, 0.5, 9, None),
        (None, 1.0, 9, None),
        (0.0, None, 9, None),
        (None, None, 9, None),
        (1.0, None, 1, 1),
    ],
)
def test_devices_are_the_most_in_use_at_once(
    used: float | None, requested: float | None, count: int, expected: int | None
) -> None:
    """Raised by one task that used more; lowered from three tasks on; kept where none could be read."""
    assert advise(evidence(*gpus(count, gpu_count=used, requested_gpu=requested))).value == expected


def test_a_gpu_that_is_used_is_no_news() -> None:
    """What is asked for and busy gets one plain sentence."""
    assert advise(evidence(*gpus())).reasons == ("1 GPU in use at once at most.",)


def test_a_gpu_that_was_never_used_is_left() -> None:
    """With what it cost, and the other thing that it may mean."""
    answer = advise(evidence(*gpus(gpu_count=0.0, gpu_utilization_mean=0.0, gpu_memory_peak_bytes=None)))
    assert answer.value == 0
    assert answer.reasons == (
        (
            "The GPU asked for was never used in 8 attempts, 8.0 device hours: without one the step would run as it "
            "did. If it is meant to use one, its libraries do not find it."
        ),
    )


def test_tasks_too_short_to_be_seen_on_a_device_do_not_take_it_away() -> None:
    """Between two samples a task of a few seconds may have come and gone."""
    answer = advise(evidence(*gpus(30, gpu_count=0.0, duration_s=4.0)))
    assert answer.value is None
    assert answer.held == "GPUs stay at 1 until 3 tasks of 10 s or more have finished (0 so far)."


def test_a_failed_attempt_proves_use_but_not_its_absence() -> None:
    """It may have failed before it came to use its device; if it was on two, two are needed."""
    failed = gpus(9, gpu_count=0.0, outcome=Outcome.FAILED)
    assert advise(evidence(*failed)).value is None
    proof = attempt(task="x", gpu_count=2.0, outcome=Outcome.FAILED, requested_gpu=4.0)
    assert advise(evidence(*gpus(requested_gpu=4.0), proof)).value == 2


def runs(first: int, count: int, **values: Any) -> list[Attempt]:
    """Runs of one task each, from the number ``first`` on, which began in this order."""
    return [
        attempt(run=str(run), started_at_s=1e9 + run, duration_s=3600.0, **values)
        for run in range(first, first + count)
    ]


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        # Four were asked for and used; since then the step asks for fewer, which it runs with.
        ((4.0, 4.0), (1.0, 1.0), None),
        ((4.0, 4.0), (None, 0.0), None),
        ((4.0, 4.0), (1.0, None), None),
        ((4.0, 2.0), (2.0, 2.0), None),
        # One was asked for and used; what the step does with more is to be seen yet.
        ((1.0, 1.0), (4.0, 4.0), None),
        ((1.0, 1.0), (4.0, 2.0), 2),
        # More than is asked for now.
        ((4.0, 4.0), (1.0, 2.0), 2),
    ],
)
def test_what_a_step_did_when_it_asked_for_others_does_not_count(
    before: tuple[float | None, float | None], now: tuple[float | None, float | None], expected: int | None
) -> None:
    """A program takes what it finds: use under another request says nothing of this one."""
    (had, used), (has, uses) = before, now
    old = runs(0, 5, requested_gpu=had, gpu_count=used)
    new = runs(10, 5, requested_gpu=has, gpu_count=uses)
    assert advise(evidence(*old, *new)).value == expected


def test_a_new_request_is_kept_until_an_attempt_has_ended_with_it() -> None:
    """What was used under the request before it does not take the devices away again."""
    old = runs(0, 5, requested_gpu=1.0, gpu_count=1.0)
    running = runs(10, 1, requested_gpu=4.0, gpu_count=1.0, outcome=None)
    answer = advise(evidence(*old, *running))
    assert (answer.value, answer.held) == (None, "GPUs stay at 4: no attempt that asked for so many has ended.")


def test_a_retry_that_asks_for_more_belongs_to_its_task() -> None:
    """What it was on counts, though it was given more than the first attempt."""
    first = runs(0, 3, requested_gpu=1.0, gpu_count=1.0, outcome=Outcome.FAILED)
    again = runs(0, 3, requested_gpu=2.0, gpu_count=2.0, attempt=1)
    assert advise(evidence(*first, *again)).value == 2


def test_a_first_attempt_that_is_there_twice_counts_alike_in_any_order() -> None:
    """Rows of several lakes may say so; the larger request of the two is the task's."""
    twice = [attempt(task="1", started_at_s=1e9 + n, gpu_count=2.0, requested_gpu=n * 1.0) for n in (1, 2)]
    (one,) = runs(0, 1, requested_gpu=1.0, gpu_count=1.0)
    newest = replace(one, run="new", started_at_s=2e9)
    assert advise(evidence(*twice, newest)) == advise(evidence(*reversed(twice), newest)) == advise(evidence(newest))


def test_too_little_evidence_claims_nothing_of_what_the_step_needs() -> None:
    """Two tasks that were on no device are no proof that the step runs without."""
    assert advise(evidence(*gpus(2, gpu_count=0.0))).reasons[0] == (
        "The GPU asked for was never seen in use in 2 attempts, 2.0 device hours."
    )


def test_idle_time_is_told_by_where_it_lay() -> None:
    """Of four devices one was used, for half of the time: 3 and 0.5 of 4 hours did nothing."""
    found = known_use(*gpus(3, requested_gpu=4.0, gpu_utilization_mean=0.5))
    assert found.held_device_hours == pytest.approx(12)
    assert found.never_used_device_hours == pytest.approx(9)
    assert found.idle_device_hours == pytest.approx(1.5)
    assert found.unused_share == pytest.approx(3.5 / 4)
    assert advise(evidence(*gpus(3, requested_gpu=4.0, gpu_utilization_mean=0.5))).reasons == (
        "1 GPU in use at once at most.",
        (
            "Of 12.0 device hours held, 88% did nothing: 9.0 on devices that were never used and 1.5 while nothing ran "
            "on the device."
        ),
    )


def test_use_that_was_not_told_counts_neither_as_busy_nor_as_idle() -> None:
    """Devices whose utilization a driver does not tell are in no share."""
    untold = gpus(2, requested_gpu=2.0, gpu_utilization_mean=None, gpu_utilization_max=None)
    found = known_use(*untold)
    assert (found.unused_share, found.utilization, found.idle_device_hours) == (None, None, 0.0)
    assert found.never_used_device_hours == pytest.approx(2)
    told = tuple(attempt(**{**_values(one), "task": f"t{one.task}"}) for one in gpus(2, gpu_utilization_mean=0.25))
    mixed = known_use(*untold, *told)
    assert mixed.utilization == pytest.approx(0.25)
    assert mixed.unused_share == pytest.approx(0.75)


def _values(one: Attempt) -> dict[str, Any]:
    return {name: getattr(one, name) for name in Attempt.__slots__}


def test_a_device_used_little_could_be_a_smaller_one() -> None:
    """A sentence with what was measured; the number of devices stays."""
    little = gpus(gpu_utilization_mean=0.12, gpu_utilization_max=1.0, gpu_memory_peak_bytes=3_100 * MB)
    answer = advise(evidence(*little))
    assert answer.value is None
    assert answer.reasons[-1] == (
        "The GPU was busy for 12% of the time and held 3,100 MB of memory at most: a smaller model, or a share of one "
        "where the platform gives them out, would do if it has that much; what kept it fully busy at times would take "
        "longer."
    )
    assert not any("smaller" in reason for reason in advise(evidence(*little[:2])).reasons)


def test_devices_that_are_busy_for_fewer_are_told() -> None:
    """Four in use whose work would have filled two at its busiest."""
    answer = advise(
        evidence(*gpus(gpu_count=4.0, requested_gpu=4.0, gpu_utilization_mean=1.5, gpu_utilization_max=1.8))
    )
    assert answer.value is None
    assert answer.reasons[-1] == (
        "Together they were never busier than 1.8 of the 4: fewer would do, if the program can work with fewer."
    )
    two = gpus(gpu_count=2.0, requested_gpu=2.0, gpu_utilization_mean=1.5, gpu_utilization_max=1.8)
    assert not any("never busier" in reason for reason in advise(evidence(*two)).reasons)  # one would not do


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"requested_gpu": None}, "None was asked for: where devices are given out by request, it will find none."),
        (
            {"requested_gpu": None, "requested_cpu": None, "requested_memory_bytes": None},
            "What the step asked for is not known.",
        ),
        (
            {"requested_gpu": 1.0, "gpu_count": 3.0},
            "That is more than the 1 asked for: where it ran, the request was no limit.",
        ),
    ],
)
def test_use_beyond_the_request_is_told_apart(values: dict[str, Any], said: str) -> None:
    """Used without being asked for, with a request that is not known, or more than was asked for."""
    assert said in advise(evidence(*gpus(**values))).reasons


def test_attempts_that_could_not_be_read_are_counted() -> None:
    """As a sentence beside what the others show; alone they keep the request."""
    unread = attempt(task="x", requested_gpu=1.0)
    assert advise(evidence(*gpus(), unread)).reasons[-1] == "In 1 attempt more GPUs could not be read."
    assert advise(evidence(unread)).held == "GPUs stay as they are: none could be read where the step ran."
    assert use(evidence(unread)) is None
    nothing_asked = gpus(2, requested_gpu=None)
    assert known_use(*nothing_asked, replace(unread, requested_gpu=None)).unread == 0


attempts = st.builds(
    attempt,
    task=st.integers(0, 9).map(str),
    run=st.integers(0, 3).map(str),
    outcome=st.sampled_from([*Outcome, None]),
    duration_s=st.none() | st.floats(0, 1e6),
    gpu_count=st.none() | st.integers(0, 8).map(float),
    gpu_utilization_mean=st.none() | st.floats(0, 8),
    gpu_utilization_max=st.none() | st.floats(0, 8),
    gpu_memory_peak_bytes=st.none() | st.integers(0, 80 * 10**9),
    requested_gpu=st.none() | st.sampled_from([0.0, 0.5, 1.0, 2.0, 8.0]),
)


@given(st.lists(attempts, max_size=12, unique_by=lambda one: one.task_key), st.randoms(use_true_random=False))
def test_whatever_was_seen_the_figures_hold_together(seen: list[Attempt], shuffled: random.Random) -> None:
    """Shares lie between 0 and 1, parts do not exceed the whole, nothing that was used under the newest request is
    taken away, and the order of the evidence does not matter."""
    step = evidence(*seen)
    found, answer = use(step), advise(step)
    again = list(seen)
    shuffled.shuffle(again)
    asked = (step.newest.requested_gpu or 0.0) if step.newest else 0.0
    counted = [a for a in step.ended if (a.requested_gpu or 0.0) == asked]
    known = max((a.gpu_count for a in counted if a.gpu_count is not None), default=None)
    assert (found is None) == (known is None)
    if answer.value is not None:
        assert known is not None
        assert answer.value >= ceil(known)
    if found is not None:
        assert found.never_used_device_hours + found.idle_device_hours <= found.held_device_hours * (1 + 1e-9)
        assert min(found.never_used_device_hours, found.idle_device_hours) >= 0
        assert found.unused_share is None or 0 <= found.unused_share <= 1 + 1e-9
        assert found.utilization is None or 0 <= found.utilization <= 1
    shuffled_step = StepEvidence(flow=step.flow, step=step.step, attempts=tuple(again))
    if step.newest == shuffled_step.newest:
        assert advise(shuffled_step) == answer
