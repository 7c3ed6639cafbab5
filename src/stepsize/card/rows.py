"""The table of a card: what was asked for, used now and before, and is to be asked for.

What comes in: numbers. What goes out: rows of text. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.analyzer.formats.words import UNKNOWN, amount
from stepsize.card.history import History
from stepsize.model import BYTES_PER_MB
from stepsize.sizes import MIB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepsize.api.facts import Stats
    from stepsize.card.findings import Findings
    from stepsize.card.series import Envelope
    from stepsize.model import Request


@dataclass(frozen=True, slots=True)
class Row:
    """One resource; every value is text."""

    label: str
    asked: str
    mean: str
    peak: str
    past_mean: str
    past_peak: str
    advised: str


def rows(stats: Stats, task: Mapping[str, Envelope], request: Request, found: Findings) -> tuple[Row, ...]:
    """CPU and memory always, the others where anything is known of them."""
    past, advised = found.history or History(0, 0), found.recommended
    disk = (stats.disk_read_bytes, stats.disk_write_bytes)
    moved = None if disk == (None, None) else sum(part or 0 for part in disk)
    vram_mean_mib = stats["process_gpu_vram_mib"].mean
    table = [
        _row(
            "CPU, cores",
            request.cpu,
            (stats.cpu_mean, stats.cpu_max),
            (past.cpu_mean, past.cpu_max),
            advised.cpu,
        ),
        _row(
            "Memory, MB",
            _mb(request.memory_bytes),
            (_mb(stats.memory_mean_bytes), _mb(stats.memory_peak_bytes)),
            (_mb(past.memory_mean_bytes), _mb(past.memory_peak_bytes)),
            advised.memory_mb,
        ),
        _row(
            "GPU, devices busy",
            request.gpu,
            (stats.gpu_utilization_mean, stats["process_gpu_usage"].maximum),
            (past.gpu_mean, past.gpu_max),
            advised.gpu,
        ),
        _row(
            "GPU memory, MB",
            None,
            (None if vram_mean_mib is None else vram_mean_mib * MIB / BYTES_PER_MB, _mb(stats.gpu_memory_peak_bytes)),
            (_mb(past.vram_mean_bytes), _mb(past.vram_peak_bytes)),
            advised.vram_mb,
        ),
        _row(
            "Disk, MB/s",
            None,
            (_rate(moved, stats.duration_s), _mb(task["disk"].highest)),
            (_mb(past.disk_rate_mean), None),
            None,
        ),
    ]
    return tuple(row for number, row in enumerate(table) if number < 2 or _says_something(row))


def _row(
    label: str,
    asked: float | None,
    now: tuple[float | None, float | None],
    past: tuple[float | None, float | None],
    advised: float | None,
) -> Row:
    mean, peak, past_mean, past_peak = (_figure(value) for value in (*now, *past))
    return Row(label, amount(asked), mean, peak, past_mean, past_peak, amount(advised))


def _figure(value: float | None) -> str:
    """As `amount`, but what is little and not nothing does not look like nothing."""
    return "< 0.01" if value is not None and 0 < value < 0.005 else amount(value)


def _says_something(row: Row) -> bool:
    return any(text not in (UNKNOWN, "0") for text in (row.asked, row.mean, row.peak, row.past_mean, row.past_peak))


def _mb(size_bytes: float | None) -> float | None:
    return None if size_bytes is None else size_bytes / BYTES_PER_MB


def _rate(moved_bytes: float | None, duration_s: float) -> float | None:
    return None if moved_bytes is None or duration_s <= 0 else moved_bytes / duration_s / BYTES_PER_MB
