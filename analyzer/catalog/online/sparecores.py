"""Spare Cores' published data: an SQL dump of its SQLite database, packed with xz.

What comes in: the dump. What goes out: a :class:`Layer` of servers, regions, prices and scores of all vendors. The dump
is text from a network: of its statements only those that make and fill the tables read here are executed, and SQLite is
told to refuse any other, above all those that open files, and those that do more than their text is long. Rows that
cannot be read are left out and counted; where they are many the dump is refused.

Sources: github.com/SpareCores/sc-data (``constants.py``, ``data.py``: address and form; README: the dump is under the
Business Source License 1.1, its terms are in the table ``_metadata``); github.com/SpareCores/sc-crawler (``tables.py``;
its version 0.10 renamed the columns ``gpu_*`` to ``accelerator_*``).
"""

from __future__ import annotations

import itertools
import json
import lzma
import math
import re
import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar

from stepsize.analyzer.catalog.layers import Layer
from stepsize.analyzer.catalog.rows import PriceRow, ScoreRow, wrong_field
from stepsize.analyzer.catalog.servers import regions_of, servers_of
from stepsize.errors import DataError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from stepsize.analyzer.catalog.rows import RegionRow, ServerRow

Record = dict[str, Any]
"""A row of the dump, by column."""
_Row = TypeVar("_Row")

URL = "https://cdn.sparecores.net/sc-data/latest/sc-data-all.sql.xz"
MOST_BYTES = 1 << 30
"""Of the packed dump."""
MOST_TEXT = 16 << 30
"""Of the dump as it is unpacked."""
_MOST_STATEMENT = 64 << 20
_MOST_LINE = 1 << 20
"""Characters that are read at once: a dump may be one line."""
_STEPS_EACH = 100_000
_MOST_STEPS = 1_000_000
_STEPS_PER_CHARACTER = 50
"""How many instructions of SQLite's machine a statement may take: so many, and more by its length."""
MOST_UNREAD = 0.05
"""Share of a table's rows that may be unreadable."""
SCORE = "stress_ng:bestn"
"""The benchmark that Spare Cores ranks servers by: stress-ng's score on as many cores as serve it best."""
_TABLES = frozenset({"server", "region", "server_price", "benchmark_score", "_metadata"})
_BEGINS = re.compile(r"\s*(CREATE\s+TABLE(?:\s+IF\s+NOT\s+EXISTS)?|INSERT\s+INTO)\s+[\"'`\[]?(\w+)", re.IGNORECASE)
_ALLOWED = frozenset(
    {
        sqlite3.SQLITE_CREATE_TABLE,
        sqlite3.SQLITE_CREATE_INDEX,
        sqlite3.SQLITE_INSERT,
        sqlite3.SQLITE_UPDATE,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_TRANSACTION,
        sqlite3.SQLITE_REINDEX,
    }
)
_FUNCTIONS = frozenset({"replace", "char", "unistr"})
"""What dumps write lines and control characters within texts by."""
_ALLOCATIONS = {"ondemand": "ondemand", "spot": "spot"}


def layer(dump: Path, database: Path) -> Layer:
    """What the packed ``dump`` states; ``database`` is where it is unpacked, anew each time.

    Raises:
        DataError: the dump is damaged, is more than it should be, or lacks a table.
        UnavailableError: the disk is full.
    """
    database.unlink(missing_ok=True)
    try:
        _restore(dump, database)
        with closing(sqlite3.connect(database)) as connection:
            connection.row_factory = sqlite3.Row
            return _read(connection)
    except (lzma.LZMAError, EOFError, UnicodeDecodeError, sqlite3.Error, sqlite3.Warning) as error:
        if "disk is full" in str(error):
            raise UnavailableError(
                f"no room in {database.parent} to unpack what came (STEPSIZE_CATALOG moves it)"
            ) from None
        raise DataError(f"what Spare Cores publishes cannot be read ({error}): the catalogue stays as it is") from None
    finally:
        database.unlink(missing_ok=True)


def _restore(dump: Path, database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("PRAGMA synchronous=OFF")
        connection.set_authorizer(_authorize)
        connection.execute("BEGIN")
        with lzma.open(dump, "rt", encoding="utf-8") as text:
            for statement in _statements(iter(lambda: text.readline(_MOST_LINE), "")):
                found = _BEGINS.match(statement)
                if found and found[2] in _TABLES:
                    _execute(connection, statement)
        connection.execute("COMMIT")


def _execute(connection: sqlite3.Connection, statement: str) -> None:
    """Fills a table by what the statement itself says: what would copy tables into tables is broken off."""
    most = (_MOST_STEPS + _STEPS_PER_CHARACTER * len(statement)) // _STEPS_EACH
    calls = itertools.count(1)
    connection.set_progress_handler(lambda: next(calls) > most, _STEPS_EACH)
    connection.execute(statement)


def _authorize(action: int, _first: str | None, name: str | None, *_where: str | None) -> int:
    harmless = action in _ALLOWED or (action == sqlite3.SQLITE_FUNCTION and name in _FUNCTIONS)
    return sqlite3.SQLITE_OK if harmless else sqlite3.SQLITE_DENY


def _statements(lines: Iterable[str]) -> Iterator[str]:
    waiting: list[str] = []
    size = total = 0
    for line in lines:
        waiting.append(line)
        size += len(line)
        total += len(line)
        if size > _MOST_STATEMENT or total > MOST_TEXT:
            raise DataError("what Spare Cores publishes is larger than it can be: the catalogue stays as it is")
        if line.rstrip().endswith(";") and sqlite3.complete_statement(text := "".join(waiting)):
            yield text
            waiting, size = [], 0


def _read(connection: sqlite3.Connection) -> Layer:
    metadata = _metadata(connection)
    source = f"sparecores {metadata.get('published_at', '')[:10]}".strip()
    licence = metadata.get("license") or "BUSL-1.1"
    servers, unread_servers = _each(connection, "server", lambda row: servers_of([row], source, licence))
    regions, unread_regions = _each(connection, "region", lambda row: regions_of([row], source, licence))
    listed, unread_prices = _each(connection, "server_price", lambda row: _price(row, source, licence))
    prices = _lowest(listed, servers, regions)
    return Layer(
        source=source,
        servers=tuple(servers),
        regions=tuple(regions),
        prices=prices,
        scores=tuple(_scores(connection, source, licence)),
        scopes=frozenset((row.vendor_id, row.allocation, None) for row in prices),
        unread=unread_servers + unread_regions + unread_prices,
    )


def _each(
    connection: sqlite3.Connection, table: str, read: Callable[[Record], Iterable[_Row]]
) -> tuple[list[_Row], int]:
    """What ``read`` makes of each row of a table, and how many rows could not be read."""
    found: list[_Row] = []
    total = unread = 0
    reason = ""
    for record in _rows(connection, table):
        total += 1
        try:
            rows = list(read(record))
            wrong = next(filter(None, map(wrong_field, rows)), "")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            rows, wrong = [], str(error)
        if wrong:
            unread, reason = unread + 1, reason or wrong
        else:
            found += rows
    if unread > MOST_UNREAD * total:
        what = f"{unread} of {total} rows of the table {table}, the first by {reason!r}"
        raise DataError(f"what Spare Cores publishes cannot be read ({what}): the catalogue stays as it is")
    return found, unread


def _metadata(connection: sqlite3.Connection) -> dict[str, str]:
    """The table ``_metadata``, as keys and values or as one row of columns; empty where there is none."""
    try:
        rows = connection.execute("SELECT * FROM _metadata").fetchall()
    except sqlite3.OperationalError:
        return {}
    records = [dict(row) for row in rows]
    if records and set(records[0]) == {"key", "value"}:
        return {row["key"]: str(row["value"]) for row in records}
    return {name: str(value) for name, value in records[0].items()} if records else {}


def _rows(connection: sqlite3.Connection, table: str) -> Iterator[Record]:
    """Rows of a table, the newer names of columns under the older."""
    for row in connection.execute(f"SELECT * FROM {table}"):  # noqa: S608 - one of our own names
        record = dict(row)
        record.update({f"gpu{name[11:]}": value for name, value in record.items() if name.startswith("accelerator")})
        yield record


def _price(row: Record, source: str, licence: str) -> Iterator[PriceRow]:
    """The hourly Linux price that a row of the table ``server_price`` states, if it is one."""
    allocation = _ALLOCATIONS.get(str(row["allocation"]).lower())
    if (
        allocation is None
        or str(row["unit"]).lower() != "hour"
        or str(row["operating_system"] or "linux").lower() not in ("linux", "")
        or str(row.get("status") or "active").lower() != "active"
        or not row["price"]
    ):
        return
    yield PriceRow(
        vendor_id=row["vendor_id"],
        region_id=row["region_id"],
        server_id=row["server_id"],
        allocation=allocation,
        price=float(row["price"]),
        currency=row["currency"],
        price_quality="listed",
        source=source,
        observed_at=_day(row["observed_at"]),
        licence=licence,
    )


def _lowest(
    prices: Iterable[PriceRow], servers: Iterable[ServerRow], regions: Iterable[RegionRow]
) -> tuple[PriceRow, ...]:
    """Of the zones of a region the lowest price, of servers and regions that are known."""
    known = {(row.vendor_id, row.server_id) for row in servers}
    places = {(row.vendor_id, row.region_id) for row in regions}
    found: dict[tuple[str, str, str, str], PriceRow] = {}
    for row in prices:
        key = (row.vendor_id, row.region_id, row.server_id, row.allocation)
        there = (row.vendor_id, row.server_id) in known and (row.vendor_id, row.region_id) in places
        if there and (key not in found or row.price < found[key].price):
            found[key] = row
    return tuple(found.values())


def _day(instant: object) -> str:
    return date.fromisoformat(str(instant)[:10]).isoformat()


def _scores(connection: sqlite3.Connection, source: str, licence: str) -> Iterator[ScoreRow]:
    """One row a server; of a benchmark that ran in several configurations the best score."""
    best: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    try:
        rows, _ = _each(connection, "benchmark_score", _score)
    except sqlite3.OperationalError:
        return  # a dump without scores is one all the same
    for row in rows:
        scores = best[row.vendor_id, row.server_id]
        scores[row.name] = max(row.score, scores.get(row.name, -math.inf))
    for (vendor, server), scores in sorted(best.items()):
        yield ScoreRow(
            vendor_id=vendor,
            server_id=server,
            score=scores.get(SCORE),
            benchmark_scores=json.dumps(dict(sorted(scores.items()))),
            source=source,
            licence=licence,
        )


@dataclass(frozen=True, slots=True)
class _Score:
    vendor_id: str
    server_id: str
    name: str
    score: float


def _score(row: Record) -> Iterator[_Score]:
    if row["score"] is not None and row.get("server_id"):
        yield _Score(row["vendor_id"], row["server_id"], row["benchmark_id"], float(row["score"]))
