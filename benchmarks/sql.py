"""What SQL over the wire costs: ``python benchmarks/sql.py [--rounds 5 --only NAME]`` (``make bench-sql``).

A real ``stepsize sql --serve`` over real sockets, beside DuckDB itself on the same lake in this process, one after the
other in each round: the same statement, fetched to Arrow. Statements are those that Grafana sends (simple protocol,
macros expanded), of a million rows: three columns of a time series; twenty of a table; text; and one that reads no
file, where the wire's share is largest. Then how it grows with rows and with clients, and 50 viewers of a dashboard
while 100,000 points a second arrive at a collector (`sql_live.py`). Prints Markdown: medians, and the CPU time of
either side, which other work on the machine distorts less than seconds.

The target for a million rows is 1.5 times DuckDB's own time and 0.1 µs a cell. It is held against a client that only
reads bytes; what psycopg takes to receive and to make Python objects of is beside it. Every statement of a series has a
time of its own, as Grafana's have, so that none is answered from what was kept of another.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import psycopg

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.lake_points import DAY, SERIES
from benchmarks.scale import write_points
from benchmarks.scale_lake import write_lake
from benchmarks.sql_live import Live, live
from benchmarks.sql_wire import Bytes, endpoint
from stepsize.store.bounds import bound
from stepsize.store.lake import Lake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from benchmarks.sql_wire import Endpoint

TASKS = 30
A_SECOND = TASKS * len(SERIES)
MILLION = 1_000_000
ROWS = (10_000, 100_000, MILLION)
CLIENTS = (1, 2, 4, 8, 16)
MEMORY_BYTES = 1 << 30
TIMES, CELL_S = 1.5, 1e-7
_TABLE = """flow, run, step, task, attempt, started_at AS "time", ended_at, duration_s, outcome, samples,
    cpu_seconds, cpu_mean, cpu_p95, cpu_max, memory_peak_bytes, memory_mean_bytes, memory_limit_bytes, requested_cpu,
    host, instance_type"""


@dataclass(frozen=True, slots=True)
class Shape:
    """A statement of any number of rows.

    Attributes:
        name: of it.
        columns: how many.
        statement: of so many rows, the how manieth of its kind it is.
    """

    name: str
    columns: int
    statement: Callable[[int, int], str]


def _filtered(rows: int, turn: int) -> str:
    """``$__timeFilter(time)`` of about so many points; no two turns have the same."""
    begin_s = DAY // 10**9
    end_s = begin_s + -(-rows // A_SECOND)
    return f"time BETWEEN {_time(begin_s, turn)} AND {_time(end_s, turn)}"


def _time(seconds: float, microseconds: int) -> str:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"'{stamp}.{microseconds:06d}Z'"


SHAPES = (
    Shape(
        "time series of points",
        3,
        lambda rows, turn: (
            f'SELECT time AS "time", metric, value FROM points WHERE {_filtered(rows, turn)} ORDER BY time'
        ),
    ),
    Shape(
        "table of attempts",
        20,
        lambda rows, turn: (
            f"SELECT {_TABLE} FROM tasks WHERE started_at > {_time(1_600_000_000, turn)} "
            f"ORDER BY started_at LIMIT {rows}"
        ),
    ),
    Shape(
        "text of points",
        8,
        lambda rows, turn: (
            'SELECT time AS "time", metric, flow, run, step, host, attributes, resource '
            f"FROM points WHERE {_filtered(rows, turn)}"
        ),
    ),
    Shape(
        "made up, no file read",
        3,
        lambda rows, turn: (
            'SELECT make_timestamptz(1790035200000000 + i * 1000000) AS "time", '
            f"i % {7 + turn} AS series, hash(i) / 1e15 AS value FROM range({rows}) AS r(i)"
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds, CPU seconds of whoever did it, how much came of it."""

    wall_s: float
    cpu_s: float
    amount: int


class Direct:
    """DuckDB itself, on the lake, within the same bounds as the endpoint's."""

    def __init__(self, data: Path) -> None:
        self._connection = Lake(data).connect()
        bound(self._connection, MEMORY_BYTES)
        self._connection.execute("SET integer_division = true")

    def ask(self, statement: str) -> Taken:
        """A statement, to its last row in Arrow."""
        began_s, cpu_s = time.perf_counter(), time.process_time()
        rows = _fetched(self._connection, statement)
        return Taken(time.perf_counter() - began_s, time.process_time() - cpu_s, rows)


def _fetched(connection: duckdb.DuckDBPyConnection, statement: str) -> int:
    return int(connection.sql(statement).to_arrow_table().num_rows)


def over_the_wire(server: Endpoint, ask: Callable[[str], int], statement: str) -> Taken:
    """A statement, to the last byte of its answer; CPU time is the endpoint's."""
    began_s, cpu_s = time.perf_counter(), server.cpu_s()
    amount = ask(statement)
    return Taken(time.perf_counter() - began_s, server.cpu_s() - cpu_s, amount)


def million(data: Path, server: Endpoint, rounds: int) -> Iterator[str]:
    """Each shape, a million rows."""
    yield (
        "| statement | rows x columns | MB | DuckDB alone, ms | may take, ms | over the wire, ms | of what it may | "
        "CPU ms: DuckDB alone | endpoint | endpoint's CPU of 1.5 times and 0.1 µs a cell | "
        "psycopg, received, ms | made Python's, ms |"
    )
    yield "|" + " --- |" * 12
    for shape in SHAPES:
        yield _million_row(data, server, shape, rounds)


def _million_row(data: Path, server: Endpoint, shape: Shape, rounds: int) -> str:
    direct, wire = Direct(data), Bytes(server.port)
    alone: list[Taken] = []
    sent: list[Taken] = []
    for turn in range(rounds + 1):
        alone.append(direct.ask(shape.statement(MILLION, 2 * turn)))
        sent.append(over_the_wire(server, wire.ask, shape.statement(MILLION, 2 * turn + 1)))
    alone, sent = alone[1:], sent[1:]  # the first one reads files that are not in memory yet
    wire.close()
    rows = alone[-1].amount
    added_s = CELL_S * rows * shape.columns
    may = [TIMES * one.wall_s + added_s for one in alone]
    of_it = statistics.median(two.wall_s / one for one, two in zip(may, sent, strict=True))
    of_cpu = statistics.median(two.cpu_s / (TIMES * one.cpu_s + added_s) for one, two in zip(alone, sent, strict=True))
    received_s, made_s = _psycopg(server, shape, rounds) if shape.columns < 20 else (None, None)
    cells = (
        shape.name,
        f"{rows:,} x {shape.columns}",
        f"{sent[-1].amount / 1e6:.0f}",
        _ms(one.wall_s for one in alone),
        _ms(may),
        _ms(one.wall_s for one in sent),
        f"{of_it:.2f}",
        _ms(one.cpu_s for one in alone),
        _ms(one.cpu_s for one in sent),
        f"{of_cpu:.2f}",
        "" if received_s is None else f"{received_s * 1e3:.0f}",
        "" if made_s is None else f"{made_s * 1e3:.0f}",
    )
    return f"| {' | '.join(cells)} |"


def _ms(seconds: Iterable[float]) -> str:
    return f"{statistics.median(seconds) * 1e3:.0f}"


def _psycopg(server: Endpoint, shape: Shape, rounds: int) -> tuple[float, float]:
    """Medians: until libpq has all rows, and until they are tuples of Python's too."""
    received, made = [], []
    with psycopg.connect(f"host=127.0.0.1 port={server.port} user=ann dbname=stepsize", autocommit=True) as connection:
        for turn in range(min(rounds, 3)):
            with connection.cursor() as cursor:
                began_s = time.perf_counter()
                cursor.execute(shape.statement(MILLION, 500 + turn))
                received.append(time.perf_counter() - began_s)
                cursor.fetchall()
                made.append(time.perf_counter() - began_s)
    return statistics.median(received), statistics.median(made)


def growth_rows(data: Path, server: Endpoint, rounds: int) -> Iterator[str]:
    """The time series by its rows."""
    yield "| rows | DuckDB alone, ms | over the wire, ms | beyond DuckDB alone, µs a cell | endpoint's CPU, µs a cell |"
    yield "|" + " --- |" * 5
    shape = SHAPES[0]
    for asked in ROWS:
        direct, wire = Direct(data), Bytes(server.port)
        turns = range(200, 200 + 2 * (rounds + 1), 2)
        pairs = [
            (
                direct.ask(shape.statement(asked, turn)),
                over_the_wire(server, wire.ask, shape.statement(asked, turn + 1)),
            )
            for turn in turns
        ][1:]
        wire.close()
        cells = pairs[-1][0].amount * shape.columns
        beyond = statistics.median((two.wall_s - one.wall_s) / cells for one, two in pairs)
        cpu = statistics.mean(two.cpu_s / cells for _, two in pairs)
        alone, sent = _ms(one.wall_s for one, _ in pairs), _ms(two.wall_s for _, two in pairs)
        yield f"| {pairs[-1][0].amount:,} | {alone} | {sent} | {beyond * 1e6:.3f} | {cpu * 1e6:.3f} |"


def growth_clients(data: Path, server: Endpoint, rounds: int) -> Iterator[str]:
    """The time series of 100,000 rows by clients that ask at the same time, each for its own."""
    del data
    yield "| clients | rows/s of all | CPU ms an answer | endpoint's memory at most, MiB |"
    yield "|" + " --- |" * 4
    for count in CLIENTS:
        clients = [Bytes(server.port) for _ in range(count)]
        began_s, cpu_s = time.perf_counter(), server.cpu_s()
        threads = [
            threading.Thread(target=_asks, args=(one, 10_000 * (place + 1), rounds))
            for place, one in enumerate(clients)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wall_s, used_s = time.perf_counter() - began_s, server.cpu_s() - cpu_s
        for one in clients:
            one.close()
        answers = count * rounds
        speed = answers * 100_000 / wall_s
        yield f"| {count} | {speed:,.0f} | {used_s / answers * 1e3:.0f} | {server.peak_mib():.0f} |"


def _asks(client: Bytes, first: int, rounds: int) -> None:
    for turn in range(rounds):
        client.ask(SHAPES[0].statement(100_000, first + turn))


def prepare(data: Path) -> None:
    """A lake of a million attempts, and more than a million points."""
    write_points(data, TASKS)
    write_lake(data, MILLION + 5_000, 1_000)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("million", "rows", "clients", "live"))
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--points", type=int, default=100_000, help="that arrive in a second, of ten series a task")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the viewers look")
    parser.add_argument("--filled", type=int, default=900, help="seconds of points before them; panels look back 900")
    parser.add_argument("--lake", type=Path, help="one that was made before; made where it is not there")
    chosen = parser.parse_args()
    load_average = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(
        f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, "
        f"DuckDB {duckdb.__version__}, psycopg {psycopg.__version__} ({psycopg.pq.__impl__}), {chosen.rounds} rounds, "
        f"load when it began {load_average}\n"
    )
    with tempfile.TemporaryDirectory(prefix="stepsize-bench-") as name:
        home = Path(name)
        if chosen.only != "live":
            tables(chosen.lake or home / "lake", home, chosen.only, chosen.rounds)
        if chosen.only in (None, "live"):
            for line in live(home / "live", Live(chosen.viewers, chosen.points, chosen.seconds, chosen.filled)):
                print(line, flush=True)


def tables(data: Path, home: Path, only: str | None, rounds: int) -> None:
    """Those of one lake and one endpoint."""
    parts = {"million": million, "rows": growth_rows, "clients": growth_clients}
    if not data.exists():
        prepare(data)
    with endpoint(data, home, "--memory", f"{MEMORY_BYTES >> 20}MiB") as server:
        for name, part in parts.items():
            if only in (None, name):
                for line in part(data, server, rounds):
                    print(line, flush=True)
                print(flush=True)


if __name__ == "__main__":
    main()
