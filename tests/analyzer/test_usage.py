"""Evidence from a real lake."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from stepsize.analyzer.usage import Query, StepEvidence, histories, known
from stepsize.model import Outcome, cpu_bucket
from stepsize.testing import write_tasks
from tests.analyzer.rows import MB, NOON, row

if TYPE_CHECKING:
    from pathlib import Path


def read(data: Path, rows: list[dict[str, Any]], **query: Any) -> list[StepEvidence]:
    connection = write_tasks(data, rows).connect()
    try:
        return list(histories(connection, Query(**query)))
    finally:
        connection.close()


def test_every_task_of_a_foreach_is_an_attempt_of_its_step(tmp_path: Path) -> None:
    """None of a hundred siblings is left out."""
    (step,) = read(tmp_path, [row(task=str(n), memory_peak_bytes=n * MB) for n in range(100)])
    assert sorted(attempt.memory_peak_bytes or 0 for attempt in step.attempts) == [n * MB for n in range(100)]


def test_every_outcome_is_evidence_and_running_ones_are_told_apart(tmp_path: Path) -> None:
    """Failed, killed, lost and out-of-memory attempts are kept; what still runs has no outcome."""
    outcomes = ["ok", "failed", "killed", "oom", "lost", "unknown", None]
    (step,) = read(tmp_path, [row(task=str(n), outcome=outcome) for n, outcome in enumerate(outcomes)])
    assert {attempt.outcome for attempt in step.attempts} == {*Outcome, None}
    assert len(step.ended) == 6
    assert len(step.succeeded) == 1


def test_an_outcome_that_is_not_known_here_is_unknown(tmp_path: Path) -> None:
    """A lake that something newer wrote to: the attempt is over, and how is not known."""
    (step,) = read(tmp_path, [row(outcome="evicted")])
    assert [attempt.outcome for attempt in step.ended] == [Outcome.UNKNOWN]


def test_columns_arrive_in_their_fields(tmp_path: Path) -> None:
    """What the lake says of an attempt is what the evidence says."""
    (step,) = read(tmp_path, [row(gpu_count=2.0, disk_peak_bytes=7, memory_limit_bytes=9, attempt=3, host_cpus=16)])
    (attempt,) = step.attempts
    assert (attempt.gpu_count, attempt.disk_peak_bytes, attempt.memory_limit_bytes) == (2.0, 7, 9)
    assert (attempt.attempt, attempt.host_cpus, attempt.started_at_s) == (3, 16, NOON.timestamp())


def test_histograms_add_up_over_the_attempts_that_ended(tmp_path: Path) -> None:
    """Bucket by bucket; attempts without one, or still running, add nothing."""
    one, four = cpu_bucket(1.0), cpu_bucket(4.0)
    (step,) = read(
        tmp_path,
        [
            row(task="1", cpu_histogram={one: 10.0, four: 1.0}),
            row(task="2", cpu_histogram={one: 5.0}, outcome="failed"),
            row(task="3", cpu_histogram=None),
            row(task="4", cpu_histogram={four: 100.0}, outcome=None),
        ],
    )
    assert [(bucket.bucket, bucket.seconds) for bucket in step.cpu_histogram] == [(one, 15.0), (four, 1.0)]


def test_production_and_other_branches_have_histories_of_their_own(tmp_path: Path) -> None:
    """A test run never shrinks production; Metaflow names production `prod` or `prod.NAME`."""
    branches = ["prod", "prod.eu", "test.prod", "user.ann", "production", None]
    steps = read(tmp_path, [row(project="p", branch=branch, run=str(n)) for n, branch in enumerate(branches)])
    assert [(step.production, len(step.attempts)) for step in steps] == [(True, 2), (False, 4)]


def test_projects_have_histories_of_their_own(tmp_path: Path) -> None:
    """The same flow, run and task number in two projects and in none are three."""
    steps = read(tmp_path, [row(project=project) for project in ("a", "b", None)])
    assert [(step.project, len(step.attempts)) for step in steps] == [(None, 1), ("a", 1), ("b", 1)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {"A/start", "A/end", "B/start"}),
        ({"flow": "A"}, {"A/start", "A/end"}),
        ({"flow": "A", "step": "end"}, {"A/end"}),
        ({"flow": "C"}, set()),
        ({"branch": "user.*"}, {"A/end"}),
        ({"branch": "user.ann"}, {"A/end"}),
        ({"origin": "schedule"}, {"B/start"}),
        ({"since": NOON - timedelta(days=1)}, {"A/end", "B/start"}),
    ],
)
def test_filters(tmp_path: Path, query: dict[str, Any], expected: set[str]) -> None:
    """Each filter keeps what it names, together all that pass."""
    rows = [
        row(flow="A", step="start", started_at=NOON - timedelta(days=3)),
        row(flow="A", step="end", branch="user.ann"),
        row(flow="B", step="start", run_origin="schedule"),
    ]
    assert {f"{step.flow}/{step.step}" for step in read(tmp_path, rows, **query)} == expected


def test_runs_keeps_the_newest_of_each_flow(tmp_path: Path) -> None:
    """Newest by when they began, not by their number; a step is looked up in those runs of its flow."""
    rows = [
        row(flow=flow, run=run, step=step, started_at=NOON + timedelta(hours=hour))
        for flow in ("A", "B")
        for run, hour in (("9", 0), ("10", 1), ("2", 2))
        for step in ("start", "end")
        if not (run == "2" and step == "end")
    ]
    steps = read(tmp_path, rows, runs=2)
    found = {f"{step.flow}/{step.step}": {a.run for a in step.attempts} for step in steps}
    assert found == {"A/start": {"10", "2"}, "A/end": {"10"}, "B/start": {"10", "2"}, "B/end": {"10"}}
    assert read(tmp_path, [], flow="A", step="end", runs=1) == []


def test_steps_come_in_the_order_in_which_they_began(tmp_path: Path) -> None:
    """As a flow is read, not by the alphabet."""
    names = ["start", "load", "fit", "end"]
    rows = [row(step=name, started_at=NOON + timedelta(minutes=n)) for n, name in enumerate(names)]
    assert [step.step for step in read(tmp_path, rows)] == names


def test_the_request_is_that_of_the_newest_first_attempt(tmp_path: Path) -> None:
    """A retry may ask for more than the step does, an older run for what the step no longer says."""
    later = NOON + timedelta(hours=1)
    (step,) = read(
        tmp_path,
        [
            row(run="1", requested_memory_bytes=1),
            row(run="2", requested_memory_bytes=2, started_at=later, outcome="oom"),
            row(run="2", requested_memory_bytes=3, started_at=later + timedelta(minutes=5), attempt=1),
        ],
    )
    assert step.newest is not None
    assert step.newest.requested_memory_bytes == 2


def test_known_names_every_flow_and_step(tmp_path: Path) -> None:
    """For messages about flows that were never seen."""
    lake = write_tasks(tmp_path, [row(flow="B", step="x"), row(flow="A", step="y"), row(flow="A", step="x", task="2")])
    assert known(lake.connect()) == {"A": ("x", "y"), "B": ("x",)}


def test_runs_of_the_same_number_of_different_owners_are_different_runs(tmp_path: Path) -> None:
    """Every deployment of Metaflow's service counts its runs from 1; `--runs` and retries tell them apart too."""
    rows = [row(run="1", task="1", user=user, started_at=NOON + timedelta(days=day)) for day, user in enumerate("abc")]
    (step,) = read(tmp_path, [*rows, row(run="1", task="1", user="c", attempt=1)])
    assert len({attempt.run_key for attempt in step.attempts}) == 3
    assert len({attempt.task_key for attempt in step.attempts}) == 3
    (newest,) = read(tmp_path / "other", rows, runs=1)
    assert [attempt.owner for attempt in newest.attempts] == ["c"]


def test_steps_larger_than_what_is_read_in_one_go_are_whole(tmp_path: Path) -> None:
    """Attempts of a step lie between others of as many: each step has its own, in the order in which they began."""
    count = 10_050
    rows = [
        row(step=step, task=str(n), started_at=NOON + timedelta(seconds=n), memory_peak_bytes=n)
        for n in range(count)
        for step in ("one", "two")
    ]
    steps = read(tmp_path, [*rows, row(step="three", task="1", started_at=NOON - timedelta(hours=1))])
    assert [(step.step, len(step.attempts)) for step in steps] == [("three", 1), ("one", count), ("two", count)]
    assert all([a.memory_peak_bytes for a in step.attempts] == list(range(count)) for step in steps[1:])


@pytest.mark.parametrize("malformed", ["rows=7", "", '{"rows": 7', '{"\\ud800": 7}'])
def test_annotations_that_are_no_json_are_not_known(tmp_path: Path, malformed: str) -> None:
    """They cost their row nothing else, and no other row anything."""
    (step,) = read(tmp_path, [row(task="1", annotations=malformed), row(task="2", annotations={"rows": 7})])
    assert [attempt.annotations for attempt in step.attempts] == [None, '{"rows": 7}']
    assert [attempt.memory_peak_bytes for attempt in step.attempts] == [600 * MB, 600 * MB]


def test_annotations_too_large_to_hold_are_not_known(tmp_path: Path) -> None:
    """Ten thousand names said of one task; a thousand are none too many."""
    said = [{f"name{n}": n for n in range(count)} for count in (10_000, 1000)]
    (step,) = read(tmp_path, [row(task=str(n), annotations=one) for n, one in enumerate(said)])
    assert [attempt.annotations is None for attempt in step.attempts] == [True, False]
