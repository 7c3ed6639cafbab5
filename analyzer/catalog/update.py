"""A newer catalogue: what sources on the network state, checked, then put in the place of the old one in one step.

What comes in: the directory of updates, sources and their addresses. What goes out: an :class:`Outcome`. The package's
own files are never touched. Whatever fails, the catalogue in use stays: new files lie in a directory of their own, and
one rename of ``current.json`` makes them the ones that are read. One update at a time holds the lock.
"""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stepsize import __version__
from stepsize.analyzer.catalog import checks, parquet, place
from stepsize.analyzer.catalog.layers import Layer, laid_over
from stepsize.analyzer.catalog.online import aws, azure, sparecores
from stepsize.analyzer.catalog.online.download import Session, Web
from stepsize.discovery import write_whole
from stepsize.errors import DataError, UnavailableError, UsageError
from stepsize.store.locks import Lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from stepsize.analyzer.catalog.rows import PriceRow, Tables

SOURCES: Mapping[str, str] = {"sparecores": sparecores.URL, "azure": azure.URL, "aws": aws.URL}
"""Name → address, in the order in which they are laid over one another."""
DEFAULT_SOURCES = ("sparecores", "azure")
"""AWS's own files are hundreds of MB a region: they are fetched where they are asked for."""
LEAST_KEPT = 0.5
"""An update that leaves a vendor, or a region, less than this share of its on-demand prices is refused as not whole."""
LEAST_IN_REGION = 20
"""Prices of a region, below which their share says nothing."""
MOST_MOVED = 2.0
"""One that moves a vendor's prices by more than this factor, in the median, as not of the same thing."""
MOST_FALLING = 0.05
"""One in which more than this share of prices contradict the sizes of their family, as wrong."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to fetch: names of :data:`SOURCES`, where they are not at their own address, AWS regions (names, globs)."""

    sources: tuple[str, ...] = DEFAULT_SOURCES
    urls: Mapping[str, str] | None = None
    aws_regions: tuple[str, ...] = ("us-east-1",)

    def url(self, source: str) -> str:
        """Where a source is."""
        return (self.urls or {}).get(source) or SOURCES[source]

    def check(self) -> None:
        """Raises :class:`UsageError` where a name is none."""
        for name in (*self.sources, *(self.urls or {})):
            if name not in SOURCES:
                raise UsageError(f"no source is named {name!r}: known are {', '.join(SOURCES)}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an update did: where the catalogue is now, what each source stated, what failed and why.

    ``left_out`` counts prices that contradict their family's sizes, ``unread`` rows of sources that could not be read.
    """

    directory: Path
    stated: tuple[tuple[str, int, int], ...]
    failed: tuple[str, ...]
    left_out: int
    unread: int


def update(
    home: Path,
    request: Request,
    now: datetime,
    pause: Callable[[float], None] | None = None,
) -> Outcome:
    """Fetches, checks and puts in place what ``request`` asks for.

    Raises:
        UnavailableError: no source could be reached, or another update is at work; what came is kept for the next one.
        DataError: what came does not hold, or no source has what it should.
        UsageError: a source, or all of AWS's regions, are not known.
    """
    request.check()
    try:
        home.mkdir(parents=True, exist_ok=True)
        with Lock(home / ".lock").held(0.0), Session() as session:
            session.headers["User-Agent"] = f"stepsize/{__version__}"
            return _update(home, request, now, Web(session) if pause is None else Web(session, pause))
    except OSError as error:
        what = f"cannot write {error.filename or home}: {error.strerror or error}"
        raise UnavailableError(f"{what}; the catalogue stays as it is (STEPSIZE_CATALOG moves it)") from None


def _update(home: Path, request: Request, now: datetime, web: Web) -> Outcome:
    before, used = _in_use(home)
    parts = home / "parts"
    parts.mkdir(exist_ok=True)
    tables = before
    stated: list[tuple[str, int, int]] = []
    failed: list[UnavailableError | DataError] = []
    unread = 0
    for name in (name for name in SOURCES if name in request.sources):
        try:
            layers = list(_LAYERS[name](web, request, parts, tables, now.date().isoformat()))
        except (UnavailableError, DataError) as error:  # the other sources are tried all the same
            failed.append(error)
            continue
        for layer in layers:
            tables = laid_over(tables, layer)
            stated.append((layer.source, len(layer.servers), len(layer.prices)))
            unread += layer.unread
    if not stated:
        raise failed[0] if failed else UsageError("no source was asked for; name one with --source")
    tables, left_out = _without_falling(tables)
    _verify(before, tables)
    directory = _put(home, tables, now, used)
    if not failed:
        shutil.rmtree(parts, ignore_errors=True)
    return Outcome(directory, tuple(stated), tuple(map(str, failed)), left_out, unread)


def _in_use(home: Path) -> tuple[Tables, Path | None]:
    """What is laid over, and where that is if an update left it; what ships, where an update is damaged."""
    with contextlib.suppress(DataError):
        used = place.updated(home)
        if used is not None:
            return parquet.read(used), used
    return parquet.read(place.shipped()), None


def _of_sparecores(web: Web, request: Request, parts: Path, _tables: Tables, _day: str) -> Iterator[Layer]:
    dump = web.file(request.url("sparecores"), parts / "sparecores.sql.xz", sparecores.MOST_BYTES)
    yield sparecores.layer(dump, parts / "sparecores.db")


def _of_azure(web: Web, request: Request, parts: Path, tables: Tables, day: str) -> Iterator[Layer]:
    if not any(row.vendor_id == "azure" for row in tables.servers):
        raise DataError("no server of Azure is known, and its API states prices alone: add --source sparecores")
    items = azure.fetch(web, request.url("azure"), parts, day)
    with items.open(encoding="utf-8") as lines:
        found = azure.layer(lines, tables, day)
    if not found.prices:
        raise DataError(f"{request.url('azure')} states no price of a server that is known")
    yield found


def _of_aws(web: Web, request: Request, parts: Path, tables: Tables, _day: str) -> Iterator[Layer]:
    for region, address in aws.files(web, request.url("aws"), request.aws_regions).items():
        path = web.file(address, parts / f"aws-{region}.csv", aws.MOST_BYTES)
        try:
            with path.open(encoding="utf-8", errors="replace", newline="") as text:
                found = aws.layer(iter(lambda: text.readline(aws.MOST_LINE), ""), region, tables)
        except csv.Error as error:
            raise DataError(f"{address} cannot be read ({error}): the catalogue stays as it is") from None
        if not found.prices:
            raise DataError(f"{address} states no price of a server that is known")
        yield found


_LAYERS: Mapping[str, Callable[[Web, Request, Path, Tables, str], Iterator[Layer]]] = {
    "sparecores": _of_sparecores,
    "azure": _of_azure,
    "aws": _of_aws,
}


def _without_falling(tables: Tables) -> tuple[Tables, int]:
    """The tables less prices above a larger server's of their family, as when the catalogue is built."""
    wrong = {small for small, _large in checks.falling(tables.servers, tables.prices)}
    if len(wrong) > MOST_FALLING * len(tables.prices):
        raise DataError(f"{len(wrong)} prices contradict their family's sizes: the catalogue stays as it is")
    return replace(tables, prices=tuple(row for row in tables.prices if row not in wrong)), len(wrong)


def _verify(before: Tables, after: Tables) -> None:
    violated = checks.violations(after)
    if violated:
        raise DataError(
            f"what came does not hold ({violated[0]}; {len(violated) - 1} more): the catalogue stays as it is"
        )
    old, new = _by_vendor(before.prices), _by_vendor(after.prices)
    for vendor, prices in old.items():
        left = new.get(vendor, {})
        if len(left) < LEAST_KEPT * len(prices):
            raise DataError(f"{vendor} would keep {len(left)} of {len(prices)} prices: the catalogue stays as it is")
        _verify_regions(vendor, prices, left)
        ratios = [left[key] / price for key, price in prices.items() if key in left]
        middle = statistics.median(ratios) if ratios else 1.0
        if not 1 / MOST_MOVED <= middle <= MOST_MOVED:
            raise DataError(f"{vendor}'s prices would be {middle:.2g} times as high: the catalogue stays as it is")


def _verify_regions(vendor: str, prices: Iterable[tuple[str, str]], left: Iterable[tuple[str, str]]) -> None:
    """A region may go, or lose some of its servers; one that loses most of them has not come whole."""
    old, new = Counter(region for region, _ in prices), Counter(region for region, _ in left)
    for region, count in old.items():
        if count >= LEAST_IN_REGION and 0 < new[region] < LEAST_KEPT * count:
            what = f"{vendor} would keep {new[region]} of {count} prices in {region}"
            raise DataError(f"{what}: the catalogue stays as it is")


def _by_vendor(rows: Iterable[PriceRow]) -> dict[str, dict[tuple[str, str], float]]:
    found: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)
    for row in rows:
        if row.allocation == "ondemand":
            found[row.vendor_id][row.region_id, row.server_id] = row.price
    return found


def _put(home: Path, tables: Tables, now: datetime, used: Path | None) -> Path:
    """Writes the files and names them; what updates before the one in use have left is removed."""
    name = now.strftime("%Y%m%dT%H%M%S.%fZ")
    directory = home / name
    try:
        parquet.write(tables, directory)
        write_whole(home / place.CURRENT, json.dumps({"directory": name}).encode())
    except OSError:
        with contextlib.suppress(OSError):
            shutil.rmtree(directory)
        raise
    for old in home.glob("2*Z"):
        if old.name not in (name, used.name if used else name):
            shutil.rmtree(old, ignore_errors=True)
    return directory
