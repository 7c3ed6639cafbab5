"""What goes wrong around a flow never becomes the flow's problem, and is not lost."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import EXAMPLES, Workplace

if TYPE_CHECKING:
    from pathlib import Path

SLEEPER = """
import os, pathlib, time
from metaflow import FlowSpec, step
class SleepFlow(FlowSpec):
    @step
    def start(self):
        pathlib.Path(os.environ["PID_FILE"]).write_text(str(os.getpid()))
        time.sleep(60)
        self.next(self.end)
    @step
    def end(self):
        pass
if __name__ == "__main__":
    SleepFlow()
"""
QUICK = """
from metaflow import FlowSpec, step
class QuickFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        print("done")
if __name__ == "__main__":
    QuickFlow()
"""


def _read_when_written(fifo: Path, timeout_s: float = 60) -> str:
    """What is written into a named pipe, waited for without polling."""
    descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        ready, _, _ = select.select([descriptor], [], [], timeout_s)
        assert ready, f"nothing was written to {fifo}"
        return os.read(descriptor, 100).decode()
    finally:
        os.close(descriptor)


def test_a_killed_task_ends_the_run_at_once_and_is_in_the_lake_as_killed(workplace: Workplace) -> None:
    """Nothing of ours holds the task's output open, which would keep the run for as long as the agent lives.

    How promptly it ends beside an untracked run is measured in `benchmarks/flow_overhead.py`.
    """
    script = workplace.directory / "sleep_flow.py"
    script.write_text(SLEEPER)
    pid_file = workplace.directory / "pid"
    os.mkfifo(pid_file)
    with subprocess.Popen(
        [sys.executable, str(script), "--no-pylint", "run"],
        env={**workplace.environment, "PID_FILE": str(pid_file)},
        cwd=workplace.directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as run:
        os.kill(int(_read_when_written(pid_file)), signal.SIGKILL)
        killed_at = time.monotonic()
        run.communicate(timeout=30)
        ended_after_s = time.monotonic() - killed_at
    assert run.returncode != 0
    assert ended_after_s < 10, "an untracked run ends within a second or two"
    workplace.report()
    assert workplace.query("SELECT step, attempt, outcome, exit_signal FROM tasks") == [
        ("start", 0, "killed", signal.SIGKILL)
    ]


def _words(output: str) -> list[str]:
    """Metaflow's output without times, run ids and pids."""
    return re.sub(r"0x[0-9a-f]+|[\d:.\-]+", "#", output).splitlines()


def test_an_endpoint_that_is_down_changes_nothing_the_user_sees(workplace: Workplace) -> None:
    """The flow succeeds and prints what it prints untracked."""
    script = workplace.directory / "quick_flow.py"
    script.write_text(QUICK)
    untracked = workplace.flow(script, STEPSIZE="0")
    tracked = workplace.flow(script, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert tracked.returncode == untracked.returncode == 0
    assert _words(tracked.stdout) == _words(untracked.stdout)
    assert _words(tracked.stderr) == _words(untracked.stderr)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"STEPSIZE_INTERVAL": "often"}, "STEPSIZE_INTERVAL='often'"),
        ({"STEPSIZE_RUNTIME": "/proc/nowhere"}, "/proc/nowhere"),
        ({"STEPSIZE": "indeed"}, "STEPSIZE='indeed'"),
        ({"METAFLOW_DEFAULT_DECOSPECS": "stepsize:interval=-1"}, "@stepsize(interval=-1) is no time"),
    ],
)
def test_a_broken_setting_is_said_once_and_stops_nothing(
    workplace: Workplace, environment: dict[str, str], said: str
) -> None:
    """A mistyped variable must not stop a flow: the launcher names it, its tasks are silent and not tracked."""
    script = workplace.directory / "quick_flow.py"
    script.write_text(QUICK)
    finished = workplace.flow(script, **environment)
    assert finished.returncode == 0
    (line,) = [line for line in finished.stderr.splitlines() if "stepsize" in line]
    assert said in line
    assert "stepsize" not in finished.stdout
    assert not workplace.data.exists()


def test_a_flow_never_seen_is_named_with_those_known(workplace: Workplace) -> None:
    """One line, exit code 2."""
    assert workplace.flow(EXAMPLES / "retry_flow.py").returncode == 0
    finished = workplace.stepsize("report", "RetryFlwo")
    assert finished.returncode == 2
    assert "RetryFlow" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


def test_an_empty_lake_says_what_to_do(workplace: Workplace) -> None:
    """One line, exit code 1, and nothing is made where nothing was."""
    finished = workplace.stepsize("report")
    assert finished.returncode == 1
    assert "STEPSIZE=1" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1
    assert not workplace.data.exists()
