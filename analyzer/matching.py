"""Which servers of the catalogue fit a need, cheapest first.

What comes in: a :class:`Need` (what a task has to be given) and the catalogue's Parquet files. What goes out: a list of
:class:`Offer`, or, where nothing fits, the reason: which constraint has to give and by how much. Never touches the
network, never invents a price: a server without a price in the catalogue is not offered.

A server is offered once, in the region (of those asked for) where it costs least: five offers of one type in five
regions are one choice, not five. To compare regions, ask for each.
"""

from __future__ import annotations

import bisect
import math
from contextlib import closing
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize.analyzer.sql import query_text
from stepsize.errors import DataError, UsageError
from stepsize.sizes import format_mib
from stepsize.store.sql import literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb
    from typing_extensions import Self

CONSTRAINTS = ("cpu", "memory", "gpu", "vram", "disk", "arch", "vendor", "region", "allocation", "burstable")
"""What a server can fall short of, in the order of the bits of ``match_offers.sql``."""
_ARCHITECTURES = {"amd64": "x86_64", "x64": "x86_64", "aarch64": "arm64"}
_TABLES = ("servers", "server_prices", "regions")


@dataclass(frozen=True, slots=True)
class Need:
    """What a server has to have at least.

    Attributes:
        cpu: cores (vCPUs).
        memory_mib: memory of the server in MiB.
        gpu: whole GPUs; a server with a share of one has none.
        vram_mib: GPU memory in MiB that the GPUs asked for hold together (one GPU where ``gpu`` is 0), so that
            ``gpu=1, vram_mib=40_000`` is not met by four GPUs of 16 GiB.
        disk_gb: GB of storage on the server itself; what can be attached to it is charged apart and not counted.
        architecture: ``x86_64``, ``arm64``, ...; None for any.
        vendors: names or globs; empty for any.
        regions: names or globs, of any vendor; empty for any.
        allocation: ``ondemand``, ``spot``, or None for the cheaper of both.
        burstable: whether a server may be one whose cores can be used in full only for a while.
    """

    cpu: float
    memory_mib: float
    gpu: int = 0
    vram_mib: float = 0
    disk_gb: float = 0
    architecture: str | None = None
    vendors: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    allocation: str | None = "ondemand"
    burstable: bool = True


@dataclass(frozen=True, slots=True)
class Offer:
    """A server in a region at an hourly price in ``currency``, without tax; ``price_observed_at`` is an ISO date.

    ``gpu_count`` may be a fraction, and the GPU's model and memory are None where there is none or it is not known.
    """

    vendor_id: str
    server_id: str
    region: str
    allocation: str
    price_hourly: float
    currency: str
    price_observed_at: str
    price_quality: str
    vcpus: float
    memory_mib: int
    gpu_count: float
    gpu_model: str | None
    gpu_memory_total_mib: int | None
    cpu_architecture: str
    cpu_allocation: str
    storage_gb: int


@dataclass(frozen=True, slots=True)
class Relaxation:
    """Constraints that have to give together for anything to fit: each with what was asked and what there is."""

    changes: tuple[tuple[str, str, str], ...]

    def __str__(self) -> str:
        return " and ".join(f"{name} {possible} instead of {asked}" for name, asked, possible in self.changes)


class Catalog:
    """The servers, prices and regions that ship with stepsize, in an in-memory DuckDB. Close it, or use ``with``."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        columns = ("vendor_id", "region", "cpu_architecture", "allocation")
        names = zip(*self._query(query_text("match_known")), strict=True)
        self._known: dict[str, list[str]] = {
            column: sorted(set(found)) for column, found in zip(columns, names, strict=False)
        }
        sizes = self._query("SELECT DISTINCT vcpus, memory_mib FROM offers WHERE vcpus + memory_mib IS NOT NULL")
        self._cores = sorted({cores for cores, _ in sizes})
        self._memory_mib = sorted({memory_mib for _, memory_mib in sizes})
        self._cheapest: dict[tuple[Need, int], tuple[Offer, ...]] = {}

    @classmethod
    def open(cls, directory: Path | None = None) -> Catalog:
        """The catalogue in ``directory`` (default: the one that ships with stepsize).

        Raises:
            DataError: a file is missing or is not a table of the catalogue.
        """
        import duckdb  # noqa: PLC0415 - 60 ms that `stepsize --help` and a report without servers need not pay

        from stepsize.store.bounds import quiet_connection  # noqa: PLC0415 - as above

        directory = directory or Path(str(resources.files("stepsize.analyzer"))) / "catalog"
        connection = quiet_connection()
        try:
            for table in _TABLES:
                path = literal(str(directory / f"{table}.parquet"))
                connection.execute(f"CREATE VIEW {table} AS FROM read_parquet({path})")
            connection.execute(query_text("match_offers"))
            return cls(connection)
        except duckdb.Error as error:
            connection.close()
            reason = str(error).splitlines()[0]
            raise DataError(f"{directory} holds no catalogue ({reason}): run `make catalog`") from None

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
            UsageError: a size is negative, or no vendor, region, architecture or allocation has that name.
        """
        if limit < 1:
            raise UsageError(f"limit {limit}: ask for at least one offer")
        _check_sizes(need)
        # No server lies between a size and the next that there is: steps that differ by less ask the same.
        asked = replace(need, cpu=_next(self._cores, need.cpu), memory_mib=_next(self._memory_mib, need.memory_mib))
        if (asked, limit) not in self._cheapest:
            self._cheapest[asked, limit] = tuple(Offer(*row) for row in self._run("match_cheapest", asked, limit=limit))
        return list(self._cheapest[asked, limit])

    def relaxations(self, need: Need) -> list[Relaxation]:
        """What has to give for anything to fit ``need``, the fewest constraints; empty where something fits.

        Each is one way out, by the offer that asks for the least of it. Errors as for :meth:`cheapest`.
        """
        return [Relaxation(_changes(need, _Nearest(*row))) for row in self._run("match_nearest", need) if row[0]]

    def known(self, column: str) -> list[str]:
        """Values of ``vendor_id``, ``region``, ``cpu_architecture`` or ``allocation`` among what can be offered."""
        return list(self._known[column])

    def _run(self, name: str, need: Need, **more: int) -> list[tuple[Any, ...]]:
        _check_sizes(need)
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
        }
        return self._query(query_text(name), arguments | more)

    def _query(self, sql: str, arguments: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        # a cursor of its own lets threads of a report ask at the same time
        with closing(self._connection.cursor()) as cursor:
            return cursor.execute(sql, arguments).fetchall()

    def _matching(self, what: str, column: str, patterns: Sequence[str]) -> list[str] | None:
        if not patterns:
            return None
        names: set[str] = set()
        for pattern in patterns:
            found = [name for name in self._known[column] if fnmatchcase(name.lower(), pattern.lower())]
            if not found:
                raise _unknown(what, pattern, self._known[column])
            names.update(found)
        return sorted(names)

    def _architecture(self, name: str | None) -> str | None:
        return self._one_of(
            "architecture", "cpu_architecture", _ARCHITECTURES.get(name.lower(), name) if name else None
        )

    def _one_of(self, what: str, column: str, name: str | None) -> str | None:
        if name is None:
            return None
        if name.lower() not in self._known[column]:
            raise _unknown(what, name, self._known[column])
        return name.lower()


def _unknown(what: str, name: str, known: Iterable[str]) -> UsageError:
    return UsageError(f"no {what} is named {name!r}: known are {', '.join(known)}")


def _next(sizes: Sequence[float], least: float) -> float:
    """The smallest of the sorted ``sizes`` that is no smaller than ``least``; that itself where there is none."""
    place = bisect.bisect_left(sizes, least)
    return sizes[place] if place < len(sizes) else least


def _check_sizes(need: Need) -> None:
    sizes = {"cpu": need.cpu, "memory": need.memory_mib, "gpu": need.gpu, "vram": need.vram_mib, "disk": need.disk_gb}
    for name, value in sizes.items():
        if not math.isfinite(value) or value < 0:
            raise UsageError(f"{name} {value}: give a number of 0 or more")


@dataclass(frozen=True, slots=True)
class _Nearest:
    """A row of ``match_nearest.sql``: the bits of what an offer falls short of, and what it has."""

    shortfalls: int
    vendor_id: str
    region: str
    allocation: str
    cpu_architecture: str
    vcpus: int
    memory_mib: int
    gpu_count: float
    vram_mib: float | None
    storage_gb: int


def _changes(need: Need, nearest: _Nearest) -> tuple[tuple[str, str, str], ...]:
    asked_and_there = {
        "cpu": (f"{need.cpu:g}", f"{nearest.vcpus:g}"),
        "memory": (format_mib(need.memory_mib), format_mib(nearest.memory_mib)),
        "gpu": (f"{need.gpu:g}", f"{nearest.gpu_count:g}"),
        "vram": (format_mib(need.vram_mib), format_mib(nearest.vram_mib or 0)),
        "disk": (f"{need.disk_gb:g}GB", f"{nearest.storage_gb:g}GB"),
        "arch": (str(need.architecture), nearest.cpu_architecture),
        "vendor": (" or ".join(need.vendors), nearest.vendor_id),
        "region": (" or ".join(need.regions), nearest.region),
        "allocation": (str(need.allocation), nearest.allocation),
        "burstable": ("no", "yes"),
    }
    names = [name for bit, name in enumerate(CONSTRAINTS) if nearest.shortfalls >> bit & 1]
    return tuple((name, *asked_and_there[name]) for name in names)
