"""What tracking costs a flow: ``python benchmarks/flow_overhead.py [--rounds 10]`` (``make bench-flow``).

Runs a three-step flow untracked, tracked with the embedded collector, with an endpoint that is down and with one that
takes connections and never answers, in turn, so that a drift of the machine meets all alike. Prints the medians, and
each variant's wall time as a ratio to the untracked run of the same round. Then kills a task with SIGKILL, tracked and
untracked, and prints how long the run took to end. Loopback only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.environment import clean_environment

FLOW = """
import os, pathlib, time
from metaflow import FlowSpec, step
class OverheadFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.work)
    @step
    def work(self):
        if os.environ.get("PID_FIFO"):
            pathlib.Path(os.environ["PID_FIFO"]).write_text(str(os.getpid()))
            time.sleep(60)
        end = time.process_time() + 1
        while time.process_time() < end:
            pass
        self.next(self.end)
    @step
    def end(self):
        pass
if __name__ == "__main__":
    OverheadFlow()
"""


def main() -> None:
    """Run the rounds and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    with (
        tempfile.TemporaryDirectory(prefix="ss-", ignore_cleanup_errors=True) as name,
        socket.create_server(("127.0.0.1", 0)) as silent,
    ):
        directory = Path(name)
        (directory / "flow.py").write_text(FLOW)
        hanging = f"http://127.0.0.1:{silent.getsockname()[1]}"
        variants: dict[str, dict[str, str]] = {
            "untracked": {},
            "tracked, embedded collector": {"STEPSIZE": "1"},
            "tracked, endpoint down": {"STEPSIZE": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
            "tracked, endpoint hangs": {"STEPSIZE": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": hanging},
        }
        took: dict[str, list[float]] = {variant: [] for variant in variants}
        killed: dict[str, list[float]] = {"untracked": [], "tracked, embedded collector": []}
        for _ in range(rounds):
            for variant, environment in variants.items():
                took[variant].append(_run(directory, environment))
            for variant, ended in killed.items():
                ended.append(_kill(directory, variants[variant]))
    print(f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, {rounds} rounds\n")
    print("| variant | wall s, median (min … max) | ratio to untracked, median (min … max) |\n| --- | --- | --- |")
    for variant, seconds in took.items():
        ratios = [one / base for one, base in zip(seconds, took["untracked"], strict=True)]
        print(f"| {variant} | {_spread(seconds)} | {_spread(ratios)} |")
    print("\n| task killed with SIGKILL | s until the run ended, median (min … max) |\n| --- | --- |")
    for variant, seconds in killed.items():
        print(f"| {variant} | {_spread(seconds)} |")
    print("\n" + json.dumps({"took_s": took, "killed_s": killed}))


def _environment(directory: Path, more: dict[str, str]) -> dict[str, str]:
    return {
        **clean_environment(directory, 5, "METAFLOW_"),
        "METAFLOW_USER": "bench",
        "METAFLOW_HOME": str(directory / "metaflow"),
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(directory / "metaflow"),
        **more,
    }


def _command(directory: Path) -> list[str]:
    return [sys.executable, str(directory / "flow.py"), "--no-pylint", "run"]


def _run(directory: Path, more: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run(
        _command(directory), env=_environment(directory, more), cwd=directory, check=True, capture_output=True
    )
    return time.perf_counter() - start


def _kill(directory: Path, more: dict[str, str]) -> float:
    fifo = directory / "pid"
    fifo.unlink(missing_ok=True)
    os.mkfifo(fifo)
    environment = _environment(directory, {**more, "PID_FIFO": str(fifo)})
    with subprocess.Popen(
        _command(directory), env=environment, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        select.select([descriptor], [], [], 60)
        os.kill(int(os.read(descriptor, 100)), signal.SIGKILL)
        start = time.perf_counter()
        os.close(descriptor)
        process.communicate()
    return time.perf_counter() - start


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f} … {max(values):.3f})"


if __name__ == "__main__":
    main()
