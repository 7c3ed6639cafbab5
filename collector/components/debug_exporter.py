"""``exporters: debug``: shows what arrives, on standard error.

Keys and defaults as upstream's debugexporter.
"""

from __future__ import annotations

from dataclasses import dataclass

from stepsize.collector.config.language import option, whole, word


@dataclass(frozen=True, slots=True)
class DebugExporterConfig:
    """How much it shows."""

    verbosity: str = option(
        word("basic", "normal", "detailed"),
        default="basic",
        says="`basic`: a line a request; `normal`: a line a metric; `detailed`: everything",
    )
    sampling_initial: int = option(whole, default=2, says="so many requests of each second are shown")
    sampling_thereafter: int = option(whole, default=1, says="and after these each so-many-th; 0: none")
