"""A real log, sink and lake with times that a test chooses."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from stepsize.collector.decode.decoder import Decoder
from stepsize.collector.limits import RollupLimits, SinkLimits
from stepsize.collector.sink.process import END
from stepsize.collector.sink.sink import Sink
from stepsize.collector.wal.writer import WalWriter
from stepsize.store.lake import Lake
from stepsize.store.manifest import WalPosition
from stepsize.store.writer import LakeWriter
from tests.collector.otlp import SECOND, RequestBuilder, identity

if TYPE_CHECKING:
    from pathlib import Path

    from stepsize.collector.rollup.table import AttemptTable


T0 = (time.time_ns() // SECOND - 3600) * SECOND


WRITER = "11111111-2222-3333-4444-555555555555"


MIB = 1 << 20


class Log:
    """A write-ahead log and the sink that folds it; the sink is made anew on demand, as after a crash."""

    def __init__(self, path: Path) -> None:
        self.wal, self.lake = path / "wal", Lake(path / "lake")
        self.wal.mkdir(parents=True)
        self.lake.create()
        self.limits = SinkLimits(rollup=RollupLimits(silence_s=600, linger_s=60))
        self.sink = self.make_sink()

    def make_sink(self, now_ns: int = T0) -> Sink:
        self.sink = Sink(LakeWriter(self.lake.data, WRITER), self.wal, self.limits, now_ns)
        return self.sink

    def append(self, *requests: RequestBuilder | bytes) -> None:
        async def write() -> None:
            committed = self.sink.position.segment if self.sink.position.segment < END.segment else 0
            writer = WalWriter(self.wal, first_segment=committed + 1, on_durable=self._note)
            for request in requests:
                await writer.append(request if isinstance(request, bytes) else request.content())
            await writer.close()

        asyncio.run(write())

    def _note(self, durable: WalPosition) -> None:
        self.durable = durable

    def fold(self, *requests: RequestBuilder | bytes) -> None:
        self.append(*requests)
        self.sink.fold(self.durable, T0)

    def tasks(self, order: str = "task, attempt") -> list[dict[str, Any]]:
        with self.lake.connect() as connection:
            cursor = connection.execute(f"SELECT * FROM tasks ORDER BY {order}")
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def attempt(task: str = "1", number: int = 0, **more: Any) -> RequestBuilder:
    return RequestBuilder(identity(task, number, **more))


def fold(table: AttemptTable, request: RequestBuilder, arrival: int = T0) -> None:
    """Fold the points of one request."""
    decoder = Decoder()
    batch = decoder.begin()
    decoder.add(batch, [request.content()], [arrival])
    table.gather(batch)
    table.fold()


def time_of(log: Log) -> int:
    """When the newest point arrived."""
    with log.lake.connect() as connection:
        found = connection.execute("SELECT max(received_at_unix_nano) FROM exact_points").fetchone()
    assert found
    return int(found[0])


def final_rows(log: Log) -> int:
    """How many rows lie in files of final rows."""
    files = json.loads((log.lake.data / "manifests" / f"{WRITER}.json").read_text())["files"]
    return sum(file["rows"] for file in files if file["table"] == "tasks" and file["partition"] != "open")
