"""SLURM's accounting: the fields are those of sacct(1) and of its JSON (`data_parser`), the jobs are ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.collector.imports.slurm import JobStep, base_state, peak
from tests.imports.conftest import Place

FIELDS = (
    *("JobID", "JobName", "User", "State", "ExitCode", "Start", "End", "Elapsed", "TotalCPU", "MaxRSS", "NTasks"),
    *("NNodes", "ReqCPUS", "ReqTRES", "ReqMem", "Timelimit", "NodeList"),
)
START = "2026-11-01T10:00:00"
START_S = 1793527200


def job(job_id: str, **more: str) -> dict[str, str]:
    said = {
        "JobID": job_id,
        "JobName": "align",
        "User": "ann",
        "State": "COMPLETED",
        "ExitCode": "0:0",
        "Start": START,
        "End": "2026-11-01T10:10:00",
        "Elapsed": "00:10:00",
        "TotalCPU": "15:00.500",
        "NNodes": "1",
        "ReqCPUS": "4",
        "ReqTRES": "billing=4,cpu=4,mem=16G,node=1,gres/gpu=2",
        "Timelimit": "1-00:00:00",
        "NodeList": "n7",
    }
    return said | more


def step(job_id: str, **more: str) -> dict[str, str]:
    said = {"JobID": job_id, "JobName": "batch", "State": "COMPLETED", "NTasks": "1", "NNodes": "1"}
    return said | {"Start": START, "End": "2026-11-01T10:10:00", "Elapsed": "00:10:00", "MaxRSS": "5G"} | more


def sacct(path: Path, *rows: dict[str, str], fields: tuple[str, ...] = FIELDS, end: str = "") -> str:
    lines = ["|".join(fields) + end, *("|".join(row.get(name, "") for name in fields) + end for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_jobs_become_advice(place: Place) -> None:
    """Ten jobs of one name that asked for 16 GB and used 5, and what to write for SLURM."""
    rows = [row for number in range(10) for row in (job(f"{100 + number}"), step(f"{100 + number}.batch"))]
    said = place.imported("slurm", sacct(place.home / "sacct.txt", *rows), "--flow", "hpc", "--timezone", "UTC")
    assert said["steps"] == [{"flow": "hpc", "step": "align", "runs": 10, "attempts": 10}]
    advice = place.advice()["hpc/align"]
    assert 5368 <= advice["recommended"]["memory_mb"] < 12_000
    assert advice["recommended"]["cpu"] == 4
    assert any("a mean does not tell" in reason for reason in advice["reasons"])
    assert any("On SLURM" in reason for reason in advice["reasons"])


def test_what_a_job_says(place: Place) -> None:
    """Its own row and those of its steps; `--parsable` ends each line with a bar."""
    rows = job("101"), step("101.batch", MaxRSS="5120K"), step("101.extern", MaxRSS=""), step("101.0", MaxRSS="2.5G")
    path = sacct(place.home / "sacct.txt", *rows, end="|")
    place.imported("slurm", path, "--flow", "hpc", "--timezone", "UTC")
    (row,) = place.tasks()
    assert (row["run"], row["step"], row["task"], row["user"], row["host"]) == ("101", "align", "101", "ann", "n7")
    assert (row["started_at"].timestamp(), row["duration_s"], row["cpu_seconds"]) == (START_S, 600.0, 900.5)
    assert (row["requested_cpu"], row["requested_memory_bytes"], row["requested_gpu"]) == (4.0, 16 << 30, 2.0)
    assert (row["requested_timeout_s"], row["target"], row["memory_source"]) == (86400.0, "slurm", "slurm")
    # Steps that ran at once; 2.5G may have been 2.55.
    assert row["memory_peak_bytes"] == pytest.approx(2.55 * 2**30 + 5120.05 * 1024, abs=2)


ENDS = (
    ("FAILED", "2:0", "failed", 2, None),
    ("CANCELLED by 1000", "0:15", "killed", None, 15),
    ("TIMEOUT", "0:0", "killed", 0, None),
    ("PREEMPTED", "0:0", "killed", 0, None),
    ("NODE_FAIL", "1:0", "lost", 1, None),
    ("OUT_OF_MEMORY", "0:125", "oom", None, None),
)


def test_how_jobs_end(place: Place) -> None:
    """By SLURM's own word; 125 is no signal; what nobody sampled is not known."""
    rows = [job(str(number), State=state, ExitCode=code) for number, (state, code, *_) in enumerate(ENDS)]
    place.imported("slurm", sacct(place.home / "s.txt", *rows), "--flow", "hpc")
    told = place.tasks()
    assert [(row["outcome"], row["exit_code"], row["exit_signal"]) for row in told] == [end[2:] for end in ENDS]
    assert {row["memory_peak_bytes"] for row in told} == {row["memory_source"] for row in told} == {None}


def test_a_job_whose_step_ran_out_of_memory_did(place: Place) -> None:
    """The job itself only failed: more than its request was needed, and the report asks for it."""
    rows = [row for number in range(8) for row in (job(f"{number + 1}"), step(f"{number + 1}.batch", MaxRSS="15G"))]
    rows += [job("50", State="FAILED", ExitCode="1:0"), step("50.batch", State="OUT_OF_MEMORY", MaxRSS="16777000K")]
    place.imported("slurm", sacct(place.home / "sacct.txt", *rows), "--flow", "hpc")
    assert [row["outcome"] for row in place.tasks()].count("oom") == 1
    assert place.advice()["hpc/align"]["recommended"]["memory_mb"] > 17_180


def test_what_is_no_attempt_is_passed_over(place: Place) -> None:
    """Jobs that run, wait or never ran; on several machines, where nobody says what one of them used."""
    rows = (
        job("1", State="RUNNING", End="Unknown"),
        job("2_[3-9]", State="PENDING", Start="Unknown", End="Unknown", Elapsed="00:00:00"),
        job("3", State="CANCELLED by 0", Start="None", Elapsed="00:00:00"),
        job("4", NNodes="3"),
    )
    said = place.imported("slurm", sacct(place.home / "sacct.txt", *rows), "--flow", "hpc")
    assert said["attempts"] == 0
    assert sum(said["passed_over"].values()) == 4
    assert said["passed_over"]["had not ended"] == 2


def test_arrays_and_requeued_jobs(place: Place) -> None:
    """An array is a run, its indices are its tasks; what SLURM queued again (`-D`) is the next attempt."""
    again = job("7_2", Start="2026-11-01T12:00:00", End="2026-11-01T12:10:00")
    rows = job("7_1"), job("7_2", State="NODE_FAIL"), again
    path = sacct(place.home / "sacct.txt", *rows)
    assert place.imported("slurm", path, "--flow", "hpc")["added"] == 3
    found = [(row["run"], row["task"], row["attempt"], row["outcome"]) for row in place.tasks()]
    assert found == [("7", "1", 0, "ok"), ("7", "2", 0, "lost"), ("7", "2", 1, "ok")]
    assert place.imported("slurm", path, "--flow", "hpc")["added"] == 0


def test_steps_by_a_pattern_of_names(place: Place) -> None:
    """As of jobs that a workflow engine named."""
    rows = job("1", JobName="nf-ALIGN_(s1)"), job("2", JobName="nf-ALIGN_(s2)"), job("3", JobName="shell")
    path = sacct(place.home / "sacct.txt", *rows)
    said = place.imported("slurm", path, "--flow", "hpc", "--step-pattern", "nf-([A-Z]+)", "--run", "r1")
    assert [(one["step"], one["runs"], one["attempts"]) for one in said["steps"]] == [("ALIGN", 1, 2), ("shell", 1, 1)]
    assert place.run("import", "slurm", path, "--flow", "hpc", "--step-pattern", "(").returncode == 2


def test_requests_of_older_versions(place: Place) -> None:
    """Of a node or of a core, in the unit's last letter; nothing is asked for by zero."""
    rows = [job(str(number), ReqMem=asked, ReqTRES="") for number, asked in enumerate(("4000Mn", "2Gc", "12G", "0n"))]
    place.imported("slurm", sacct(place.home / "sacct.txt", *rows), "--flow", "hpc")
    assert [row["requested_memory_bytes"] for row in place.tasks()] == [4000 << 20, 8 << 30, 12 << 30, None]


def test_lines_that_cannot_be_read(place: Place) -> None:
    """A step whose job is not there, a time that is none, too few columns."""
    rows = step("9.batch"), job("1", Elapsed="long"), job("2"), job("4", Restarts="9999999999")
    path = sacct(place.home / "sacct.txt", *rows, fields=(*FIELDS, "Restarts"))
    with Path(path).open("a") as file:
        file.write("3|align\n")
    said = place.imported("slurm", path, "--flow", "hpc")
    assert (said["read"], said["bad"], said["added"]) == (5, 4, 1)
    assert [line["line"] for line in said["bad_lines"]] == [2, 3, 6, 5]


def number(value: float, *, is_set: bool = True) -> dict[str, Any]:
    return {"set": is_set, "infinite": False, "number": value}


def document(job_id: int, **more: Any) -> dict[str, Any]:
    """A job of `sacct --json`, data parser 0.0.41."""
    ran = {"start": START_S, "end": START_S + 600, "elapsed": 600}
    batch = {
        "step": {"id": f"{job_id}.batch", "name": "batch"},
        "state": ["COMPLETED"],
        "time": {"start": number(START_S), "end": number(START_S + 600), "elapsed": 600},
        "tasks": {"count": 1},
        "nodes": {"count": 1, "range": "n7"},
        "tres": {
            "requested": {"max": [{"type": "mem", "name": "", "id": 2, "count": 5 << 30, "task": 0, "node": "n7"}]}
        },
    }
    said = {
        "job_id": job_id,
        "name": "align",
        "user": "ann",
        "state": {"current": ["COMPLETED"], "reason": "None"},
        "array": {"job_id": 0, "task_id": number(0, is_set=False)},
        "exit_code": {"status": ["SUCCESS"], "return_code": number(0), "signal": {"id": number(0, is_set=False)}},
        "time": ran | {"limit": number(1440), "total": {"seconds": 900, "microseconds": 500_000}},
        "required": {"CPUs": 4},
        "allocation_nodes": 1,
        "nodes": "n7",
        "restart_cnt": 0,
        "tres": {
            "requested": [
                {"type": "cpu", "name": "", "id": 1, "count": 4},
                {"type": "mem", "name": "", "id": 2, "count": 16384},
                {"type": "gres", "name": "gpu", "id": 1001, "count": 2},
            ],
            "allocated": [],
        },
        "steps": [batch],
    }
    return said | more


def test_json_says_the_same(place: Place) -> None:
    """Of the same job, whichever way it was printed: the row that is there already."""
    text = sacct(place.home / "sacct.txt", job("101"), step("101.batch", MaxRSS=str(5 << 30)))
    place.imported("slurm", text, "--flow", "hpc", "--timezone", "UTC")
    printed = place.tasks()
    path = place.home / "sacct.json"
    path.write_text(json.dumps({"meta": {"plugin": {}}, "jobs": [document(101)], "errors": []}, indent=1))
    assert place.imported("slurm", str(path), "--flow", "hpc")["already_there"] == 1
    place.imported("slurm", str(path), "--flow", "json")
    assert place.tasks()[1] == printed[0] | {"flow": "json"}


def test_json_of_many_jobs_is_read_job_by_job(place: Place) -> None:
    """Arrays, states of older versions, jobs that are none; a document that was cut off adds nothing."""
    array = document(8, array={"job_id": 7, "task_id": number(3)}, state={"current": "OUT_OF_MEMORY"})
    path = place.home / "sacct.json"
    jobs = [*map(document, range(100, 400)), array, {"job_id": 9}, "none"]
    path.write_text(json.dumps({"jobs": jobs}))
    said = place.imported("slurm", str(path), "--flow", "hpc")
    assert (said["read"], said["added"], said["bad"]) == (303, 301, 2)
    assert [row["outcome"] for row in place.tasks() if (row["run"], row["task"]) == ("7", "3")] == ["oom"]
    path.write_text(path.read_text()[:-400])
    done = place.run("import", "slurm", str(path), "--flow", "cut")
    assert (done.returncode, done.stdout) == (1, "")
    assert "was cut off" in done.stderr
    assert not [row for row in place.tasks() if row["flow"] == "cut"]


def test_components_of_a_heterogeneous_job_are_tasks_of_one_run(place: Place) -> None:
    """Printed or as JSON: each with its own request and peak; a restart count beyond all sense harms nobody."""
    rows = [row for part in "01" for row in (job(f"9+{part}"), step(f"9+{part}.0", MaxRSS=str(5 << 30)))]
    path = sacct(place.home / "sacct.txt", *rows)
    assert place.imported("slurm", path, "--flow", "hpc", "--timezone", "UTC")["added"] == 2
    assert [(row["run"], row["task"]) for row in place.tasks()] == [("9", "9+0"), ("9", "9+1")]
    parts = [document(9 + n, het={"job_id": 9, "job_offset": number(n)}) for n in range(2)]
    (place.home / "sacct.json").write_text(json.dumps({"jobs": [*parts, document(20, restart_cnt=10**12)]}))
    said = place.imported("slurm", "sacct.json", "--flow", "hpc")
    assert (said["already_there"], said["added"]) == (2, 1)


TRES = ("cpu=4,gres/gpu:a100=2,gres/gpu:v100=1", "gres/gpu=3,gres/gpu:a100=3", "gres/gpu=3")


def test_gpus_by_type(place: Place) -> None:
    """Counted once, where only the types are told too, and where only what was given is; printed or as JSON."""
    rows = [job(f"1{number}", ReqTRES=tres) for number, tres in enumerate(TRES)]
    rows += [job(f"2{number}", ReqTRES="cpu=4", AllocTRES=tres) for number, tres in enumerate(TRES)]
    path = sacct(place.home / "sacct.txt", *rows, fields=(*FIELDS, "AllocTRES"))
    pairs = [[part.partition("=") for part in tres.split(",")] for tres in TRES]
    resources = [
        [{"type": "gres", "name": name[5:], "count": int(count)} for name, _, count in found if "/" in name]
        for found in pairs
    ]
    jobs = [document(30 + number, tres={"requested": found}) for number, found in enumerate(resources)]
    (place.home / "s.json").write_text(json.dumps({"jobs": jobs}))
    place.imported("slurm", path, "s.json", "--flow", "hpc")
    assert [row["requested_gpu"] for row in place.tasks()] == [3.0] * 9


STEPS = st.builds(
    JobStep,
    started_at_s=st.none() | st.integers(0, 50).map(float),
    ended_at_s=st.none() | st.integers(50, 99).map(float),
    tasks=st.integers(1, 8),
    max_rss_bytes=st.none() | st.integers(1, 1000),
)


@given(st.lists(STEPS, max_size=6))
def test_a_jobs_peak_is_that_of_its_steps_together(steps: list[JobStep]) -> None:
    """At least that of each, at most all of them; more is never known of fewer steps."""
    each = [one.max_rss_bytes * one.tasks for one in steps if one.max_rss_bytes]
    found = peak(steps)
    assert (found is None) == (not each)
    if found is not None:
        assert max(each) <= found <= sum(each)
        assert (peak(steps[1:]) or 0) <= found


def test_steps_after_one_another_do_not_add_up() -> None:
    """One that ends when the next begins is over; of several tasks on a machine each may have been the largest."""
    first = JobStep(started_at_s=0.0, ended_at_s=10.0, max_rss_bytes=100)
    second = JobStep(started_at_s=10.0, ended_at_s=20.0, max_rss_bytes=70)
    assert peak([first, second]) == 100
    assert peak([first, JobStep(started_at_s=5.0, ended_at_s=20.0, max_rss_bytes=70)]) == 170
    assert peak([JobStep(tasks=4, max_rss_bytes=30)]) == 120


@pytest.mark.parametrize(
    ("text", "state"), [("CANCELLED by 1000", "CANCELLED"), ("OUT_OF_ME+", "OUT_OF_MEMORY"), ("", "")]
)
def test_states_as_they_are_printed(text: str, state: str) -> None:
    """With who cancelled, or cut off to the column's width."""
    assert base_state(text) == state
