"""The report from a real lake, with the catalogue that ships."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from stepsize.analyzer.formats.json_text import record
from stepsize.analyzer.matching import Catalog
from stepsize.analyzer.report import StepReport, build
from stepsize.analyzer.sizing import policy as policies
from stepsize.analyzer.sizing import targets
from stepsize.analyzer.usage import Query
from stepsize.errors import LakeError, UsageError
from stepsize.testing import write_tasks
from tests.analyzer.rows import MB, NOON, row

if TYPE_CHECKING:
    from pathlib import Path


def report(data: Path, rows: list[dict[str, Any]], policy: str = "safe", **query: Any) -> list[StepReport]:
    connection = write_tasks(data, rows).connect()
    try:
        with Catalog.open() as catalog:
            return build(connection, catalog, policies.load(policy), Query(**query))
    finally:
        connection.close()


def test_a_step_is_reported_with_what_it_asked_used_and_should_ask_for(tmp_path: Path) -> None:
    """Ten foreach tasks in two runs, one figure each."""
    rows = [row(run=str(n % 2), task=str(n), memory_peak_bytes=(500 + n) * MB) for n in range(10)]
    (step,) = report(tmp_path, rows)
    assert (step.flow, step.step, step.runs, step.tasks, step.policy) == ("TrainFlow", "train", 2, 10, "safe")
    assert (step.requested.cpu, step.requested.memory_mb) == (1, 4096)
    assert (step.used.cpu, step.used.memory_mb) == (1, 509)
    assert step.recommended.cpu == 1
    assert 509 <= (step.recommended.memory_mb or 0) < 800
    assert step.confidence == "high"
    assert step.failures_expected_per_1000 is not None
    assert step.costs.servers


def test_what_is_not_known_of_a_request_is_what_is_said_to_be(tmp_path: Path) -> None:
    """Waste needs the memory that was asked for, a saving all of the request."""
    rows = [row(step="no cores", requested_cpu=None), row(step="no memory", requested_memory_bytes=None)]
    rows += [row(step="neither", requested_cpu=None, requested_memory_bytes=None), row(step="both")]
    found = {one.step: one for one in report(tmp_path, rows)}
    said = {step: [r for r in one.reasons if r.startswith("What the step asked for")] for step, one in found.items()}
    assert said == {
        "no cores": ["What the step asked for in cores is not known, so neither is its saving."],
        "no memory": ["What the step asked for in memory is not known, so neither are its waste and saving."],
        "neither": ["What the step asked for is not known, so neither are its waste and saving."],
        "both": [],
    }
    assert {step for step, one in found.items() if one.wasted_gb_h is None} == {"no memory", "neither"}
    assert {step for step, one in found.items() if one.costs.now is None} == {"no cores", "no memory", "neither"}


def test_waste_is_memory_held_and_not_used(tmp_path: Path) -> None:
    """Request less peak over the time of what went well; all of the request where the work was lost."""
    gb = 2**30
    rows = [
        row(task="1", requested_memory_bytes=4 * gb, memory_peak_bytes=1 * gb, duration_s=3600.0),
        row(task="2", requested_memory_bytes=4 * gb, memory_peak_bytes=1 * gb, duration_s=1800.0, outcome="failed"),
        row(task="3", requested_memory_bytes=4 * gb, memory_peak_bytes=9 * gb, duration_s=3600.0),
        row(task="4", requested_memory_bytes=None, duration_s=3600.0),
        row(task="5", requested_memory_bytes=4 * gb, duration_s=3600.0, outcome=None),
    ]
    (step,) = report(tmp_path, rows)
    assert step.wasted_gb_h == pytest.approx(3 * 1 + 4 * 0.5)


def test_an_unknown_request_is_unknown_not_zero(tmp_path: Path) -> None:
    """`stepsize run` knows no request: sizes are advised, waste and saving are not known, and that is said."""
    unknown = {"requested_cpu": None, "requested_memory_bytes": None}
    (step,) = report(tmp_path, [row(**unknown)])
    assert (step.requested.cpu, step.requested.memory_mb) == (None, None)
    assert step.recommended.cpu == 1
    assert 600 < (step.recommended.memory_mb or 0) < 2000
    assert (step.wasted_gb_h, step.costs.now, step.costs.saving_per_month) == (None, None, None)
    assert any("not known" in reason for reason in step.all_reasons)


def test_what_was_used_of_gpus_is_of_those_that_are_asked_for_now(tmp_path: Path) -> None:
    """What eight of them held is no use of the one that is advised."""
    eight = {"requested_gpu": 8.0, "gpu_count": 8.0, "gpu_memory_peak_bytes": 160_000 * MB}
    one = {"requested_gpu": 1.0, "gpu_count": 1.0, "gpu_memory_peak_bytes": 20_000 * MB}
    rows = [row(run=str(n), started_at=NOON + timedelta(days=n), **(eight if n < 3 else one)) for n in range(6)]
    (step,) = report(tmp_path, rows)
    assert (step.used.gpu, step.used.vram_mb) == (1, 20_000)
    assert step.recommended.gpu == 1


def test_steps_that_only_run_are_reported_without_advice(tmp_path: Path) -> None:
    """Named, kept, and said why."""
    (step,) = report(tmp_path, [row(outcome=None)])
    assert (step.runs, step.tasks) == (0, 0)
    assert step.recommended.memory_mb == 4096
    assert any("still running" in reason for reason in step.all_reasons)


def test_production_is_reported_apart(tmp_path: Path) -> None:
    """A test run on little data does not shrink production's memory."""
    rows = [row(task=str(n), branch="prod", project="p", memory_peak_bytes=3000 * MB) for n in range(8)]
    rows += [row(task=str(n), branch="test.x", project="p", memory_peak_bytes=100 * MB, run="2") for n in range(8)]
    production, test = report(tmp_path, rows)
    assert production.production
    assert (production.recommended.memory_mb or 0) > 3000
    assert (test.production, test.recommended.memory_mb) == (False, 250)
    assert production.title == "TrainFlow/train (p, production)"


def test_the_policy_decides(tmp_path: Path) -> None:
    """resource-tracker's rules lower from one task on."""
    (step,) = report(tmp_path, [row(memory_peak_bytes=550 * 2**20)], policy="resource-tracker")
    assert (step.policy, step.recommended.memory_mb) == ("resource-tracker", 1024)


@pytest.mark.parametrize(
    ("name", "peak_mb", "expected"),
    [
        ("kubernetes", 600, "On Kubernetes write cpu=1, memory="),
        ("batch", 600, "(MiB)."),
        ("fargate", 600, "On AWS Fargate write cpu=1, memory=2048 (MiB)."),
        ("fargate", 900_000, "are more than AWS Fargate has"),
    ],
)
def test_a_target_is_told_in_its_own_sizes(tmp_path: Path, name: str, peak_mb: int, expected: str) -> None:
    """What the platform takes, or that it has nothing so large."""
    rows = [row(run=str(n), memory_peak_bytes=peak_mb * MB, requested_memory_bytes=None) for n in range(10)]
    connection = write_tasks(tmp_path, rows).connect()
    try:
        with Catalog.open() as catalog:
            (step,) = build(connection, catalog, policies.load(), Query(), targets.named(name))
    finally:
        connection.close()
    assert any(expected in reason for reason in step.all_reasons)


def on_target(path: Path, *rows: dict[str, Any]) -> list[str]:
    """What the report says of what to write, where nobody names a target."""
    (step,) = report(path, list(rows))
    return [reason for reason in step.all_reasons if " write cpu=" in reason]


@pytest.mark.parametrize(
    ("target", "requested_bytes", "expected"),
    [
        ("batch", 4096 * 2**20, ["On AWS Batch on EC2 write cpu=1, memory="]),
        ("fargate", 4096 * 2**20, ["On AWS Fargate write cpu=1, memory=2048 (MiB)."]),
        ("kubernetes", 4096 * MB, []),
        ("local", 4096 * MB, []),
        (None, 4096 * MB, []),
        ("moon", 4096 * MB, []),
    ],
)
def test_what_ran_a_step_is_what_it_is_told_for(
    tmp_path: Path, target: str | None, requested_bytes: int, expected: list[str]
) -> None:
    """Without being named; not where the report's own numbers are what to write, nor where sizes are not known."""
    rows = [
        row(
            run=str(n),
            memory_peak_bytes=600 * MB,
            requested_cpu=1.0,
            requested_memory_bytes=requested_bytes,
            target=target,
        )
        for n in range(10)
    ]
    found = on_target(tmp_path, *rows)
    assert [said.startswith(prefix) for said, prefix in zip(found, expected, strict=True)] == [True] * len(expected)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("fargate", {"name": "fargate", "cpu": 1, "memory": 2048, "memory_unit": "MiB"}),
        ("local", {"name": "local", "cpu": None, "memory": None, "memory_unit": None}),
        (None, None),
    ],
)
def test_what_to_write_is_there_for_programs(
    tmp_path: Path, target: str | None, expected: dict[str, Any] | None
) -> None:
    """In JSON, in the platform's own unit; nothing of a platform whose sizes are not known."""
    rows = [row(run=str(n), memory_peak_bytes=600 * MB, target=target) for n in range(10)]
    (step,) = report(tmp_path, rows)
    assert record(step)["target"] == expected


def test_a_step_that_moved_is_told_for_where_it_runs_now(tmp_path: Path) -> None:
    """Of targets that differ the newest run's counts, and production's is none of a test run's."""
    known = {"memory_peak_bytes": 600 * MB, "requested_cpu": 1.0, "requested_memory_bytes": 4096 * 2**20}
    old = [row(run=f"1{n}", started_at=NOON, target="fargate", **known) for n in range(5)]
    new = [row(run=f"2{n}", started_at=NOON + timedelta(days=1), target="batch", **known) for n in range(5)]
    assert on_target(tmp_path, *new, *old)[0].startswith("On AWS Batch on EC2 write ")
    prod = [{**one, "branch": "prod"} for one in old]
    production, test = report(tmp_path / "both", [*prod, *new])
    assert production.production
    assert any(said.startswith("On AWS Fargate ") for said in production.all_reasons)
    assert any(said.startswith("On AWS Batch on EC2 ") for said in test.all_reasons)


def test_an_empty_lake_says_how_to_fill_it(tmp_path: Path) -> None:
    """One line, and an exit code that is not wrong usage."""
    with pytest.raises(LakeError, match=r"STEPSIZE=1") as caught:
        report(tmp_path, [])
    assert caught.value.exit_code == 1


def test_a_flow_never_seen_is_refused_with_those_known_the_most_alike_first(tmp_path: Path) -> None:
    """A slip of the finger is the usual cause."""
    rows = [row(flow=flow) for flow in ("AlphaFlow", "ScoreFlow", "TrainFlow")]
    with pytest.raises(UsageError, match=r"no flow 'TrianFlow' has been measured; known are TrainFlow, "):
        report(tmp_path, rows, flow="TrianFlow")


def test_a_long_list_of_flows_is_cut(tmp_path: Path) -> None:
    """A message stays one line that is read."""
    with pytest.raises(UsageError, match=r"and 20 more$"):
        report(tmp_path, [row(flow=f"Flow{n}") for n in range(30)], flow="Nothing")


def test_a_step_never_seen_is_refused_with_those_of_the_flow(tmp_path: Path) -> None:
    """And not with other flows' steps."""
    rows = [row(step="train"), row(step="end", task="2"), row(flow="B", step="other")]
    with pytest.raises(UsageError, match=r"no step 'trian' of TrainFlow has been measured; known are train, end$"):
        report(tmp_path, rows, flow="TrainFlow", step="trian")


def test_filters_that_leave_nothing_say_which_to_widen(tmp_path: Path) -> None:
    """The flow is there, its runs are older."""
    with pytest.raises(UsageError, match=r"--since"):
        report(tmp_path, [row()], flow="TrainFlow", since=NOON + timedelta(days=1))
