"""The catalogue, opened: which of its servers fit a need, cheapest first.

What comes in: a catalogue's files, and needs. What goes out: offers, or, where nothing fits, which constraint has
to give and by how much. Never touches the network, never invents a price: a server without a price is not offered.

A server is offered once, in the region (of those asked for) where it costs least: five offers of one type in five
regions are one choice, not five. To compare regions, ask for each.
"""

from __future__ import annotations

import bisect
from contextlib import closing
from dataclasses import astuple, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from stepsize.analyzer.catalog import parts, place
from stepsize.analyzer.matching.nearest import Nearest, relaxation
from stepsize.analyzer.matching.need import Offer, Packed
from stepsize.analyzer.matching.tiers import Ran
from stepsize.analyzer.sql import query_text
from stepsize.errors import DataError, UsageError
from stepsize.store.sql import literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import duckdb
    from typing_extensions import Self

    from stepsize.analyzer.matching.fleet import Fleet
    from stepsize.analyzer.matching.need import Need, Relaxation, Work

_ARCHITECTURES = {"amd64": "x86_64", "x64": "x86_64", "aarch64": "arm64"}
_OFFER_COLUMNS = len(Offer.__dataclass_fields__)
_STATUSES = ["active", "previous_generation"]
_ALL = 1 << 40
_NAMED = 20
"""Names that an error lists, where there are no more."""
_RESEMBLING = 6
Place = tuple[str, str, str]
"""Vendor, region, allocation."""


class Catalog:
    """Servers, prices and regions in an in-memory DuckDB. Close it, or use ``with``."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, directory: Path) -> None:
        self._connection = connection
        self._directory = directory
        self._known: dict[str, list[str]] = {}
        self._sizes: dict[str, tuple[list[float], list[float]]] = {}
        self._cheapest: dict[tuple[Need, int], tuple[Offer, ...]] = {}

    @classmethod
    def open(cls, directory: Path | None = None, fleet: Fleet | None = None) -> Catalog:
        """The catalogue in ``directory`` (default: the one that ships with stepsize), as far as ``fleet`` allows.

        Raises:
            DataError: a file is missing or is not a table of the catalogue.
            UsageError: ``fleet`` allows no server that has a price.
        """
        import duckdb  # noqa: PLC0415 - 60 ms that `stepsize --help` and a report without servers need not pay

        from stepsize.store.bounds import quiet_connection  # noqa: PLC0415 - as above

        directory = directory or place.shipped()
        connection = quiet_connection(threads=1)  # the tables are so small that handing out work takes longer
        try:
            for table in parts.TABLES:
                connection.execute(parts.view(directory, table))
            connection.execute("SET VARIABLE statuses = $1", [_STATUSES if fleet else _STATUSES[:1]])
            connection.execute(query_text("match_offers"))
            if fleet is not None:
                _restrict(connection, fleet)
            return cls(connection, directory)
        except duckdb.Error as error:
            connection.close()
            reason = str(error).splitlines()[0]
            raise DataError(
                f"{directory} holds no catalogue ({reason}): run `stepsize catalog update`, or `make catalog`"
            ) from None
        except BaseException:
            connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Frees the memory of the catalogue."""
        self._connection.close()

    def cheapest(self, need: Need, limit: int = 5) -> list[Offer]:
        """At most ``limit`` offers that satisfy ``need``, cheapest first; of two at one price the larger first.

        Raises:
            UsageError: a size is negative, or no vendor, region, architecture, GPU model or allocation has that name.
        """
        if limit < 1:
            raise UsageError(f"limit {limit}: ask for at least one offer")
        need.check()
        asked = need
        if self._cheapest:  # who asks once need not know which sizes there are
            # No server lies between a size and the next that there is: steps that differ by less ask the same.
            cores, memory_mib = self._free_sizes(need.platform)
            asked = replace(need, cpu=_next(cores, need.cpu), memory_mib=_next(memory_mib, need.memory_mib))
        if (asked, limit) not in self._cheapest:
            rows = self._run("match_cheapest", asked, limit=limit)
            self._cheapest[asked, limit] = tuple(Offer(*row) for row in rows)
        return list(self._cheapest[asked, limit])

    def packed(self, work: Work, limit: int = 5) -> list[Packed]:
        """At most ``limit`` servers for ``work``, what all of its tasks cost on them least first; errors as above."""
        if limit < 1:
            raise UsageError(f"limit {limit}: ask for at least one offer")
        return self._packed(work, limit, once=True)

    def everywhere(self, work: Work) -> list[Packed]:
        """As :meth:`packed`, each server in each region and allocation that fits."""
        return self._packed(work, _ALL, once=False)

    def costs(self, work: Work) -> list[tuple[Place, str, float]]:
        """Where, on which type, and what all tasks cost there: as :meth:`everywhere`, a tenth of its memory."""
        rows = self._packed_rows(work, _ALL, once=False)
        return [((row[0], row[2], row[3]), row[1], row[_OFFER_COLUMNS + 2]) for row in rows]

    def relaxations(self, need: Need) -> list[Relaxation]:
        """What has to give for anything to fit ``need``, the fewest constraints; empty where something fits.

        Each is one way out, by the offer that asks for the least of it. Errors as for :meth:`cheapest`.
        """
        return [relaxation(need, Nearest(*row)) for row in self._run("match_nearest", need) if row[0]]

    def full(self, offers: Sequence[Offer]) -> list[dict[str, Any]]:
        """Every column of the catalogue for each of ``offers``, under Spare Cores' names, in the same order.

        Columns of the price and the region that a server has too carry their table's name before their own.
        """
        sql = query_text("match_full")
        table = "server_scores"
        scored = ", ".join(literal(str(path)) for path in parts.files(self._directory, table))
        rows = f"FROM read_parquet([{scored}])" if scored else query_text("match_no_scores")
        self._query(f"CREATE OR REPLACE VIEW {table} AS {rows}")
        found = []
        for offer in offers:
            keys = {"vendor": offer.vendor_id, "server": offer.server_id, "region": offer.region}
            with closing(self._connection.cursor()) as cursor:
                answer = cursor.execute(sql, keys | {"allocation": offer.allocation})
                names = [column[0] for column in answer.description or ()]
                found += [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
        return found

    def ran(self, server_id: str) -> Ran | None:
        """The type with GPUs of that name, of any status; None where there is none."""
        rows = self._query(query_text("match_ran"), {"name": server_id})
        return Ran(*rows[0]) if rows else None

    def unpriced(self, fleet: Fleet) -> list[str]:
        """Names and globs of ``fleet``'s list that match no server with a price, as the list has them."""
        priced = [(vendor, name.lower()) for vendor, name in self._query(query_text("match_priced"))]
        return [
            pattern
            for of_vendor, pattern in fleet.types
            if not any(of_vendor in (None, vendor) and fnmatchcase(name, pattern.lower()) for vendor, name in priced)
        ]

    def known(self, column: str) -> list[str]:
        """Values of ``vendor_id``, ``region``, ``cpu_architecture``, ``gpu_model`` or ``allocation`` on offer."""
        if not self._known:
            for name, value in sorted(self._query(query_text("match_known"))):
                self._known.setdefault(name, []).append(value)
        return list(self._known.get(column, ()))

    def _packed(self, work: Work, limit: int, *, once: bool) -> list[Packed]:
        rows = self._packed_rows(work, limit, once=once)
        return [Packed(Offer(*row[:_OFFER_COLUMNS]), *row[_OFFER_COLUMNS:]) for row in rows]

    def _packed_rows(self, work: Work, limit: int, *, once: bool) -> list[tuple[Any, ...]]:
        work.check()
        return self._run(
            "match_packed",
            work.need,
            tasks=work.tasks,
            side_by_side=work.side_by_side,
            duration_s=work.duration_s,
            once=once,
            limit=limit,
        )

    def _run(self, name: str, need: Need, **more: float) -> list[tuple[Any, ...]]:
        need.check()
        arguments = {
            "cpu": need.cpu,
            "memory_mib": need.memory_mib,
            "gpu": need.gpu,
            "vram_mib": need.vram_mib,
            "disk_gb": need.disk_gb,
            "architecture": self._architecture(need.architecture),
            "vendors": self._matching("vendor", "vendor_id", need.vendors),
            "regions": self._matching("region", "region", need.regions),
            "allocation": self._one_of("allocation", "allocation", need.allocation),
            "burstable": need.burstable,
            "gpu_models": self._matching("GPU model", "gpu_model", need.gpu_models),
            "platform": need.platform,
        }
        return self._query(query_text(name), arguments | more)

    def _query(self, sql: str, arguments: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        # a cursor of its own lets threads of a report ask at the same time
        with closing(self._connection.cursor()) as cursor:
            return cursor.execute(sql, arguments).fetchall()

    def _free_sizes(self, platform: str) -> tuple[list[float], list[float]]:
        """Every number of cores and of MiB that some server leaves free for tasks, sorted."""
        if platform not in self._sizes:
            rows = self._query(query_text("match_sizes"), {"platform": platform})
            self._sizes[platform] = (sorted({row[0] for row in rows}), sorted({row[1] for row in rows}))
        return self._sizes[platform]

    def _matching(self, what: str, column: str, patterns: Sequence[str]) -> list[str] | None:
        if not patterns:
            return None
        names: set[str] = set()
        for pattern in patterns:
            found = [name for name in self.known(column) if fnmatchcase(name.lower(), pattern.lower())]
            if not found:
                there = {name for of, name in self._query(query_text("match_catalogued")) if of == column}
                if any(fnmatchcase(name.lower(), pattern.lower()) for name in there):
                    raise UsageError(f"no price is known of the {what} {pattern!r}: run `stepsize catalog update`")
                raise _unknown(what, pattern, self.known(column))
            names.update(found)
        return sorted(names)

    def _architecture(self, name: str | None) -> str | None:
        return self._one_of(
            "architecture", "cpu_architecture", _ARCHITECTURES.get(name.lower(), name) if name else None
        )

    def _one_of(self, what: str, column: str, name: str | None) -> str | None:
        if name is None:
            return None
        if name.lower() == "ondemand":  # always known
            return "ondemand"
        if name.lower() not in self.known(column):
            raise _unknown(what, name, self.known(column))
        return name.lower()


def _restrict(connection: duckdb.DuckDBPyConnection, fleet: Fleet) -> None:
    """Leaves only what ``fleet`` allows in the tables of what can be had."""
    servers = connection.execute("SELECT * FROM servers WHERE list_contains($1, status)", [_STATUSES])
    names = [column[0] for column in servers.description or ()]
    allowed = fleet.allowed([dict(zip(names, row, strict=True)) for row in servers.fetchall()])
    connection.execute(query_text("match_fleet_table"))
    if allowed:
        columns = [list(column) for column in zip(*map(astuple, allowed), strict=True)]
        connection.execute(query_text("match_fleet_rows"), columns)  # row by row takes a second
    connection.execute(query_text("match_fleet"))
    if connection.execute("SELECT 1 FROM prices LIMIT 1").fetchone() is None:
        raise UsageError(f"{fleet.name} allows no server that has a price in the catalogue")


def _unknown(what: str, name: str, known: Sequence[str]) -> UsageError:
    """Of many names that are known those that resemble the one that is not, else as many as a line holds."""
    if len(known) <= _NAMED:
        return UsageError(f"no {what} is named {name!r}: known are {', '.join(known)}")
    import difflib  # noqa: PLC0415 - 10 ms, for an error alone

    close = difflib.get_close_matches(name.lower().strip("*?"), known, _RESEMBLING, 0.5)
    some = ", ".join(close or known[:_RESEMBLING])
    return UsageError(f"no {what} is named {name!r}: {len(known)} are known, such as {some}")


def _next(sizes: Sequence[float], least: float) -> float:
    """The smallest of the sorted ``sizes`` that is no smaller than ``least``; that itself where there is none."""
    place = bisect.bisect_left(sizes, least)
    return sizes[place] if place < len(sizes) else least
