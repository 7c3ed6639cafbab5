"""What the exporters' process is told at its start.

What comes in: what the collector knows. What goes out: one frozen value that travels over a pipe of our own: it holds
headers and keys, which must be in no argument list and in no environment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stepsize.collector.components.sending import QueueBatchConfig
    from stepsize.store.manifest import WalPosition

HEAD_BYTES = 8
"""What tells how long they are, before them."""
DRAIN_S = 5.0
"""How long exporters may take to send what is left when a collector ends."""
PLACE_S = 60.0
"""How long they wait for those of a collector that was killed to make room."""


@dataclass(frozen=True, slots=True)
class LogSettings:
    """One log and who reads it.

    Attributes:
        directory: where it lies.
        exporters: names of its readers.
        is_main: whether the sink reads it too, and deletes what nobody needs any more.
        batch: the bounds of requests that are sent on.
        until: where it ends, if it is one that nothing is written to any more.
    """

    directory: Path
    exporters: tuple[str, ...]
    is_main: bool
    batch: QueueBatchConfig | None = None
    until: WalPosition | None = None


@dataclass(frozen=True, slots=True)
class ExportingSettings:
    """All of it.

    Attributes:
        state: the collector's state directory.
        exporters: configurations by name.
        extensions: configurations of those that sign the requests of exporters, by the exporter's name.
        logs: the logs, by whose index they are told what is durable.
        listeners: descriptors of listening sockets by the name of the exporter.
        is_first: whether it is the first such process of its collector; it empties files that are not appended to.
    """

    state: Path
    exporters: Mapping[str, Any]
    extensions: Mapping[str, Any]
    logs: tuple[LogSettings, ...]
    listeners: Mapping[str, int]
    is_first: bool
