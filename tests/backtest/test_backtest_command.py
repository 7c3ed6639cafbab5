"""`stepsize backtest` as a user calls it."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stepsize.analyzer.backtest import run
from tests.collector.running import wait_for

COLUMNS = ("workflow", "task", "run", "submit_order", "peak_mem_bytes", "runtime_s", "requested_mem_bytes")


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Three steps over twelve runs, with requests of 16 GiB for peaks of 1 to 3."""
    chance = random.Random(7)
    path = tmp_path / "pipeline.csv"
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for run in range(12):
            for step, size in (("load", 1), ("fit", 3), ("join", 2)):
                peak = size * 2**30 * chance.uniform(0.9, 1.1)
                writer.writerow(("pipeline", step, run, 3 * run + size, round(peak), 600, 16 * 2**30))
    return path


def backtest(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "stepsize", "backtest", *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def objects(*arguments: object) -> list[dict[str, Any]]:
    finished = backtest(*arguments, "--format", "json")
    assert (finished.returncode, finished.stderr) == (0, "")
    found: list[dict[str, Any]] = json.loads(finished.stdout)
    return found


def test_attempts_add_up_to_what_is_printed(recorded: Path, tmp_path: Path) -> None:
    """Every attempt of the policy is in the CSV: whoever adds them up gets the totals, all and warm."""
    out = tmp_path / "attempts.csv"
    (found,) = objects(recorded, "--policy", "balanced", "--time-to-failure", "0.5", "--attempts", out)
    hours = 600 / 3600
    allocated, failures, first_of_step = 0.0, 0, 0.0
    seen: dict[str, str] = {}
    rows = list(csv.DictReader(out.open()))
    assert list(rows[0]) == [
        "workflow", "task", "submit_order", "attempt", "allocated_bytes", "failed", "policy", "file",
    ]  # fmt: skip
    for row in rows:
        failed = row["failed"] == "1"
        cost = float(row["allocated_bytes"]) * hours * (0.5 if failed else 1) / 2**30
        allocated += cost
        failures += failed
        if seen.setdefault(row["task"], row["submit_order"]) == row["submit_order"]:
            first_of_step += cost
        assert row["policy"] == "balanced"
    assert found["allocated_gb_h"] == pytest.approx(allocated, rel=1e-12)
    assert found["warm"]["allocated_gb_h"] == pytest.approx(allocated - first_of_step, rel=1e-12)
    assert (found["tasks"], found["failures"], found["warm"]["tasks"]) == (36, failures, 33)
    assert found["wastage_gb_h"] == pytest.approx(found["allocated_gb_h"] - found["used_gb_h"])


def test_beside_the_policy_stand_the_request_and_every_rule(recorded: Path) -> None:
    """The policy wastes far less than what was asked for, and nobody beats the oracle."""
    (found,) = objects(recorded)
    assert (found["file"], found["policy"]) == (str(recorded), "balanced")
    assert found["allocated_gb_h"] < found["requested"]["allocated_gb_h"] / 3
    assert {"vpa", "krr", "ponder", "sizey", "greedy-bucketing", "oracle"} < set(found["baselines"])
    for score in [found, found["requested"], *found["baselines"].values()]:
        assert score["allocated_gb_h"] >= score["used_gb_h"] - 1e-9
        assert set(score["warm"]) == {"tasks", "failures", "allocated_gb_h", "used_gb_h", "wastage_gb_h"}
    assert found["baselines"]["oracle"]["wastage_gb_h"] == pytest.approx(0, abs=1e-9)


def test_attempts_of_several_files_can_be_told_apart(recorded: Path, tmp_path: Path) -> None:
    """Each row names its file, though workflows, tasks and orders are the same: each file's add up to its own total."""
    larger, out = tmp_path / "larger.csv", tmp_path / "attempts.csv"
    larger.write_text(recorded.read_text().replace(",600,", ",1200,"))
    totals = {
        one["file"]: one["allocated_gb_h"] for one in objects(recorded, larger, "--no-compare", "--attempts", out)
    }
    added = dict.fromkeys(totals, 0.0)
    for row in csv.DictReader(out.open()):
        hours = {str(recorded): 600, str(larger): 1200}[row["file"]] / 3600
        added[row["file"]] += float(row["allocated_bytes"]) * hours / 2**30
    assert added == pytest.approx(totals, rel=1e-12)


def test_attempts_keep_orders_to_the_nanosecond(tmp_path: Path) -> None:
    """Orders that are one number as floats are written as they were read."""
    orders = [1763371234123456789 + 7 * number for number in range(5)]
    path, out = tmp_path / "ns.csv", tmp_path / "attempts.csv"
    lines = [f"w,t,{order},1000000000,60" for order in reversed(orders)]
    path.write_text("\n".join(["workflow,task,submit_order,peak_mem_bytes,runtime_s", *lines]) + "\n")
    objects(path, "--policy", "max-1.2-all", "--no-compare", "--attempts", out)
    assert [int(row["submit_order"]) for row in csv.DictReader(out.open())] == orders


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="elsewhere a process cannot be kept to one core")
def test_what_was_read_is_what_is_replayed(recorded: Path, tmp_path: Path) -> None:
    """Files are read once, before anything is replayed: that they are gone afterwards changes nothing."""
    other = tmp_path / "another.csv"
    other.write_text(recorded.read_text())
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})  # in this process, so that nothing is read ahead in another
    try:
        results = run.backtest([recorded, other], run.Plan(compare=False))
        found = [next(results)]
        recorded.unlink()
        other.unlink()
        found += results
    finally:
        os.sched_setaffinity(0, before)
    assert found[0].score == found[1].score


def test_two_processes_print_what_one_does(recorded: Path, tmp_path: Path) -> None:
    """Files in parallel change nothing, and come in the order in which they were named."""
    other = tmp_path / "another.csv"
    other.write_text(recorded.read_text())
    two = objects(recorded, other, "--policy", "safe", "--no-compare")
    (alone,) = objects(recorded, "--policy", "safe", "--no-compare")
    assert [one["file"] for one in two] == [str(recorded), str(other)]
    assert two[0] == alone
    assert {**two[1], "file": alone["file"]} == alone


def test_a_rule_is_a_policy_too(recorded: Path) -> None:
    """`--policy vpa` shows the same as `vpa` beside another."""
    (alone,) = objects(recorded, "--policy", "vpa", "--no-compare")
    (beside,) = objects(recorded)
    assert {name: alone[name] for name in ("failures", "allocated_gb_h")} == {
        name: beside["baselines"]["vpa"][name] for name in ("failures", "allocated_gb_h")
    }


def test_what_is_replayed_is_never_written_to(recorded: Path, tmp_path: Path) -> None:
    """Attempts that would go into an input are refused; where a file cannot be read, nothing is written at all."""
    before, kept = recorded.read_text(), tmp_path / "kept.csv"
    kept.write_text("kept")
    refused = backtest(recorded, "--attempts", recorded)
    assert refused.returncode == 2
    assert "is one of the files to replay" in refused.stderr
    assert backtest(recorded, tmp_path / "none.csv", "--attempts", kept).returncode == 2
    assert (recorded.read_text(), kept.read_text()) == (before, "kept")


@pytest.mark.parametrize("form", ["table", "markdown", "csv"])
def test_other_formats(recorded: Path, form: str) -> None:
    """Each names the file and every rule."""
    finished = backtest(recorded, "--format", form)
    assert finished.returncode == 0
    assert all(word in finished.stdout for word in ("pipeline", "balanced", "max-1.2-all", "oracle"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.csv"], "none.csv is no file"),
        (["FILE", "--policy", "best"], "no policy is called 'best'; there are cheap, balanced, safe, requested"),
        (["FILE", "FILE"], "is given more than once"),
        (["FILE", "--time-to-failure", "0"], "0"),
        (["FILE", "--time-to-failure", "nan"], "--time-to-failure is a share"),
        (["FILE", "--attempts", "/nowhere/out.csv"], "cannot write /nowhere/out.csv"),
    ],
)
def test_wrong_usage_is_one_line(recorded: Path, arguments: list[str], says: str) -> None:
    """Exit code 2, what is wrong on standard error, nothing on standard output."""
    finished = backtest(*[str(recorded) if argument == "FILE" else argument for argument in arguments])
    assert (finished.returncode, finished.stdout) == (2, "")
    assert says in finished.stderr


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are found in /proc")
@pytest.mark.parametrize(("number", "says"), [(signal.SIGKILL, ""), (signal.SIGINT, "stepsize: interrupted")])
def test_who_ends_a_backtest_leaves_no_worker(tmp_path: Path, number: signal.Signals, says: str) -> None:
    """Workers end with the process that they work for, however that ended, and say nothing of their own."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core replays without workers")
    path = tmp_path / "long.csv"
    lines = (f"w,t{order % 50},{order},{order % 97 + 1}000000,9" for order in range(20_000))
    path.write_text("\n".join(["workflow,task,submit_order,peak_mem_bytes,runtime_s", *lines]))
    # Tests that run in the background may have SIGINT ignored, which programs that they start would inherit.
    program = """import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("stepsize", run_name="__main__")"""
    command = [sys.executable, "-c", program, "backtest", str(path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as ended:
        children = Path(f"/proc/{ended.pid}/task/{ended.pid}/children")
        wait_for(lambda: len(children.read_text().split()) >= 3, "two workers and their tracker")
        if number == signal.SIGINT:
            os.killpg(ended.pid, number)  # as a terminal does: to the workers too
        else:
            ended.send_signal(number)
        # A worker holds the pipe of standard output too: reading it ends when the last one has.
        found, told = ended.communicate(timeout=30)
    assert found == ""
    if number == signal.SIGINT:
        assert (ended.returncode, told.strip()) == (1, says)
