"""What clients make an endpoint hold in memory."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from stepsize.postgres import lexer, types
from stepsize.postgres.catalog import Context
from stepsize.postgres.engine import Engine
from stepsize.postgres.instance import Limits
from stepsize.postgres.lake_views import LocalViews
from tests.postgres.places import Served

MIB = 1 << 20
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts what a process maps")


@contextlib.contextmanager
def process(lake: Path, home: Path) -> Iterator[tuple[Served, int]]:
    """An endpoint in a process of its own, and its id."""
    command = [sys.executable, "-m", "stepsize", "sql", "--serve", "--port", "0", "--data", str(lake)]
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    more = ["--memory", "64MiB", "--timeout", "20"]
    with subprocess.Popen([*command, *more], stderr=subprocess.PIPE, text=True, env=environment) as running:
        assert running.stderr is not None
        line = running.stderr.readline()
        try:
            yield Served(lake, int(line.split(":")[3].split("/")[0])), running.pid
        finally:
            running.terminate()
            said = running.stderr.read()
        assert (running.wait(20), said) == (0, "")


def most_bytes(pid: int) -> int:
    """What a process has held at most."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


BOMBS = (
    "select length(repeat('x', 1000000000))",
    "select len(range(200000000))",
    "select len(list_resize([1], 300000000))",
    "select length(format('{:>1000000000}', 'x'))",
)


@linux
def test_what_duckdb_does_not_count_is_bounded_too(lake: Path, tmp_path: Path) -> None:
    """What functions make of one value: the statement fails at once, and others are answered."""
    with process(lake, tmp_path) as (served, pid), served.connect() as connection, served.connect() as other:
        before = most_bytes(pid)
        for bomb in BOMBS:
            with pytest.raises(psycopg.errors.OutOfMemory):
                connection.execute(bomb)
            for each in (connection, other):
                assert each.execute("select count(*) from tasks").fetchone() == (30,)
        assert most_bytes(pid) - before < Limits.within(64 * MIB, 1).process_bytes


def test_rows_are_read_as_they_are_wide(lake: Path) -> None:
    """A batch is a mebibyte or some, so that who reads slowly holds little; narrow rows come many at a time."""
    engine = Engine(LocalViews(lake), Limits())
    try:
        for query, expected, is_fit in (
            ("select repeat('x', 30000) from range(5000)", 5000, lambda batch: batch.nbytes <= 4 * MIB),
            ("select range from range(40000)", 40_000, lambda batch: batch.num_rows in {16_384, 40_000 - 2 * 16_384}),
            ("select 1 where false", 0, lambda _: False),
        ):
            prepared = engine.prepare(lexer.statements(query)[0], Context(user="ann"))
            rows = engine.run(prepared, (), [types.TEXT], lambda _: None)
            count = 0
            while (batch := rows.next()) is not None:
                assert is_fit(batch), (query, batch.num_rows, batch.nbytes)
                count += batch.num_rows
            rows.close()
            assert count == expected, query
    finally:
        engine.close()
