"""What an answer over the wire costs: a million rows of each shape, then by rows, then by clients.

What comes in: a lake, an endpoint over it, how many rounds. What goes out: Markdown. In each round the same statement
goes to DuckDB itself in this process (to its last row in Arrow), to the endpoint by a client that only reads bytes, to
the endpoint by Grafana's driver, and where there is one to a PostgreSQL whose table holds just these rows, one after
the other; ratios are of one round, and their medians are what counts. Every statement has a time of its own, as
Grafana's have, so that none is answered from what was kept of another.
"""

from __future__ import annotations

import statistics
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from benchmarks.lake_points import DAY, SERIES
from benchmarks.scale import write_points
from benchmarks.scale_lake import write_lake
from benchmarks.sql_wire import Bytes, Pgx
from stepsize.store.bounds import bound
from stepsize.store.lake import Lake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from benchmarks.sql_postgres import Postgres
    from benchmarks.sql_wire import Endpoint

MILLION = 1_000_000
MEMORY_BYTES = 1 << 30
TIMES, CELL_S = 1.5, 1e-7
_TASKS, _TASKS_OF_MANY = 30, 240
"""Of 43,200 points each: a million and ten million rows of points."""
_ROWS = (10_000, 100_000, MILLION, 10 * MILLION)
_CLIENTS = (1, 2, 4, 8, 16)
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
        in_postgres: the same rows of a table that holds nothing else, by its name and the turn.
    """

    name: str
    columns: int
    statement: Callable[[int, int], str]
    in_postgres: Callable[[str, int], str]


def filtered(rows: int, turn: int, tasks: int) -> str:
    """``$__timeFilter(time)`` of about so many points; no two turns have the same."""
    begin_s = DAY // 10**9
    end_s = begin_s + -(-rows // (tasks * len(SERIES)))
    return f"time BETWEEN {_time(begin_s, turn)} AND {_time(end_s, turn)}"


def _time(seconds: float, microseconds: int) -> str:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"'{stamp}.{microseconds:06d}Z'"


def _series(rows: int, turn: int, tasks: int = _TASKS) -> str:
    return f'SELECT time AS "time", metric, value FROM points WHERE {filtered(rows, turn, tasks)} ORDER BY time'


def _since(table: str, turn: int) -> str:
    return f'SELECT * FROM {table} WHERE "time" > {_time(1_600_000_000, turn)}'


SHAPES = (
    Shape("time series of points", 3, _series, lambda table, turn: f'{_since(table, turn)} ORDER BY "time"'),
    Shape(
        "table of attempts",
        20,
        lambda rows, turn: (
            f"SELECT {_TABLE} FROM tasks WHERE started_at > {_time(1_600_000_000, turn)} "
            f"ORDER BY started_at LIMIT {rows}"
        ),
        lambda table, turn: f'{_since(table, turn)} ORDER BY "time"',
    ),
    Shape(
        "text of points",
        8,
        lambda rows, turn: (
            'SELECT time AS "time", metric, flow, run, step, host, attributes, resource '
            f"FROM points WHERE {filtered(rows, turn, _TASKS)}"
        ),
        _since,
    ),
    Shape(
        "made up, no file read",
        3,
        lambda rows, turn: (
            'SELECT make_timestamptz(1790035200000000 + i * 1000000) AS "time", '
            f"i % {7 + turn} AS series, hash(i) / 1e15 AS value FROM range({rows}) AS r(i)"
        ),
        lambda _table, turn: (
            f'SELECT to_timestamp(1790035200 + i) AS "time", i % {7 + turn} AS series, '
            f"hashint8extended(i, 0) / 1e15::float8 AS value FROM generate_series(0, {MILLION - 1}) AS r(i)"
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

    def rows(self, statement: str) -> pa.Table:
        """All rows of a statement."""
        found: pa.Table = self._connection.sql(statement).to_arrow_table()
        return found

    def ask(self, statement: str) -> Taken:
        """A statement, to its last row in Arrow."""
        began_s, cpu_s = time.perf_counter(), time.process_time()
        rows = self.rows(statement).num_rows
        return Taken(time.perf_counter() - began_s, time.process_time() - cpu_s, rows)

    def close(self) -> None:
        """Give back its memory."""
        self._connection.close()


def over_the_wire(cpu_s: Callable[[], float], ask: Callable[[str], int], statement: str) -> Taken:
    """A statement, to the last byte of its answer; CPU time is the server's."""
    began_s, used_s = time.perf_counter(), cpu_s()
    amount = ask(statement)
    return Taken(time.perf_counter() - began_s, cpu_s() - used_s, amount)


@dataclass(slots=True)
class Rounds:
    """What the rounds of one shape took."""

    shape: Shape
    alone: list[Taken] = field(default_factory=list)
    sent: list[Taken] = field(default_factory=list)
    pgx_s: list[float] = field(default_factory=list)
    pgx_cpu_s: list[float] = field(default_factory=list)
    postgres: list[Taken] = field(default_factory=list)

    @property
    def _added_s(self) -> float:
        return CELL_S * self.alone[-1].amount * self.shape.columns

    def may_s(self) -> list[float]:
        """What the wire may take in each round."""
        return [TIMES * one.wall_s + self._added_s for one in self.alone]

    def of_it(self, seconds: list[float]) -> list[float]:
        """What these are of it."""
        return [two / one for one, two in zip(self.may_s(), seconds, strict=True)]

    def cpu_of_it(self) -> list[float]:
        """The endpoint's CPU time by the same measure."""
        pairs = zip(self.alone, self.sent, strict=True)
        return [two.cpu_s / (TIMES * one.cpu_s + self._added_s) for one, two in pairs]


def measured(data: Path, server: Endpoint, rounds: int, has_pgx: bool, peer: Postgres | None) -> list[Rounds]:
    """All rounds of each shape; of each the first is not counted: it reads files that are not in memory yet."""
    return [_measured(data, server, shape, rounds, has_pgx, peer) for shape in SHAPES]


def _measured(data: Path, server: Endpoint, shape: Shape, rounds: int, has_pgx: bool, peer: Postgres | None) -> Rounds:
    direct, wire = Direct(data), Bytes(server.port)
    pgx = Pgx(server.port) if has_pgx else None
    table = f"rows_{SHAPES.index(shape)}"
    if peer:
        peer.load(table, _plain(direct.rows(shape.statement(MILLION, 900))))
    in_postgres = Bytes(peer.port) if peer else None
    found = Rounds(shape)
    for turn in range(rounds + 1):
        found.alone.append(direct.ask(shape.statement(MILLION, 3 * turn)))
        found.sent.append(over_the_wire(server.cpu_s, wire.ask, shape.statement(MILLION, 3 * turn + 1)))
        if pgx:
            got = pgx.ask(shape.statement(MILLION, 3 * turn + 2))
            if got.rows != found.alone[-1].amount:
                raise SystemExit(f"pgx got {got.rows} rows of {found.alone[-1].amount}")
            found.pgx_s.append(got.seconds)
            found.pgx_cpu_s.append(got.cpu_seconds)
        if peer and in_postgres:
            found.postgres.append(over_the_wire(peer.cpu_s, in_postgres.ask, shape.in_postgres(table, turn)))
    for kept in (found.alone, found.sent, found.pgx_s, found.pgx_cpu_s, found.postgres):
        del kept[:1]
    for one in (wire, pgx, in_postgres, direct):
        if one:
            one.close()
    return found


def _plain(rows: pa.Table) -> pa.Table:
    """Without dictionaries, which a COPY has no word for."""
    return pa.table(
        {
            name: column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
            for name, column in zip(rows.schema.names, rows.columns, strict=True)
        }
    )


def against_duckdb(found: list[Rounds]) -> Iterator[str]:
    """A table: what is held against the target."""
    yield (
        "| statement | rows x columns | MB | DuckDB alone, ms | may take, ms | over the wire, ms | of what it may "
        "(lowest to highest round) | received by pgx, ms | of what it may | CPU ms: DuckDB alone | endpoint | pgx | "
        "endpoint's CPU of 1.5 times and 0.1 µs a cell |"
    )
    yield "|" + " --- |" * 13
    for one in found:
        of_it = one.of_it([two.wall_s for two in one.sent])
        cells = (
            one.shape.name,
            f"{one.alone[-1].amount:,} x {one.shape.columns}",
            f"{one.sent[-1].amount / 1e6:.0f}",
            _ms(two.wall_s for two in one.alone),
            _ms(one.may_s()),
            _ms(two.wall_s for two in one.sent),
            f"{statistics.median(of_it):.2f} ({min(of_it):.2f} to {max(of_it):.2f})",
            _ms(one.pgx_s),
            f"{statistics.median(one.of_it(one.pgx_s)):.2f}" if one.pgx_s else "",
            _ms(two.cpu_s for two in one.alone),
            _ms(two.cpu_s for two in one.sent),
            _ms(one.pgx_cpu_s),
            f"{statistics.median(one.cpu_of_it()):.2f}",
        )
        yield f"| {' | '.join(cells)} |"


def verdict(found: list[Rounds]) -> str:
    """Whether the target is met, by whom, and where not."""
    said = []
    for who, seconds in (
        ("a client that only reads bytes", lambda one: [two.wall_s for two in one.sent]),
        ("pgx", lambda one: one.pgx_s),
    ):
        medians = {one.shape.name: statistics.median(one.of_it(seconds(one))) for one in found if seconds(one)}
        missed = [f"{name} ({times:.2f})" for name, times in medians.items() if times > 1]
        if medians:
            said.append(f"by {who}: {'missed by ' + ', '.join(missed) if missed else 'met in each row'}")
    return f"The target, 1.5 times DuckDB's own time and 0.1 µs a cell, {'; '.join(said)}."


def against_postgres(found: list[Rounds]) -> Iterator[str]:
    """A table: the same rows from PostgreSQL, by the client that only reads bytes."""
    yield (
        "| statement | PostgreSQL, ms | stepsize sql, ms | time, ours to PostgreSQL's | CPU ms: PostgreSQL | "
        "stepsize sql | CPU, ours to PostgreSQL's |"
    )
    yield "|" + " --- |" * 7
    for one in found:
        pairs = list(zip(one.postgres, one.sent, strict=True))
        cells = (
            one.shape.name,
            _ms(two.wall_s for two in one.postgres),
            _ms(two.wall_s for two in one.sent),
            f"{statistics.median(ours.wall_s / theirs.wall_s for theirs, ours in pairs):.2f}",
            _ms(two.cpu_s for two in one.postgres),
            _ms(two.cpu_s for two in one.sent),
            f"{statistics.median(ours.cpu_s / max(theirs.cpu_s, 0.01) for theirs, ours in pairs):.2f}",
        )
        yield f"| {' | '.join(cells)} |"


def _ms(seconds: Iterable[float]) -> str:
    found = list(seconds)
    return f"{statistics.median(found) * 1e3:.0f}" if found else ""


def growth_rows(data: Path, server: Endpoint, rounds: int) -> Iterator[str]:
    """The time series by its rows, of a lake of ten million points."""
    yield (
        "| rows | rounds | DuckDB alone, ms | over the wire, ms | beyond DuckDB alone, µs a cell | "
        "endpoint's CPU, µs a cell | endpoint's memory at most so far, MiB |"
    )
    yield "|" + " --- |" * 7
    for asked in _ROWS:
        direct, wire = Direct(data), Bytes(server.port)
        counted = rounds if asked <= MILLION else min(rounds, 2)
        pairs = [
            (
                direct.ask(_series(asked, turn, _TASKS_OF_MANY)),
                over_the_wire(server.cpu_s, wire.ask, _series(asked, turn + 1, _TASKS_OF_MANY)),
            )
            for turn in range(200, 200 + 2 * (counted + 1), 2)
        ][1:]
        wire.close()
        direct.close()
        cells = pairs[-1][0].amount * SHAPES[0].columns
        beyond = statistics.median((two.wall_s - one.wall_s) / cells for one, two in pairs)
        cpu = statistics.mean(two.cpu_s / cells for _, two in pairs)
        alone, sent = _ms(one.wall_s for one, _ in pairs), _ms(two.wall_s for _, two in pairs)
        yield (
            f"| {pairs[-1][0].amount:,} | {counted} | {alone} | {sent} | {beyond * 1e6:.3f} | {cpu * 1e6:.3f} | "
            f"{server.peak_mib():.0f} |"
        )


def growth_clients(server: Endpoint, rounds: int) -> Iterator[str]:
    """The time series of 100,000 rows by clients that ask at the same time, each for its own."""
    yield "| clients | rows/s of all | CPU ms an answer | endpoint's memory at most so far, MiB |"
    yield "|" + " --- |" * 4
    for count in _CLIENTS:
        clients = [Bytes(server.port) for _ in range(count)]
        began_s, cpu_s = time.perf_counter(), server.cpu_s()
        threads = [
            threading.Thread(target=_asks, args=(one, 10_000 * (place + 1) + 100 * count, rounds))
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
        client.ask(_series(100_000, first + turn))


def prepare(data: Path) -> None:
    """A lake of a million attempts, and more than a million points."""
    write_points(data, _TASKS)
    write_lake(data, MILLION + 5_000, 1_000)


def prepare_many(data: Path) -> None:
    """A lake of ten million points."""
    write_points(data, _TASKS_OF_MANY)
