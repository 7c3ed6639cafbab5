"""What SQL over the wire costs: ``python benchmarks/sql.py`` (``make bench-sql``, ten minutes at most on two cores).

A real ``stepsize sql --serve`` over real sockets, beside DuckDB itself on the same lake in this process, and beside
PostgreSQL where Debian's is installed. Statements are those that Grafana sends (simple protocol, macros expanded), of
a million rows: three columns of a time series; twenty of a table; text; and one that reads no file, where the wire's
share is largest. The target is 1.5 times DuckDB's own time and 0.1 µs a cell; it is held against a client that only
reads bytes, and against pgx, Grafana's driver, where Go is (`sql_tables.py`). Then how it grows with rows and with
clients, and viewers of a dashboard while 100,000 points a second arrive at a collector (`sql_live.py`).

Prints Markdown: medians, and the CPU time of either side, which other work on the machine distorts less than seconds.
``--results DIR`` writes it to ``DIR/sql.md`` once all of it is there.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import sql_tables as tables
from benchmarks.sql_live import Live, live
from benchmarks.sql_postgres import Postgres, postgres
from benchmarks.sql_wire import build_pgx, endpoint, pgx_version

if TYPE_CHECKING:
    from collections.abc import Iterator

_PARTS = ("million", "rows", "clients", "live")


def report(home: Path, chosen: argparse.Namespace) -> Iterator[str]:
    """Lines of all that was asked for."""
    began_s = time.monotonic()
    command = " ".join(["python benchmarks/sql.py", *(word for word in sys.argv[1:] if "result" not in word)])
    yield "# What SQL over the wire costs"
    yield ""
    yield f"Written by `{command}` on {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC."
    yield (
        f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, DuckDB "
        f"{duckdb.__version__}; {_load()} when it began."
    )
    parts = {"million": _million, "rows": _rows, "clients": _clients, "live": _live}
    for name in _PARTS:
        if chosen.only in (None, name):
            yield ""
            yield from parts[name](home, chosen)
    yield ""
    yield f"{_load()[0].upper()}{_load()[1:]} when it ended, after {time.monotonic() - began_s:.0f} s."


def _load() -> str:
    return "load " + ", ".join(f"{value:.1f}" for value in os.getloadavg())


def _lake(home: Path) -> Path:
    data = home / "lake"
    if not data.exists():
        tables.prepare(data)
    return data


def _million(home: Path, chosen: argparse.Namespace) -> Iterator[str]:
    data, without = _lake(home), build_pgx()
    client = f"pgx {pgx_version()} in a process of its own" if not without else f"no pgx: {without}"
    with ExitStack() as stack:
        server = stack.enter_context(endpoint(data, home, "--memory", f"{tables.MEMORY_BYTES >> 20}MiB"))
        peer: Postgres | None = None
        try:
            peer = stack.enter_context(postgres())
        except (OSError, subprocess.CalledProcessError) as error:
            missing = str(error)
        found = tables.measured(data, server, chosen.rounds, not without, peer)
        yield f"## A million rows, simple protocol ({chosen.rounds} rounds; {client})"
        yield from tables.against_duckdb(found)
        yield ""
        yield tables.verdict(found)
        yield ""
        if peer is None:
            yield f"PostgreSQL was not measured: {missing}."
            return
        yield f"## Beside PostgreSQL {peer.version}, in the same rounds, by the client that only reads bytes"
        yield "Its table holds the rows of the answer and no others, in their order and in memory; it sorts in memory."
        yield ""
        yield from tables.against_postgres(found)


def _rows(home: Path, chosen: argparse.Namespace) -> Iterator[str]:
    data = home / "many"
    tables.prepare_many(data)
    yield "## By rows: the time series, of a lake of ten million points"
    with endpoint(data, home, "--memory", f"{tables.MEMORY_BYTES >> 20}MiB") as server:
        yield from tables.growth_rows(data, server, chosen.rounds)


def _clients(home: Path, chosen: argparse.Namespace) -> Iterator[str]:
    yield f"## By clients: each asks for 100,000 rows of its own ({chosen.rounds} rounds)"
    with endpoint(_lake(home), home, "--memory", f"{tables.MEMORY_BYTES >> 20}MiB") as server:
        yield from tables.growth_clients(server, chosen.rounds)


def _live(home: Path, chosen: argparse.Namespace) -> Iterator[str]:
    yield f"## Viewers of *Live* at 5 s, {chosen.points:,} points a second"
    yield from live(home / "live", Live(tuple(chosen.viewers), chosen.points, chosen.seconds, chosen.filled))


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=_PARTS)
    parser.add_argument("--viewers", type=int, nargs="+", default=[1, 10, 50, 200], help="one number after the other")
    parser.add_argument("--points", type=int, default=100_000, help="that arrive in a second, of ten series a task")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each number of viewers looks")
    parser.add_argument("--filled", type=int, default=900, help="seconds of points before them; panels look back 900")
    parser.add_argument("--results", type=Path, help="a directory, where sql.md is written")
    chosen = parser.parse_args()
    if chosen.results and chosen.only:
        parser.error("--results wants all of it: leave --only out")
    lines = []
    with tempfile.TemporaryDirectory(prefix="stepsize-bench-") as name:
        for line in report(Path(name), chosen):
            print(line, flush=True)
            lines.append(line)
    if chosen.results:
        (chosen.results / "sql.md").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
