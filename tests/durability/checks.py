"""What has to hold of a lake whatever was killed, and a reader who never sees anything else."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from stepsize.collector.wal.writer import WalWriter
from stepsize.store.lake import Lake
from stepsize.store.manifest import read_manifests
from tests.collector.rollup_log import Log
from tests.durability.senders import POINTS_EACH

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import duckdb

    from tests.durability.senders import Sender

_SEEN = """
    SELECT split_part(task, '-', 1) AS sender, count(*), count(DISTINCT value_int), max(value_int) + 1
    FROM points WHERE metric = 'n' GROUP BY sender
"""
_TASKS = "SELECT * EXCLUDE (host_cpus, host_memory_bytes) FROM tasks ORDER BY task, attempt"


def seen(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """How many points of each sender are there: the first so many, each once."""
    found = {}
    for sender, count, distinct, following in connection.execute(_SEEN).fetchall():
        assert count == distinct, f"{count - distinct} points of {sender} are there twice"
        assert distinct == following, f"{following - distinct} points of {sender} are missing"
        found[sender] = count
    return found


class Reader:
    """Looks at a lake again and again, and keeps what it saw that it must not see."""

    def __init__(self, data: Path) -> None:
        self.looks = 0
        self.complaint: str | None = None
        self._data = data
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more; what was seen must have been right."""
        self._stop.set()
        self._thread.join(30)
        assert self.complaint is None, self.complaint

    def _run(self) -> None:
        before: dict[str, int] = {}
        while not self._stop.wait(0.05):
            try:
                with Lake(self._data).reading() as connection:
                    now = seen(connection)
                    tasks = connection.execute("SELECT count(*), count(DISTINCT task) FROM tasks").fetchone()
                assert tasks, "no answer"
                assert tasks[0] == tasks[1], f"{tasks} rows and tasks"
                fewer = {
                    sender: (count, now.get(sender)) for sender, count in before.items() if now.get(sender, 0) < count
                }
                assert not fewer, f"fewer points than before: {fewer}"
            except Exception as error:  # noqa: BLE001 - whatever a reader meets is what this looks for
                self.complaint = f"look {self.looks}: {error!r}"
                return
            before = now
            self.looks += 1


def check(data: Path, senders: Iterable[Sender], scratch: Path) -> None:
    """Each acknowledged point is there once, tasks are what they would be without a fault, files are whole."""
    senders = list(senders)
    for manifest in read_manifests(data):
        for stored in manifest.files:
            assert pq.ParquetFile(data / stored.path).metadata.num_rows == stored.rows
    with Lake(data).reading() as connection:
        found = seen(connection)
        tasks = connection.execute(_TASKS).fetchall()
    # One more may have reached the disk without its answer reaching the sender.
    kept = {sender.name: found.get(sender.name, 0) // POINTS_EACH for sender in senders}
    lost = [(s.name, s.acknowledged, kept[s.name]) for s in senders if kept[s.name] - s.acknowledged not in (0, 1)]
    assert not lost, f"sender, acknowledged, kept: {lost}"
    requests = [sender.request(number) for sender in senders for number in range(kept[sender.name])]
    assert tasks == without_faults(requests, scratch)


def without_faults(requests: list[bytes], scratch: Path) -> list[tuple[Any, ...]]:
    """The rows of tasks that the requests give where nothing is killed."""
    scratch.mkdir()
    log = Log(scratch)

    async def write() -> None:
        writer = WalWriter(log.wal, first_segment=1, on_durable=lambda _: None)
        await asyncio.gather(*map(writer.append, requests))
        log.durable = writer.durable
        await writer.close()

    asyncio.run(write())
    log.sink.fold(log.durable, 0)
    with log.lake.connect() as connection:
        return connection.execute(_TASKS).fetchall()
