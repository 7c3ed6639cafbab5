"""What the collector takes and what it costs: ``python benchmarks/collector.py [--scale 1 --rounds 3 --only NAME]``.

Measures a real server process over real sockets, the load generator (`collector_load.py`) on the same cores, until the
last request is acknowledged (which is: on disk) and until the last of its points is in Parquet: batches of 10,000
points, requests of 40 points over HTTP and gRPC as fast as they are taken, a burst of 20,000 requests a second over
HTTP; the cost of a point with more points stored (up to ``--stored`` million) and with more tasks that run; and, where
it was built (`make test-peers`), the OpenTelemetry Collector with its file exporter under the same load. That one
writes what it takes as it is and syncs nothing; ours checks, syncs before it acknowledges, sorts, compresses and rolls
up. Prints Markdown.

Points are of 1 Hz task data, ten series a task, 4 samples to a request of 40 points. ``--scale`` makes everything
shorter (0.1) or longer; a scale below 1 says less about what lasts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.collector_lake import prepare
from benchmarks.collector_load import SECOND_NS, Load, Sent
from benchmarks.collector_processes import OTELCOL, Running, Usage, otelcol, stepsize
from benchmarks.tables import rows_of

Server = Callable[[Path], AbstractContextManager[Running]]
_GENERATOR = Path(__file__).with_name("collector_load.py")
BATCHES = Load("http", "", tasks=500, tasks_per_request=25, samples=40, requests=400, connections=8)
SMALL = Load("http", "", tasks=500, tasks_per_request=1, samples=4, requests=150_000)
LOADS = {
    "batches of 10,000 points, HTTP": BATCHES,
    "requests of 40 points, HTTP": SMALL,
    "requests of 40 points, gRPC": replace(SMALL, protocol="grpc", requests=60_000),
    "burst of 20,000 requests of 40 points a second, HTTP": replace(SMALL, requests=600_000, rate=20_000),
}
TARGETS = {
    "batches of 10,000 points, HTTP": "0.7 M points/s",
    "requests of 40 points, HTTP": "12,000 requests/s",
    "requests of 40 points, gRPC": "5,000 requests/s",
    "burst of 20,000 requests of 40 points a second, HTTP": "20,000 requests/s, Parquet within 60 s after",
}
TASKS = (10, 100, 1000, 10_000)
GROWTH_TARGET = 1.3


@dataclass(frozen=True, slots=True)
class Result:
    """One run of a load."""

    load: Load
    sent: Sent
    until_stored_s: float
    usage: Usage
    points: int
    size_bytes: int

    @property
    def sent_points(self) -> int:
        """Points that were acknowledged."""
        return self.sent.acknowledged * self.load.points

    @property
    def cost_us(self) -> float:
        """CPU time of the collector for a point."""
        return self.usage.cpu_s / self.sent_points * 1e6


def run(server: Server, load: Load, stored_millions: float = 0.0, warm_rounds: int = 0) -> Result:
    """Send a load to a server of its own; each task has sent ``warm_rounds`` requests before what is measured."""
    with tempfile.TemporaryDirectory(prefix="stepsize-bench-") as name:
        directory = Path(name)
        if stored_millions:
            prepare(directory / "lake", stored_millions)
        with server(directory) as running:
            address = running.grpc if load.protocol == "grpc" else running.http
            began_ns = (time.time_ns() // SECOND_NS - 4 * 3600) * SECOND_NS
            load = replace(load, address=address, began_ns=began_ns)
            if warm_rounds:
                with _generator(replace(load, requests=warm_rounds * load.tasks)) as generator:
                    _send(generator)
                    running.settle()
            load = replace(load, first_round=warm_rounds)
            already, _ = running.stored()
            with _generator(load) as generator:
                before = running.usage()
                began_s = time.perf_counter()
                sent = _send(generator)
                running.settle()
                until_stored_s = time.perf_counter() - began_s
            after = running.usage()
            points, size_bytes = running.stored()
    used = replace(
        after,
        ingest_cpu_s=after.ingest_cpu_s - before.ingest_cpu_s,
        sink_cpu_s=after.sink_cpu_s - before.sink_cpu_s,
    )
    assert not points or points - already == sent.acknowledged * load.points, (points, already, sent)
    return Result(load, sent, until_stored_s, used, points, size_bytes)


def _generator(load: Load) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, str(_GENERATOR), json.dumps(asdict(load))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def _send(generator: subprocess.Popen[str]) -> Sent:
    answer, _ = generator.communicate("\n")
    return Sent(**json.loads(answer))


def throughput(loads: dict[str, Load], rounds: int) -> Iterator[str]:
    """How much is taken, ours and the peer's in turn."""
    servers: dict[str, Server] = {"stepsize": stepsize}
    if OTELCOL.exists():
        servers["otelcol, file exporter"] = otelcol
    yield (
        "| load | who | requests/s acknowledged | M points/s acknowledged | M points/s to the last Parquet row | "
        "s to Parquet after the last answer | M points per CPU-s (receiving, storing) | "
        "peak MiB (receiving, storing) | longest answer, s | refused | client CPU-s | target |"
    )
    yield "|" + " --- |" * 12
    for name, load in loads.items():
        found: dict[str, list[Result]] = {who: [] for who in servers}
        for _ in range(rounds):
            for who, server in servers.items():
                found[who].append(run(server, load))
        for who, results in found.items():
            yield _row(name, who, results)


def _row(name: str, who: str, results: list[Result]) -> str:
    def middle(value: Callable[[Result], float]) -> float:
        return statistics.median(map(value, results))

    is_ours = who == "stepsize"
    halves = (
        f"{middle(lambda r: r.sent_points / r.usage.ingest_cpu_s / 1e6):.2f}, "
        f"{middle(lambda r: r.sent_points / r.usage.sink_cpu_s / 1e6):.2f}"
        if is_ours
        else "all in one"
    )
    memory = f"{middle(lambda r: r.usage.ingest_mib):.0f}" + (
        f", {middle(lambda r: r.usage.sink_mib):.0f}" if is_ours else ""
    )
    to_parquet = f"{middle(lambda r: r.sent_points / r.until_stored_s / 1e6):.3f}" if is_ours else ""
    cells = (
        name,
        who,
        f"{middle(lambda r: r.sent.acknowledged / r.sent.wall_s):,.0f}",
        f"{middle(lambda r: r.sent_points / r.sent.wall_s / 1e6):.3f}",
        to_parquet,
        f"{middle(lambda r: r.until_stored_s - r.sent.wall_s):.1f}" if is_ours else "",
        f"{middle(lambda r: r.sent_points / r.usage.cpu_s / 1e6):.3f} ({halves})",
        memory,
        f"{middle(lambda r: r.sent.worst_s):.2f}",
        f"{middle(lambda r: r.sent.refused):.0f}",
        f"{middle(lambda r: r.sent.cpu_s):.1f}",
        TARGETS.get(name, "") if is_ours else "",
    )
    return f"| {' | '.join(cells)} |"


def growth_stored(millions: float, load: Load, rounds: int) -> Iterator[str]:
    """The cost of a point by how many are stored already."""
    steps = [step for step in (1.0, 10.0, 50.0, 200.0) if step <= millions] or [millions]
    yield "| M points stored | CPU µs a point: receiving | storing | both | against the first | target |"
    yield "|" + " --- |" * 6
    yield from _growth(steps, [[run(stepsize, load, step) for step in steps] for _ in range(rounds)])


def growth_tasks(load: Load, rounds: int) -> Iterator[str]:
    """The cost of a point by how many tasks run at a time; each has sent before."""
    yield "| tasks that run | CPU µs a point: receiving | storing | both | against the first | target |"
    yield "|" + " --- |" * 6
    steps = [float(tasks) for tasks in TASKS]
    rows = [[run(stepsize, replace(load, tasks=tasks), warm_rounds=2) for tasks in TASKS] for _ in range(rounds)]
    yield from _growth(steps, rows)


def _growth(steps: list[float], rounds: list[list[Result]]) -> Iterator[str]:
    first = statistics.median(results[0].cost_us for results in rounds)
    for place, step in enumerate(steps):
        results = [found[place] for found in rounds]
        ingest = statistics.median(r.usage.ingest_cpu_s / r.sent_points * 1e6 for r in results)
        sink = statistics.median(r.usage.sink_cpu_s / r.sent_points * 1e6 for r in results)
        both = statistics.median(r.cost_us for r in results)
        yield f"| {step:,g} | {ingest:.2f} | {sink:.2f} | {both:.2f} | {both / first:.2f} | {GROWTH_TARGET} |"


def size_as_written(scale: float) -> Iterator[str]:
    """Bytes of a point as it is written, before any compaction."""
    load = replace(SMALL, tasks=1000, requests=max(1000, int(60_000 * scale)), rate=1250)
    result = run(stepsize, load)
    yield (
        f"As written at {result.sent_points / result.sent.wall_s:,.0f} points/s of 1,000 tasks: "
        f"{result.size_bytes / result.points:.2f} bytes a point (target 8). What compaction makes of it: "
        "`benchmarks/lake_size.py`."
    )


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stored", type=float, default=200.0, help="million points")
    parser.add_argument("--only", choices=("throughput", "size", "stored", "tasks"))
    parser.add_argument("--json", type=Path, help="where to leave the tables; parts that are not run stay as they are")
    chosen = parser.parse_args()
    loads = {name: replace(load, requests=int(load.requests * chosen.scale)) for name, load in LOADS.items()}
    growing = replace(SMALL, requests=int(100_000 * chosen.scale))
    parts: dict[str, Callable[[], Iterator[str]]] = {
        "throughput": lambda: throughput(loads, chosen.rounds),
        "size": lambda: size_as_written(chosen.scale),
        "stored": lambda: growth_stored(chosen.stored, growing, chosen.rounds),
        "tasks": lambda: growth_tasks(growing, chosen.rounds),
    }
    load_average = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    machine = (
        f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, "
        f"{chosen.rounds} rounds, scale {chosen.scale:g}, load when it began {load_average}"
    )
    print(f"{machine}\n")
    for name, part in parts.items():
        if chosen.only in (None, name):
            printed = []
            for line in part():
                print(line, flush=True)
                printed.append(line)
            print(flush=True)
            if chosen.json:
                _leave(chosen.json, name, machine, printed)


def _leave(path: Path, part: str, machine: str, printed: list[str]) -> None:
    """Leave a part's tables in a file for ``plots.py``, beside those of other parts."""
    found = json.loads(path.read_text("utf-8")) if path.exists() else {}
    found[part] = list(rows_of(printed))
    found.setdefault("machines", {})[part] = machine
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
