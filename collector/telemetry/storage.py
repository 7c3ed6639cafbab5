"""What the write-ahead log, the sink and those that serve what they have stored have done, as metrics.

What comes in: a registry, the log's writer, processes. What goes out: metrics, read when they are asked for.
Never changes any of them.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from stepsize.collector.telemetry.process import resident_bytes
from stepsize.collector.telemetry.registry import GAUGE, SUM

if TYPE_CHECKING:
    from stepsize.collector.server.sink_process import SinkProcess
    from stepsize.collector.server.upload_process import UploadProcess
    from stepsize.collector.sql.process import SqlProcess
    from stepsize.collector.telemetry.registry import Registry
    from stepsize.collector.wal.writer import WalWriter


def observe_log(registry: Registry, wal: WalWriter, log: str = "main") -> None:
    """Register the metrics of one write-ahead log."""
    counters = wal.counters
    for name, kind, unit, description, read in (
        ("requests", SUM, "{request}", "Requests that are durable.", lambda: counters.requests),
        ("bytes", SUM, "By", "Bytes that are durable.", lambda: counters.request_bytes),
        ("syncs", SUM, "{sync}", "Groups of requests that were made durable.", lambda: counters.syncs),
        ("sync_seconds", SUM, "s", "Time that the disk took to write and sync them.", lambda: counters.sync_s),
        ("failed_syncs", SUM, "{sync}", "Groups that could not be written.", lambda: counters.failed_syncs),
        ("refused_requests", SUM, "{request}", "Requests that the log had no room for.", lambda: counters.refused),
        ("stored_bytes", GAUGE, "By", "What the log holds, stored in the lake or not.", lambda: wal.stored_bytes),
    ):
        registry.observe(f"stepsize_wal_{name}", kind, unit, description, read, log=log)


def observe_sink(registry: Registry, sink: SinkProcess) -> None:
    """Register the metrics of the sink."""
    for name, kind, unit, description, read in (
        ("lag", GAUGE, "s", "Age of the oldest points that are on disk and not stored yet.", lambda: sink.lag_s),
        ("commits", SUM, "{commit}", "Generations of the lake that the sink has committed.", lambda: sink.commits),
        ("restarts", SUM, "{restart}", "How often the sink had to be started again.", lambda: sink.restarts),
        ("up", GAUGE, "1", "Whether the sink runs.", lambda: float(sink.is_alive)),
    ):
        registry.observe(f"stepsize_sink_{name}", kind, unit, description, read)


def observe_upload(registry: Registry, upload: UploadProcess) -> None:
    """Register the metrics of what brings the lake to an object store."""
    for name, kind, unit, description, read in (
        ("lag", GAUGE, "s", "Age of the oldest points that are stored here and not in the object store.", "lag_s"),
        ("files", SUM, "{file}", "Files that were sent to the object store.", "files"),
        ("bytes", SUM, "By", "Bytes of files that were sent to the object store.", "sent_bytes"),
        ("failures", SUM, "{upload}", "Uploads that failed; each is tried again.", "failures"),
        ("restarts", SUM, "{restart}", "How often the upload's process had to be started again.", "restarts"),
    ):
        registry.observe(f"stepsize_upload_{name}", kind, unit, description, functools.partial(getattr, upload, read))


def observe_sql(registry: Registry, process: SqlProcess, extension: str) -> None:
    """Register the metrics of an extension's process that serves clients of Postgres."""
    for name, kind, unit, description, read in (
        ("up", GAUGE, "1", "Whether clients of Postgres are served.", lambda: process.up),
        ("clients", GAUGE, "{client}", "Clients that are connected and were let in.", lambda: process.clients),
        ("restarts", SUM, "{restart}", "How often its process had to be started again.", lambda: process.restarts),
        (
            "memory_rss",
            GAUGE,
            "By",
            "Total physical memory (resident set size) of its process.",
            lambda: resident_bytes(pid) if (pid := process.pid) else None,
        ),
    ):
        registry.observe(f"stepsize_sql_{name}", kind, unit, description, read, extension=extension)
