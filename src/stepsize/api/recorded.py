"""What one attempt used, sample by sample, and every answer that can be given from it.

What comes in: the streams of a recording, and who the attempt is. What goes out: tables, statistics, a recommendation,
servers, a report. Answers while samples come and afterwards alike. Reads the lake only where history is asked for;
writes nothing but what ``save`` is told to. What answers need (pyarrow, the analyzer) is imported with the first one.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any, Literal

from stepsize.api.facts import Facts, Seen, Server, Stats
from stepsize.errors import UsageError
from stepsize.instrumentation.recording import TIME
from stepsize.model import cpu_quantile
from stepsize.sizes import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pyarrow as pa

    from stepsize.analyzer.matching import Offer
    from stepsize.analyzer.sizing.policy import Recommendation
    from stepsize.api.page import Page
    from stepsize.api.statistics import Statistic, Statistics
    from stepsize.api.stream import Stream
    from stepsize.model import Identity, Outcome
    from stepsize.settings import Settings

    History = bool | int | Iterable["Recorded"]
    """None (``False``), the lake's (``True``), that of its newest runs (how many), or other recordings."""

_P95 = 0.95


class Recorded:
    """A recorded attempt, live or loaded (`stepsize.load`).

    Args:
        facts: what is known of it beside its samples.
        task, host: its samples, and its host's.
        settings: whose lake holds its history.
    """

    def __init__(self, facts: Facts, task: Stream, host: Stream, settings: Settings) -> None:
        self._facts = facts
        self._task, self._host = task, host
        self._settings = settings
        self._folded: tuple[Statistics, Statistics] | None = None
        self._lock = threading.RLock()
        """Held while an answer is made: threads may ask at the same time."""

    @property
    def settings(self) -> Settings:
        """Whose lake holds its history."""
        return self._settings

    @property
    def identity(self) -> Identity:
        """Which attempt of which task of which step of which run of which flow."""
        return self._facts.identity

    @property
    def pid(self) -> int:
        """Its process."""
        return self._facts.pid

    @property
    def running(self) -> bool:
        """Whether it has begun and not ended."""
        return self._facts.started_s is not None and self._facts.ended_s is None

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; ``None`` where it has not."""
        return self._facts.outcome

    @property
    def samples(self) -> int:
        """How many samples there are by now."""
        with self._lock:
            self._refresh()
            return self._rows

    @property
    def duration_s(self) -> float:
        """Seconds from its beginning to its end, or to its last sample."""
        with self._lock:
            self._refresh()
            return self._passed_s

    def metrics(
        self,
        of: Literal["combined", "process", "system"] = "combined",
        *,
        human_names: bool = False,
        in_bytes: bool = False,
        offset: int = 0,
        system_prefix: str | None = None,
        process_prefix: str | None = None,
        to: Literal["arrow", "pandas"] = "arrow",
    ) -> Any:
        """The samples as a table: an Arrow table, or a pandas data frame.

        Args:
            of: whose columns: the host's and the attempt's side by side, a row for each sample of the attempt, or
                either's own. Names of ``combined`` have a prefix.
            human_names: ``CPU usage`` for ``cpu_usage``.
            in_bytes: bytes for MiB and GB; plain names end with ``_bytes`` then.
            offset: leave out so many rows at the start: what was taken before.
            system_prefix, process_prefix: instead of ``system_`` and ``process_`` (``System `` and ``Process ``).
            to: the kind of table.

        Raises:
            UsageError: no such table, or pandas is not installed.
        """
        import pyarrow as pa  # noqa: PLC0415 - the tracked program pays for it with its first answer

        from stepsize.api import tables  # noqa: PLC0415 - as above

        default = ("System ", "Process ") if human_names else ("system_", "process_")
        prefixes = (system_prefix, process_prefix) if of == "combined" else ("", "")
        system, process = (
            tables.Names(default[side] if given is None else given, human=human_names, in_bytes=in_bytes)
            for side, given in enumerate(prefixes)
        )
        pid, before = self._facts.pid, self._before
        if of not in ("combined", "process", "system"):
            raise UsageError(f"no table is called {of!r}; there are combined, process and system")
        with self._lock:
            self._refresh()
            if of == "process":
                columns = tables.process_columns(self._task, pid, before, process)
            elif of == "system" or self._facts.system_only:
                columns = tables.system_columns(self._host, system)
            else:
                columns = tables.system_columns_at(self._task, self._host, system)
                columns |= tables.process_columns(self._task, pid, before, process)
        return _as(pa.table(columns).slice(offset), to)

    def stats(self) -> Stats:
        """The samples in numbers. Only what is new since the last call is looked at."""
        with self._lock:
            process, system = self._fold()
            columns = {
                **{f"process_{name}": value for name, value in process.all().items()},
                **{f"system_{name}": value for name, value in system.all().items()},
            }
            samples, duration_s, facts = self._rows, self._passed_s, self._facts
            cpu_p95 = cpu_quantile(process.cpu_histogram, _P95)
            complete = self._task.latest("ended") is not None
        cpu_seconds = _sum(columns["process_utime"], columns["process_stime"])
        if facts.cpu_seconds is not None and not complete:
            cpu_seconds = facts.cpu_seconds  # the agent's last record would have had it, and what still runs too
        peaks = (_bytes(columns["process_memory_peak_mib"].maximum), facts.memory_peak_bytes)
        vram = [_bytes(columns[f"process_gpu_vram_{name}"].maximum) for name in ("mib", "peak_mib")]
        memory_mean_mib = columns["process_memory_mib"].mean
        return Stats(
            samples=samples,
            duration_s=duration_s,
            cpu_seconds=cpu_seconds,
            cpu_mean=cpu_seconds / duration_s if cpu_seconds is not None and duration_s > 0 else None,
            cpu_p95=cpu_p95,
            cpu_max=columns["process_cpu_usage"].maximum,
            memory_mean_bytes=None if memory_mean_mib is None else memory_mean_mib * MIB,
            memory_peak_bytes=max((peak for peak in peaks if peak is not None), default=None),
            disk_read_bytes=_whole(_sum(columns["process_disk_read_bytes"])),
            disk_write_bytes=_whole(_sum(columns["process_disk_write_bytes"])),
            gpu_utilization_mean=columns["process_gpu_usage"].mean,
            gpu_memory_peak_bytes=max((peak for peak in vram if peak is not None), default=None),
            columns=columns,
        )

    def server(self) -> Server:
        """Where it ran. The cloud's answers may take the agent a second."""
        stats, host = self.stats(), self._host
        used = ((stats.cpu_mean, stats["system_cpu_usage"].mean), _pair(stats, "process_memory_mib"))
        known = {name: str(value) for name, value in self._facts.host.items()}
        return Server(
            name=known.get("host.name"),
            architecture=known.get("host.arch"),
            system=known.get("os.type"),
            cpus=_whole(host.latest("cpus")),
            memory_bytes=_whole(host.latest("memory_total_bytes")),
            gpu_memory_bytes=_whole(host.latest("gpu_memory_total_bytes")),
            cloud_vendor=known.get("cloud.provider"),
            cloud_region=known.get("cloud.region"),
            instance_type=known.get("host.type"),
            shared=_is_shared(*used),
        )

    def seen(self) -> Seen:
        """The samples as evidence."""
        with self._lock:
            return self._seen()

    def _seen(self) -> Seen:
        stats, task = self.stats(), self._task
        sampled = task.highest("memory_peak_sampled_bytes")
        from_samples = sampled is not None and sampled >= (stats.memory_peak_bytes or 0)
        throttled = (task.earliest("throttled_s"), task.latest("throttled_s"))
        return Seen(
            stats=stats,
            outcome=self._facts.outcome,
            started_at_s=self._facts.started_s,
            cpu_histogram=dict(self._fold()[0].cpu_histogram),
            memory_source="samples" if stats.memory_peak_bytes is not None and from_samples else None,
            memory_limit_bytes=_whole(task.latest("memory_limit_bytes")),
            throttled_s=None if throttled[0] is None or throttled[1] is None else throttled[1] - throttled[0],
            cpu_limit=task.highest("cpu_limit_cores"),
            threads=self._facts.threads,
            disk_peak_bytes=_whole(task.highest("disk_usage_bytes")),
            host_cpus=_whole(self._host.latest("cpus")),
        )

    def recommend(self, history: History = False, *, policy: str = "safe") -> Recommendation:
        """What the step should ask for, and why.

        Args:
            history: whether its earlier attempts count too: none, all that the lake has, those of so many newest runs,
                or other recordings.
            policy: who says so (see ``docs/policies.md``).

        Raises:
            UsageError: no such policy.
            LakeError: the lake cannot be read.
        """
        from stepsize.api import advice  # noqa: PLC0415 - the analyzer is heavy

        return advice.recommend(self, history, policy)

    def match(
        self,
        history: History = False,
        *,
        policy: str = "safe",
        limit: int = 5,
        vendors: tuple[str, ...] = (),
        regions: tuple[str, ...] = (),
        architecture: str | None = "x86_64",
        spot: bool = False,
        burstable: bool = False,
    ) -> list[Offer]:
        """The cheapest servers that fit what `recommend` says, or what was asked for where it says to keep that.

        Empty where neither is known, or nothing fits. ``vendors`` and ``regions`` may be globs.

        Raises:
            UsageError: no such policy, vendor, region or architecture.
            LakeError: the lake cannot be read.
        """
        from stepsize.api import advice  # noqa: PLC0415 - the analyzer is heavy

        need = advice.need(self, history, policy)
        if need is None:
            return []
        return advice.offers(
            need,
            limit,
            vendors=tuple(vendors),
            regions=tuple(regions),
            architecture=architecture,
            allocation="spot" if spot else "ondemand",
            burstable=burstable,
        )

    def report(
        self,
        history: History = False,
        *,
        policy: str = "safe",
        format: Literal["html", "markdown", "json", "csv", "table"] = "html",  # noqa: A002 - as the command has it
    ) -> Page:
        """The right-sizing report of this step: a text that can be saved and shown in a browser.

        Raises:
            UsageError: no such policy or format.
            LakeError: the lake cannot be read.
        """
        from stepsize.api import advice  # noqa: PLC0415 - the analyzer is heavy

        return advice.report(self, history, policy, format)

    def dumps(self) -> bytes:
        """All of it as the bytes of one Parquet file, which `stepsize.loads` takes."""
        from stepsize.api import saved  # noqa: PLC0415 - pyarrow is heavy

        with self._lock:
            self._refresh()
            return saved.dumps(self._facts, self._task, self._host)

    def save(self, path: str | Path) -> Path:
        """Write all of it to one Parquet file, whole; `stepsize.load` takes it, and DuckDB or pandas read it.

        Raises:
            UsageError: the file cannot be written.
        """
        from stepsize.api import page  # noqa: PLC0415 - not needed while it runs

        return page.write(path, self.dumps())

    @property
    def _before(self) -> dict[str, float]:
        """What the attempt's sums were when it began: they count from there."""
        start_s = self._facts.started_s
        fields = ("cpu_user_s", "cpu_system_s", "disk_read_bytes", "disk_write_bytes")
        return dict.fromkeys(fields, 0.0) | ({} if start_s is None else {TIME: start_s})

    @property
    def _rows(self) -> int:
        return len(self._host if self._facts.system_only else self._task)

    @property
    def _passed_s(self) -> float:
        start_s, end_s = self._facts.started_s, self._facts.ended_s
        if start_s is None:
            return 0.0
        return max(0.0, (max(self._task.last_s, self._host.last_s) if end_s is None else end_s) - start_s)

    def _refresh(self) -> None:
        self._task.refresh()
        self._host.refresh()

    def _fold(self) -> tuple[Statistics, Statistics]:
        from stepsize.api.columns import PROCESS_COLUMNS, SYSTEM_COLUMNS  # noqa: PLC0415 - with pyarrow
        from stepsize.api.statistics import Statistics  # noqa: PLC0415 - pyarrow is heavy

        self._refresh()
        if self._folded is None:
            self._folded = (
                Statistics(self._task, PROCESS_COLUMNS, self._before, cores="cpu_cores"),
                Statistics(self._host, SYSTEM_COLUMNS, {}),
            )
        for folded in self._folded:
            folded.refresh()
        return self._folded


def _pair(stats: Stats, own: str) -> tuple[float | None, float | None]:
    return stats[own].mean, stats["system_memory_used_mib"].mean


def _is_shared(cores: tuple[float | None, float | None], memory_mib: tuple[float | None, float | None]) -> bool | None:
    """Whether the host did more than the attempt, by a quarter and a quarter of a core, or held half as much again.

    512 MiB more are the system's own. None where neither is known.
    """
    found = []
    for (own, whole), share, least in ((cores, 1.25, 0.25), (memory_mib, 1.5, 512.0)):
        if own is not None and whole is not None:
            found.append(whole > own * share and whole > own + least)
    return any(found) if found else None


def _as(table: pa.Table, to: str) -> Any:
    if to == "arrow":
        return table
    if to != "pandas":
        raise UsageError(f"no kind of table is called {to!r}; there are arrow and pandas")
    try:
        return table.to_pandas()
    except ImportError:
        raise UsageError("pandas is not installed: pip install pandas, or take the Arrow table") from None


def _sum(*statistics: Statistic) -> float | None:
    known = [each.total for each in statistics if each.count]
    return math.fsum(known) if known else None


def _bytes(mib: float | None) -> int | None:
    return None if mib is None else round(mib * MIB)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
