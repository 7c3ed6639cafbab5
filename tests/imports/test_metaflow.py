"""Metaflow's own record of real runs."""

from __future__ import annotations

import json
import sys

from tests.imports.conftest import Place

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
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    Short()
"""


def run(place: Place, source: str, **more: str) -> None:
    (place.home / "flow.py").write_text(source)
    done = place.called(sys.executable, "flow.py", "run", **more)
    assert done.returncode == 0, done.stdout + done.stderr


def imported(place: Place, flow: str) -> dict[str, object]:
    done = place.called(sys.executable, "-m", "stepsize", "import", "metaflow", flow, "--format", "json")
    assert done.returncode == 0, done.stderr
    said: dict[str, object] = json.loads(done.stdout)
    return said


def test_a_run_that_nobody_tracked(place: Place) -> None:
    """Each attempt's time, end and request; memory only of the attempt that resource-tracker's artifact is of.

    The step after it has that artifact too. Imported again, nothing is added.
    """
    run(place, FLOW)
    assert imported(place, "Train")["added"] == 4
    end, *start = place.tasks()
    assert [(row["attempt"], row["outcome"]) for row in start] == [(0, "lost"), (1, "failed"), (2, "ok")]
    assert {(row["requested_cpu"], row["requested_memory_bytes"]) for row in start} == {(2.0, 6_000_000_000)}
    assert (end["requested_cpu"], end["requested_memory_bytes"]) == (1.0, 4_096_000_000)
    assert [row["duration_s"] is None for row in (end, *start)] == [False, True, False, False]
    assert {row["user"] for row in (end, *start)} == {"tester"}
    assert [row["memory_peak_bytes"] for row in (end, *start)] == [None, None, None, int(700.5 * 2**20)]
    assert (start[2]["cpu_seconds"], start[2]["memory_source"]) == (3.5, "resource-tracker")
    assert imported(place, "Train")["added"] == 0
    advice = place.advice()
    assert advice["Train/start"]["requested"]["memory_mb"] == 6000
    assert any("no attempt's peak could be read" in reason for reason in advice["Train/end"]["reasons"])


def test_a_run_that_was_tracked_is_not_imported_beside_it(place: Place) -> None:
    """The rows of its own agent know more, and have the same names."""
    run(place, SHORT, STEPSIZE="1", STEPSIZE_AGENT_IDLE="3")
    assert place.run("report").returncode == 0  # which has everything in the lake
    said = imported(place, "Short")
    assert (said["attempts"], said["already_there"], said["added"]) == (2, 2, 0)


def test_a_flow_that_metaflow_does_not_know(place: Place) -> None:
    """Exit code 2 and a line that says where it looked."""
    done = place.called(sys.executable, "-m", "stepsize", "import", "metaflow", "Nothing")
    assert done.returncode == 2
    assert "Metaflow knows no flow Nothing" in done.stderr
