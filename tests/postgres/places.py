"""A lake with known rows, and endpoints over it."""

from __future__ import annotations

import datetime as dt
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg
import pyarrow as pa

from stepsize.postgres.instance import Limits
from stepsize.postgres.lake_views import LocalViews
from stepsize.postgres.serving import Endpoint, listen
from stepsize.store.schema import POINTS
from stepsize.store.writer import LakeWriter
from stepsize.testing import write_tasks
from tests.store.points import SECOND, point

WRITER = "11111111-2222-3333-4444-555555555555"
BEGAN = dt.datetime(2026, 11, 1, tzinfo=dt.timezone.utc)
POINTS_WRITTEN = 5000


def make_lake(data: Path) -> None:
    """Thirty attempts, and 5000 points."""
    rows = [
        {
            "flow": "Train",
            "run": str(run),
            "step": step,
            "task": str(task),
            "attempt": 0,
            "started_at": BEGAN + dt.timedelta(hours=run),
            "duration_s": 90.5,
            "outcome": "ok" if task else None,
            "cpu_seconds": 100.0 + task,
            "memory_peak_bytes": 10**9 + task,
            "annotations": {"rows": task},
        }
        for run in range(5)
        for step in ("load", "fit")
        for task in range(3)
    ]
    write_tasks(data, rows)
    commit_points(data, [float(number) / 3 for number in range(POINTS_WRITTEN)])


def commit_points(data: Path, values: list[float]) -> None:
    """A generation more, with these."""
    writer = LakeWriter(data, WRITER)
    start = 1_790_000_000 * SECOND
    rows = pa.Table.from_pylist([point(start + number * SECOND, one) for number, one in enumerate(values)], POINTS)
    stored = writer.write("points", "day=2026-09-21", rows)
    writer.commit(replace(writer.manifest, files=(*writer.manifest.files, stored)))


@dataclass
class Served:
    """An endpoint that listens."""

    data: Path
    port: int
    said: list[str] = field(default_factory=list)
    clients: Callable[[], int] = lambda: 0
    """How many are let in."""

    @property
    def conninfo(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=ann dbname=stepsize"

    def connect(self, **more: object) -> psycopg.Connection:
        return psycopg.connect(self.conninfo, autocommit=True, **more)  # type: ignore[arg-type]  # any option of it

    def raw(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)


@contextmanager
def serving(data: Path, **more: object) -> Iterator[Served]:
    """An endpoint over the lake in ``data``."""
    said: list[str] = []
    limits = more.pop("limits", Limits(memory_bytes=256 << 20, statement_s=20))
    server = listen(Endpoint(port=0, limits=limits, **more), LocalViews(data), said.append)  # type: ignore[arg-type]
    server.start()
    try:
        yield Served(data, server.port, said, lambda: server.clients)
    finally:
        server.close()
