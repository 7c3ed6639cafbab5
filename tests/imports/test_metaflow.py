"""Metaflow's own record of real runs."""

from __future__ import annotations

import json
import shutil
import sys

from tests.imports.conftest import Done, Place

FLOW = """
import os
import signal
import time
from metaflow import FlowSpec, current, resources, retry, step

class Train(FlowSpec):
    @retry(times=2, minutes_between_retries=0)
    @resources(cpu=2, memory=6000)
    @step
    def start(self):
        if current.retry_count == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if current.retry_count == 1:
            raise ValueError("once")
        samples = [{"memory_mib": 700.5, "utime": 1.5, "stime": 0.25, "cpu_usage": 0.9}] * 2
        about = {"start_time": time.time(), "pid": os.getpid()}
        self.resource_tracker_data = {"tracker": {"metadata": about, "process_metrics": samples}}
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    Train()
"""
SHORT = """
from metaflow import FlowSpec, step

class Short(FlowSpec):
    @step
    def start(self):
        self.names = ["b"]
        self.next(self.each, foreach="names")

    @step
    def each(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    Short()
"""
IMPORTS = """
import contextlib, io, json, sys
from stepsize.cli import main

for arguments in json.loads(sys.argv[1]):
    sys.argv = ["stepsize", "import", "metaflow", *arguments, "--format", "json"]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as ended:
            print(json.dumps([ended.code, out.getvalue(), err.getvalue()]), file=sys.__stdout__)
"""
"""Several imports in one process: starting Metaflow costs more than they do."""


def run(place: Place, source: str, **more: str) -> None:
    (place.home / "flow.py").write_text(source)
    done = place.called(sys.executable, "flow.py", "run", **more)
    assert done.returncode == 0, done.stdout + done.stderr


def imports(place: Place, *arguments: tuple[str, ...]) -> list[Done]:
    done = place.called(sys.executable, "-c", IMPORTS, json.dumps(arguments))
    assert done.returncode == 0, done.stderr
    return [Done(*json.loads(line)) for line in done.stdout.splitlines()]


def cut_short(place: Place, name: str, ago_s: int) -> None:
    """The run of `Train` as one of another flow that died in its last attempt of `start`, so long ago."""
    root = place.home / "metaflow/.metaflow"
    shutil.copytree(root / "Train", root / name)
    for end in root.glob(f"{name}/*/end"):
        shutil.rmtree(end)
    for path in root.glob(f"{name}/*/start/*/_meta/*.json"):
        content = json.loads(path.read_text())
        if content.get("field_name") == "attempt_ok" and content["value"] == "True":
            path.unlink()
    for path in root.glob(f"{name}/**/_meta/*.json"):
        content = json.loads(path.read_text()) | {"flow_id": name}
        path.write_text(json.dumps(content | {"ts_epoch": content["ts_epoch"] - ago_s * 1000}))


def test_a_run_that_nobody_tracked(place: Place) -> None:
    """Each attempt's time, end and request; memory only of the attempt that resource-tracker's artifact is of.

    The step after it has that artifact too. Imported again, nothing is added. Nobody says whether a run that did not
    reach its end goes on: after a week of silence its attempt without a last word is lost. A flow that Metaflow does
    not know is told.
    """
    run(place, FLOW)
    cut_short(place, "Recent", ago_s=6 * 86400)
    cut_short(place, "Silent", ago_s=8 * 86400)
    first, again, recent, silent, unknown = imports(
        place, *((flow,) for flow in ("Train", "Train", "Recent", "Silent", "Nothing"))
    )
    assert (json.loads(first.stdout)["added"], json.loads(again.stdout)["added"]) == (4, 0)
    assert json.loads(recent.stdout)["passed_over"] == {"had not ended": 1}
    assert json.loads(silent.stdout)["passed_over"] == {}
    assert unknown.returncode == 2
    assert "Metaflow knows no flow Nothing" in unknown.stderr
    rows = {flow: [row for row in place.tasks() if row["flow"] == flow] for flow in ("Train", "Recent", "Silent")}
    end, *start = rows["Train"]
    assert [(row["attempt"], row["outcome"]) for row in start] == [(0, "lost"), (1, "failed"), (2, "ok")]
    assert [row["outcome"] for row in rows["Recent"]] == ["lost", "failed"]
    assert [row["outcome"] for row in rows["Silent"]] == ["lost", "failed", "lost"]
    assert {(row["requested_cpu"], row["requested_memory_bytes"]) for row in start} == {(2.0, 6_000_000_000)}
    assert (end["requested_cpu"], end["requested_memory_bytes"]) == (1.0, 4_096_000_000)
    assert [row["duration_s"] is None for row in (end, *start)] == [False, True, False, False]
    assert {row["user"] for row in (end, *start)} == {"tester"}
    assert [row["memory_peak_bytes"] for row in (end, *start)] == [None, None, None, int(700.5 * 2**20)]
    assert (start[2]["cpu_seconds"], start[2]["memory_source"]) == (3.5, "resource-tracker")
    advice = place.advice()
    assert advice["Train/start"]["requested"]["memory_mb"] == 6000
    assert any("no attempt's peak could be read" in reason for reason in advice["Train/end"]["reasons"])


def test_a_run_that_was_tracked_is_not_imported_beside_it(place: Place) -> None:
    """The rows of its own agent know more, and have the same names; items of a foreach are called alike."""
    run(place, SHORT, STEPSIZE="1", STEPSIZE_AGENT_IDLE="3")
    assert place.run("report").returncode == 0  # which has everything in the lake
    beside, other = imports(place, ("Short",), ("Short", "--user", "other"))
    said = json.loads(beside.stdout)
    assert (said["attempts"], said["already_there"], said["added"]) == (4, 4, 0)
    assert json.loads(other.stdout)["added"] == 4
    named = {
        user: {(row["task"], row["item"]) for row in place.tasks() if row["user"] == user}
        for user in ("tester", "other")
    }
    assert named["tester"] == named["other"]
    assert sorted(item for _, item in named["other"] if item) == ["b"]
