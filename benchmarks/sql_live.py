"""Viewers of a dashboard of what runs now, while points arrive at a real collector.

What comes in: how many viewers, one number after the other, how many points a second, for how long. What goes out: how
long each panel's query took, from when it was due, by panel and by viewers, and whether the collector kept up.

Each viewer opens the dashboard at a moment of its own and asks for all its panels at once every five seconds, as a
browser does. The panels share connections as those of one Grafana do, as many as its data source is provisioned with.
Tasks are sampled once a second and told of every four seconds, 25 of them in a request; the points' times are those of
the clock. Before anybody looks, the dashboard's window is full of such points, and one viewer has been there for ten
seconds before the others come. An answer without a row stops the benchmark.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.collector_load import SECOND_NS, SERIES, Load
from benchmarks.collector_processes import stepsize
from benchmarks.sql_wire import READY, START, check, endpoint, question

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.collector_processes import Running
    from benchmarks.sql_wire import Endpoint

REFRESH_S = 5.0
_CONNECTIONS = 30
"""As the data source is provisioned."""
_WARM_S = 15.0
"""How long points arrive before anybody looks."""
_PREPARED_S = 10.0
_FIRST_S = 10.0
"""How long one viewer looks before the others come."""
_COMPLETED = re.compile(rb"SELECT (\d+)\0Z\0\0\0\x05I$")
_TASKS_PER_REQUEST, _FILLED_TOGETHER, _SAMPLES = 25, 250, 4
_FILLINGS, _GAP_S = 4, 20
"""A filling that is slower than time itself, as on a busy machine, never catches up."""
_TARGET_MS, _VIEWERS = 500, 50
_DASHBOARD = Path(__file__).parents[1] / "grafana" / "dashboards" / "stepsize-live.json"
_WITHOUT_ROWS = {"GPUs"}
"""What asks for what these tasks have none of."""


@dataclass(frozen=True, slots=True)
class Live:
    """So many viewers one after the other, so many points a second, each for so long, after points of so long."""

    viewers: tuple[int, ...]
    points: int
    seconds: float
    filled_s: int


@dataclass(slots=True)
class Seen:
    """What viewers saw."""

    viewers: int
    panels: dict[str, str]
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    late: int = 0
    """Refreshes whose turn came before the last one was shown."""
    cores: float = 0.0
    """What the endpoint used."""
    peak_mib: float = 0.0
    """The most that it had held by then."""

    def p95_ms(self) -> float:
        """Of all panels."""
        return _p95_ms([one for found in self.seconds.values() for one in found])


class _Connections:
    """Those of one Grafana: a query waits where all are in use."""

    def __init__(self, port: int, most: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._room = asyncio.Semaphore(most)

    async def ask(self, statement: str) -> None:
        """Read an answer to its end."""
        async with self._room:
            reader, writer = self._idle.pop() if self._idle else await self._connected()
            writer.write(question(statement))
            tail = await _answer(reader)
            self._idle.append((reader, writer))
        completed = _COMPLETED.search(tail)
        if completed is None or completed[1] == b"0":
            raise SystemExit(f"no row answers {statement}")

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(START)
        await _answer(reader)
        return reader, writer

    def close(self) -> None:
        """Hang up."""
        for _, writer in self._idle:
            writer.close()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    """Read an answer; its last bytes."""
    tail, is_first = b"", True
    while not tail.endswith(READY):
        piece = await reader.read(1 << 16)
        if is_first:
            check(piece[:300])
        if not piece:
            raise SystemExit("the endpoint hung up")
        tail, is_first = (tail + piece)[-32:], False
    return tail


async def _view(pool: _Connections, seen: Seen, phase_s: float, until_s: float) -> None:
    """One viewer."""
    due_s = time.perf_counter() + phase_s
    while due_s < until_s:
        await asyncio.sleep(max(0.0, due_s - time.perf_counter()))

        async def show(title: str, statement: str, due_s: float = due_s) -> None:
            await pool.ask(statement)
            seen.seconds[title].append(time.perf_counter() - due_s)

        await asyncio.gather(*(show(title, statement) for title, statement in seen.panels.items()))
        due_s += REFRESH_S
        while due_s < time.perf_counter():
            seen.late += 1
            due_s += REFRESH_S


async def _watch(server: Endpoint, seen: list[Seen], wanted: Live) -> None:
    pool = _Connections(server.port, _CONNECTIONS)
    await _view(pool, Seen(1, seen[0].panels), 0.0, time.perf_counter() + _FIRST_S)
    chance = random.Random(1)
    for one in seen:
        began_s, used_s = time.perf_counter(), server.cpu_s()
        until_s = began_s + wanted.seconds
        phases = [chance.uniform(0.0, REFRESH_S) for _ in range(one.viewers)]
        await asyncio.gather(*(_view(pool, one, phase_s, until_s) for phase_s in phases))
        one.cores = (server.cpu_s() - used_s) / (time.perf_counter() - began_s)
        one.peak_mib = server.peak_mib()
    pool.close()


def panels() -> dict[str, str]:
    """Statements of *Live* by their panels' titles, as Grafana sends them with the one flow there is."""
    board = json.loads(_DASHBOARD.read_text("utf-8"))
    found = {one["title"]: one["targets"][0]["rawSql"] for one in board["panels"] if one["type"] != "row"}
    return {
        name: text.replace("${flow:sqlstring}", "'TrainFlow'")
        for name, text in found.items()
        if name not in _WITHOUT_ROWS
    }


def live(directory: Path, wanted: Live) -> Iterator[str]:
    """Run it; the tables."""
    directory.mkdir()
    with stepsize(directory) as collector:
        began_s = time.perf_counter()
        already = _fill(collector, wanted)
        filled_s = time.perf_counter() - began_s
        load = _load(collector, wanted)
        with _begun(load) as generator:
            time.sleep(_WARM_S)
            with endpoint(directory / "lake", directory) as server:
                seen = [Seen(viewers, panels()) for viewers in wanted.viewers]
                began_s, collected_s = time.perf_counter(), collector.usage().cpu_s
                asyncio.run(_watch(server, seen, wanted))
                looked_s = time.perf_counter() - began_s
                collected_s = collector.usage().cpu_s - collected_s
            answer = _said(generator)
        began_s = time.perf_counter()
        collector.settle()
        behind_s = time.perf_counter() - began_s
        points = collector.stored()[0] - already
    sent = answer["acknowledged"] * load.points
    yield (
        f"{already:,} points of the last {wanted.filled_s} s and of the time that it took were there (taken in "
        f"{filled_s:.0f} s), {_tasks(wanted):,} tasks run. Each number of viewers looks for {wanted.seconds:g} s, "
        f"after one who looked for {_FIRST_S:g} s."
    )
    yield ""
    yield from _by_viewers(seen)
    yield ""
    most = max(seen, key=lambda one: (one.viewers == _VIEWERS, one.viewers))
    yield f"By panel, {most.viewers} viewers:"
    yield ""
    yield from _panels(most)
    yield ""
    met = "met" if most.p95_ms() < _TARGET_MS else "missed"
    target = f"The target, a p95 of {_VIEWERS} viewers under {_TARGET_MS} ms: {met} ({most.p95_ms():.0f} ms). "
    yield (
        f"{target if most.viewers == _VIEWERS else ''}Points: "
        f"{sent:,} acknowledged at {sent / answer['wall_s']:,.0f} a second of {wanted.points:,}, {answer['refused']} "
        f"requests refused, longest answer {answer['worst_s']:.2f} s; all in Parquet {behind_s:.1f} s after the last "
        f"answer, {sent - points:,} missing. The collector took {collected_s / looked_s:.2f} cores."
    )


def _begun(load: Load) -> subprocess.Popen[str]:
    """What sends it, which has begun."""
    command = [sys.executable, str(Path(__file__).with_name("collector_load.py")), json.dumps(asdict(load))]
    generator = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert generator.stdout
    assert generator.stdin
    assert generator.stdout.readline() == "ready\n"
    generator.stdin.write("\n")
    generator.stdin.flush()
    return generator


def _said(generator: subprocess.Popen[str]) -> dict[str, Any]:
    """What became of it, once all is sent."""
    assert generator.stdout
    found: dict[str, Any] = json.loads(generator.stdout.readline())
    return found


def _tasks(wanted: Live) -> int:
    return max(_TASKS_PER_REQUEST, wanted.points // SERIES // _TASKS_PER_REQUEST * _TASKS_PER_REQUEST)


def _fill(collector: Running, wanted: Live) -> int:
    """Have it take the points before now as fast as it can, then those of the time that this took; how many.

    In large requests, where that comes out even.
    """
    tasks = _tasks(wanted)
    together = _FILLED_TOGETHER if tasks % _FILLED_TOGETHER == 0 else _TASKS_PER_REQUEST
    began_ns = time.time_ns() - wanted.filled_s * SECOND_NS
    done = points = 0
    for _ in range(_FILLINGS):
        rounds = (time.time_ns() - began_ns) // SECOND_NS // _SAMPLES - done
        if rounds * _SAMPLES < _GAP_S:
            break
        requests = tasks // together * rounds
        load = Load("http", collector.http, tasks, together, _SAMPLES, requests, 0.0, 8, "1", began_ns, done)
        with _begun(load) as generator:
            points += _said(generator)["acknowledged"] * load.points
        collector.settle()
        done += rounds
    return points


def _load(collector: Running, wanted: Live) -> Load:
    """Points as they are sampled."""
    tasks = _tasks(wanted)
    rate = tasks / _TASKS_PER_REQUEST / _SAMPLES
    looked_s = _FIRST_S + len(wanted.viewers) * (wanted.seconds + REFRESH_S)
    requests = round(rate * (_WARM_S + looked_s + REFRESH_S))
    began_ns = time.time_ns() + round(_PREPARED_S * SECOND_NS)
    return Load("http", collector.http, tasks, _TASKS_PER_REQUEST, _SAMPLES, requests, rate, 8, began_ns=began_ns)


def _by_viewers(seen: list[Seen]) -> Iterator[str]:
    yield (
        "| viewers | answers | median, ms | p95, ms | longest, ms | refreshes left out, the one before not shown yet | "
        "endpoint, cores | MiB at most so far |"
    )
    yield "|" + " --- |" * 8
    for one in seen:
        found = _row([second for panel in one.seconds.values() for second in panel])
        yield f"| {one.viewers} | {found} | {one.late} | {one.cores:.2f} | {one.peak_mib:.0f} |"


def _panels(seen: Seen) -> Iterator[str]:
    yield "| panel | answers | median, ms | p95, ms | longest, ms |"
    yield "|" + " --- |" * 5
    for title, found in seen.seconds.items():
        yield f"| {title} | {_row(found)} |"


def _row(seconds: list[float]) -> str:
    middle_ms, longest_ms = statistics.median(seconds) * 1e3, max(seconds) * 1e3
    return f"{len(seconds):,} | {middle_ms:.0f} | {_p95_ms(seconds):.0f} | {longest_ms:.0f}"


def _p95_ms(seconds: list[float]) -> float:
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))] * 1e3
