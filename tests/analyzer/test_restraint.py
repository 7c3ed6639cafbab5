"""When a request rises, falls or stays."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from stepsize.analyzer.sizing.least_cost import balanced, safe
from stepsize.analyzer.sizing.policy import Recommendation
from stepsize.analyzer.usage import Attempt
from stepsize.model import Outcome
from tests.analyzer.rows import MB, attempt, evidence, in_runs, tasks


def answer_of(*attempts: Attempt, requested_mb: int | None) -> Recommendation:
    """What is advised where the step asks for so much."""
    asked = None if requested_mb is None else requested_mb * MB
    return safe().recommend(evidence(*(replace(one, requested_memory_bytes=asked) for one in attempts)))


def memory(*attempts: Attempt, requested_mb: int | None) -> int | None:
    """MB to ask for, with the request where it is to be kept."""
    return answer_of(*attempts, requested_mb=requested_mb).memory_mb.value or requested_mb


def test_raising_needs_one_task() -> None:
    """It is proof."""
    asked = memory(*tasks([600]), requested_mb=500)
    assert asked is not None
    assert asked > 600


@pytest.mark.parametrize("finished", [1, 2, 200])
def test_one_task_that_ran_out_of_memory_is_proof(finished: int) -> None:
    """However few or many others finished with less than what is asked for."""
    out = {"outcome": Outcome.OOM, "memory_peak_bytes": None, "memory_limit_bytes": 1000 * MB}
    asked = memory(
        *in_runs([600] * finished, finished), attempt(run="last", started_at_s=2e9, **out), requested_mb=1000
    )
    assert asked is not None
    assert asked >= 1250


def test_what_only_may_be_needed_raises_from_three_tasks_on() -> None:
    """More than the 640 MB asked for is likely after runs of 600; after one task nobody knows, after many it is not."""
    raised = memory(*tasks([600] * 3), requested_mb=640)
    assert raised is not None
    assert raised > 640
    assert memory(*tasks([600] * 2), requested_mb=640) == 640
    assert memory(*in_runs([600] * 200, 200), requested_mb=640) == 640


def test_a_raise_of_less_than_a_tenth_that_nothing_needed_is_not_worth_an_edit() -> None:
    """Else advice that is followed goes up and down with each run; a task that did need more raises it by any step."""
    seen = tasks([600] * 3)
    would_do = memory(*seen, requested_mb=None)
    assert would_do is not None
    near = round(would_do / 1.08)
    assert near > 600
    answer = answer_of(*seen, requested_mb=near)
    assert answer.memory_mb.value is None
    assert answer.memory_mb.held.endswith(f"{would_do:,} MB, where the cost is least, is less than a tenth above it.")
    assert memory(*tasks([600, 600, near + 1]), requested_mb=near) != near


def test_that_the_next_run_may_differ_as_a_whole_raises_nothing() -> None:
    """Three runs of a hundred tasks alike, which asked for less than the floor: by their runs alone more than 1 in 100
    next tasks are expected to need more, by their tasks fewer."""
    peaks = [50 + n % 7 / 2 for n in range(100)]
    alike = [one for run in range(3) for one in tasks(peaks, run=str(run), started_at_s=1e9 + 3600 * run)]
    answer = answer_of(*alike, requested_mb=60)
    assert answer.memory_mb.value is None
    expected = re.search(r"([\d.]+) of 1,000 next tasks are expected to\.$", answer.memory_mb.held)
    assert expected
    assert float(expected[1]) > 10


@pytest.mark.parametrize(("requested_mb", "raised"), [(4300, True), (5300, True), (5500, False)])
def test_a_growing_step_is_raised_before_it_outgrows_its_request(requested_mb: int, raised: bool) -> None:
    """Nothing has needed more, the next run is expected to take 4,358 MB and the last of the next seven 5,365: what is
    likely to be too little for that is raised by however little, what is enough for it is kept."""
    grown = in_runs([1000 + 3190 * run / 19 for run in range(20)], 20, requested_memory_bytes=requested_mb * MB)
    answer = balanced().recommend(evidence(*grown))
    assert (answer.memory_mb.value or 0) == (5850 if raised else 0)
    asked = f"No task has needed more than the {requested_mb:,} MB asked for, but "
    said = [reason.removeprefix(asked) for reason in answer.all_reasons if reason.startswith(asked)]
    assert len(said) == raised
    if requested_mb == 5300:
        assert re.match(r"as it grows [\d.,]+ of 1,000 tasks of a later run are expected to\.$", said[0])
    if requested_mb == 4300:
        assert re.match(r"[\d.,]+ of 1,000 next tasks are expected to\.$", said[0])


def test_a_fall_of_less_than_a_tenth_is_not_worth_an_edit() -> None:
    """What would do is within a tenth of what is asked for: kept."""
    would_do = memory(*tasks([550] * 8), requested_mb=4096)
    assert would_do is not None
    near, far = round(would_do * 1.08), round(would_do * 1.13)
    assert memory(*tasks([550] * 8), requested_mb=near) == near
    assert memory(*tasks([550] * 8), requested_mb=far) == would_do


@pytest.mark.parametrize(("runs", "counts"), [(29, True), (30, False)])
def test_a_kill_counts_for_thirty_runs(runs: int, counts: bool) -> None:
    """Its own is one of them; whatever made it so is gone by then."""
    killed = attempt(run="-", started_at_s=0.0, outcome=Outcome.OOM, memory_limit_bytes=4096 * MB)
    asked = memory(killed, *in_runs([600] * runs, runs), requested_mb=4096)
    assert asked is not None
    assert (asked >= 5120) is counts
