"""The example flows, unchanged, with one environment variable and no collector: report and lake say what happened."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.conftest import EXAMPLES, Workplace, make_workplace
from tests.places import short_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("examples")
MIB = 2**20
STEP_KEYS = {
    "flow",
    "step",
    "runs",
    "tasks",
    "policy",
    "requested",
    "recommended",
    "used",
    "reasons",
    "confidence",
    "failures_expected_per_1000",
    "wasted_gb_h",
    "cost_per_run",
    "saving_per_month",
    "currency",
    "servers",
}


@pytest.fixture(scope="module")
def ran() -> Iterator[tuple[Workplace, list[dict[str, Any]]]]:
    """All four flows have run once; the report was asked for at once, without a pause."""
    with short_directory() as directory:
        workplace = make_workplace(directory, STEPSIZE="1")
        for name in ("pipeline_flow", "branch_flow", "foreach_flow", "retry_flow"):
            finished = workplace.flow(EXAMPLES / f"{name}.py")
            assert finished.returncode == 0, finished.stdout + finished.stderr
        yield workplace, workplace.report()


def _step(report: list[dict[str, Any]], flow: str, step: str) -> dict[str, Any]:
    (found,) = (row for row in report if (row["flow"], row["step"]) == (flow, step))
    return found


def test_the_report_has_every_step_and_the_shape_of_the_contract(ran: tuple[Workplace, list[dict[str, Any]]]) -> None:
    """Directly after the runs, one object for each step of each flow."""
    _, report = ran
    assert {(row["flow"], row["step"]) for row in report} >= {
        ("PipelineFlow", "train"),
        ("BranchFlow", "score"),
        ("ForeachFlow", "shard"),
        ("RetryFlow", "fetch"),
    }
    for row in report:
        assert set(row) >= STEP_KEYS
        for part in ("requested", "recommended", "used"):
            assert set(row[part]) == {"cpu", "memory_mb", "gpu", "vram_mb", "disk_mb"}
        assert set(row["cost_per_run"]) == {"now", "recommended"}
        for server in row["servers"]:
            assert set(server) >= {"vendor_id", "server_id", "region", "price_hourly", "allocation"}


def test_a_spike_between_two_samples_is_in_the_peak(ran: tuple[Workplace, list[dict[str, Any]]]) -> None:
    """600 MiB for a moment: reported between 600 and 700 MiB, and the step is told to ask for enough."""
    workplace, report = ran
    ((peak,),) = workplace.query("SELECT memory_peak_bytes FROM tasks WHERE flow='PipelineFlow' AND step='train'")
    assert 600 * MIB <= peak <= 700 * MIB
    train = _step(report, "PipelineFlow", "train")
    assert train["requested"]["memory_mb"] == 256
    assert train["recommended"]["memory_mb"] * 10**6 > peak


def test_too_few_tasks_keep_the_request_and_say_why(ran: tuple[Workplace, list[dict[str, Any]]]) -> None:
    """One task of an over-asking step is no reason to lower its memory."""
    extract = _step(ran[1], "PipelineFlow", "extract")
    assert extract["requested"] == {"cpu": 8, "memory_mb": 16000, "gpu": None, "vram_mb": None, "disk_mb": None}
    assert extract["recommended"]["memory_mb"] == 16000
    assert extract["reasons"]


def test_every_task_of_a_foreach_counts(ran: tuple[Workplace, list[dict[str, Any]]]) -> None:
    """Eight unequal tasks, each in its row with its item; the largest decides."""
    workplace, report = ran
    rows = workplace.query(
        "SELECT item, memory_peak_bytes, outcome FROM tasks WHERE flow='ForeachFlow' AND step='shard' ORDER BY 2"
    )
    assert [item for item, *_ in rows] == ["20", "35", "50", "80", "120", "180", "260", "400"]
    assert {outcome for *_, outcome in rows} == {"ok"}
    shard = _step(report, "ForeachFlow", "shard")
    assert (shard["tasks"], shard["runs"]) == (8, 1)
    assert rows[-1][1] < shard["recommended"]["memory_mb"] * 10**6 < 8000 * 10**6


def test_each_attempt_is_its_own_row(ran: tuple[Workplace, list[dict[str, Any]]]) -> None:
    """The failed one, then the one that went well."""
    workplace, _ = ran
    assert workplace.query(
        "SELECT attempt, outcome FROM tasks WHERE flow='RetryFlow' AND step='fetch' ORDER BY attempt"
    ) == [(0, "failed"), (1, "ok")]


def test_child_processes_count_however_short(ran: tuple[Workplace, list[dict[str, Any]]]) -> None:
    """Two children of 1.5 CPU seconds and one of 0.3 that lived between two samples."""
    workplace, _ = ran
    ((cpu_seconds,),) = workplace.query("SELECT cpu_seconds FROM tasks WHERE flow='BranchFlow' AND step='score'")
    assert 3.3 <= cpu_seconds <= 3.3 * 1.1


def test_a_step_that_waits_uses_nothing(ran: tuple[Workplace, list[dict[str, Any]]]) -> None:
    """Nothing that the tracking itself uses is counted in the task."""
    workplace, _ = ran
    ((cpu_seconds, processes),) = workplace.query(
        """SELECT any_value(cpu_seconds), max(value) FROM tasks JOIN points USING (flow, run, step, task)
           WHERE flow='BranchFlow' AND step='lookup' AND metric='stepsize.task.process.count'"""
    )
    assert cpu_seconds < 0.25
    assert processes == 1


def test_a_step_without_resources_has_metaflows_defaults_as_its_request(
    ran: tuple[Workplace, list[dict[str, Any]]],
) -> None:
    """1 cpu, 4096 MB."""
    requested = _step(ran[1], "PipelineFlow", "start")["requested"]
    assert (requested["cpu"], requested["memory_mb"]) == (1, 4096)


def test_any_duckdb_client_reads_the_lake_while_the_collector_runs(
    ran: tuple[Workplace, list[dict[str, Any]]],
) -> None:
    """Another process with another working directory and no code of ours."""
    workplace, _ = ran
    script = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); "
        "print(c.sql('SELECT count(*) FROM tasks WHERE outcome IS NOT NULL').fetchall()[0][0])"
    )
    argv = [sys.executable, "-I", "-c", script, str(workplace.data / "stepsize.duckdb")]
    finished = subprocess.run(argv, cwd="/", capture_output=True, text=True, check=True)
    assert int(finished.stdout) == 4 + 5 + 11 + 4


def test_the_html_report_is_one_file(ran: tuple[Workplace, list[dict[str, Any]]]) -> None:
    """Written whole; nothing in it is loaded from elsewhere."""
    workplace, _ = ran
    finished = workplace.stepsize("report", "--out", "report.html")
    assert finished.returncode == 0, finished.stderr
    page = (workplace.directory / "report.html").read_text(encoding="utf-8")
    assert "PipelineFlow" in page
    assert "src=" not in page
    assert "<link" not in page
