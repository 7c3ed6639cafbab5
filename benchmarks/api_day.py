"""What an answer costs after a day of samples: ``python benchmarks/api_day.py [--rounds 3]`` (``make bench-api``).

Writes the same 86,400 rows, one a second, as a recording and as the two files that resource-tracker 0.5.0 keeps, then
asks each for its statistics and its table, in processes of their own, in turn. Prints Markdown: medians of the seconds
that each answer took. What is imported for an answer is timed apart. Installs the peer on first use (`peers`).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from pathlib import Path

from peers import interpreter

from stepsize.instrumentation.recording import HOST_FIELDS, TASK_FIELDS, TIME

ROWS = 86_400
START_S = 1_790_000_000.0
_PROCESS = ["timestamp", "pid", "children", "utime", "stime", "cpu_usage", "memory_mib", "disk_read_bytes"]
_PROCESS += ["disk_write_bytes", "gpu_usage", "gpu_vram_mib", "gpu_utilized"]
_MEMORY = ("free", "used", "buffers", "cached", "active", "inactive")

PEER = """
import json, sys, time
started = time.perf_counter()
from resource_tracker import ResourceTracker
took = {"import": time.perf_counter() - started}
tracker = ResourceTracker(discover_server=False, discover_cloud=False)
tracker.process_tracker_filepath, tracker.system_tracker_filepath = sys.argv[1:3]
def timed(name, ask):
    started = time.perf_counter()
    answer = ask()
    took[name] = time.perf_counter() - started
    return answer
stats = timed("stats", tracker.stats)
with open(sys.argv[1], "ab") as file: file.write(open(sys.argv[3], "rb").read())
with open(sys.argv[2], "ab") as file: file.write(open(sys.argv[4], "rb").read())
timed("stats, one row more", tracker.stats)
timed("table of all rows", tracker.get_combined_metrics)
cpu, memory = stats["process_cpu_usage"]["mean"], stats["process_memory_mib"]["max"]
print(json.dumps({"took": took, "cpu": cpu, "memory": memory}))
"""

OURS = """
import json, os, sys, time
from pathlib import Path
from stepsize.api.facts import Facts
from stepsize.api.recorded import Recorded
from stepsize.api.stream import Stream
from stepsize.instrumentation.recording import HOST_FIELDS, TASK_FIELDS
from stepsize.model import Identity
from stepsize.settings import Settings
started = time.perf_counter()
import pyarrow.compute, stepsize.api.statistics, stepsize.api.tables
took = {"import": time.perf_counter() - started}
streams = [Stream(f, os.open(p, os.O_RDONLY)) for f, p in zip((TASK_FIELDS, HOST_FIELDS), sys.argv[1:3])]
recorded = Recorded(Facts(Identity("F", "1", "s", "t"), 1, started_s=float(sys.argv[5])), *streams, Settings())
def timed(name, ask):
    started = time.perf_counter()
    answer = ask()
    took[name] = time.perf_counter() - started
    return answer
stats = timed("stats", recorded.stats)
for stream, more in zip(sys.argv[1:3], sys.argv[3:5]):
    with open(stream, "ab") as file: file.write(Path(more).read_bytes())
timed("stats, one row more", recorded.stats)
timed("table of all rows", recorded.metrics)
cpu, memory = stats["process_cpu_usage"].mean, stats["process_memory_mib"].maximum
print(json.dumps({"took": took, "cpu": cpu, "memory": memory}))
"""


def main() -> None:
    """Run the rounds and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    peer = interpreter("resource-tracker")
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    for number in range(rounds):
        with tempfile.TemporaryDirectory(prefix="ss-") as name:
            write(Path(name), number)
            found = ask(sys.executable, OURS, Path(name), "task", "host")
            other = ask(str(peer), PEER, Path(name), "process", "system")
        # The same rows give the same answers: cores to two decimals, as the peer rounds them.
        assert abs(found["cpu"] - other["cpu"]) < 0.01, (found, other)
        assert abs(found["memory"] - other["memory"]) < 0.01, (found, other)
        ours.append(found["took"])
        theirs.append(other["took"])
    print(f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, {rounds} rounds\n")
    print(f"| {ROWS:,} rows of each | stepsize, ms | resource-tracker 0.5.0, ms | ratio |\n| --- | --- | --- | --- |")
    for what in ours[0]:
        one, two = ([took[what] * 1000 for took in each] for each in (ours, theirs))
        ratio = statistics.median(b / a for a, b in zip(one, two, strict=True))
        print(f"| {what} | {_shown(one)} | {_shown(two)} | 1 : {ratio:,.1f} |")


def _shown(values: list[float]) -> str:
    return f"{statistics.median(values):,.1f} ({min(values):,.1f} … {max(values):,.1f})"


def ask(python: str, code: str, directory: Path, *kinds: str) -> dict[str, object]:
    """What a fresh process answers."""
    files = [str(directory / f"{kind}{part}") for part in ("", ".more") for kind in kinds]
    finished = subprocess.run([python, "-c", code, *files, str(START_S)], check=True, capture_output=True, text=True)
    found: dict[str, object] = json.loads(finished.stdout)
    return found


def write(directory: Path, seed: int) -> None:
    """A day and a second of one process and its host, in both forms."""
    chosen = random.Random(seed)
    task, host = array("d"), array("d")
    process, system = [], []
    cpu_s, disk = 0.0, 0.0
    for row in range(ROWS + 1):
        time_s, cores, memory = START_S + row + 1, round(chosen.uniform(0, 4), 4), round(chosen.uniform(100, 9000), 4)
        cpu_s, disk = cpu_s + cores, disk + chosen.randrange(10**6)
        values = {TIME: time_s, "cpu_user_s": cpu_s, "cpu_system_s": 0.0, "cpu_cores": cores, "processes": 3.0}
        values |= {"memory_bytes": memory * 2**20, "memory_peak_bytes": memory * 2**20, "threads": 9.0}
        values |= {"disk_read_bytes": disk, "disk_write_bytes": disk, "disk_usage_bytes": disk}
        task.extend(values.get(name, 0.0) for name in (TIME, *(field.name for field in TASK_FIELDS)))
        process.append([time_s, 42, 2, cores, 0.0, cores, memory, 5, 7, 0.0, 0.0, 0])
        states = [round(chosen.uniform(1, 9000), 4) for _ in _MEMORY]
        host_values = {TIME: time_s, "cpu_user_s": cpu_s, "cpu_system_s": cpu_s, "cpus": 8.0, "processes": 200.0}
        host_values |= {f"memory_{state}_bytes": mib * 2**20 for state, mib in zip(_MEMORY, states, strict=True)}
        host_values |= {"net_received_bytes": disk, "net_sent_bytes": disk, "disk_read_bytes": disk}
        host.extend(host_values.get(name, 0.0) for name in (TIME, *(field.name for field in HOST_FIELDS)))
        system.append([time_s, 200, cores, cores, 2 * cores, *states, 5, 7, 100.0, 50.0, 50.0, 11, 13, 0.0, 0.0, 0])
    header = ["timestamp", "processes", "utime", "stime", "cpu_usage", *(f"memory_{state}_mib" for state in _MEMORY)]
    header += ["disk_read_bytes", "disk_write_bytes", "disk_space_total_gb", "disk_space_used_gb"]
    header += ["disk_space_free_gb", "net_recv_bytes", "net_sent_bytes", *_PROCESS[-3:]]
    for kind, values_ in (("task", task), ("host", host)):
        width = len(values_) // (ROWS + 1)
        (directory / kind).write_bytes(values_[: ROWS * width].tobytes())
        (directory / f"{kind}.more").write_bytes(values_[ROWS * width :].tobytes())
    for kind, names, rows in (("process", _PROCESS, process), ("system", header, system)):
        for suffix, part in (("", [names, *rows[:ROWS]]), (".more", rows[ROWS:])):
            with (directory / f"{kind}{suffix}").open("w", newline="") as file:
                csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerows(part)


if __name__ == "__main__":
    started = time.monotonic()
    main()
    print(f"\n{time.monotonic() - started:.0f} s in all.", file=sys.stderr)
