"""Folds what a write-ahead log still holds into its lake, where no collector does.

What comes in: settings. What goes out: points in the views. Never competes with a collector that lives.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from stepsize.collector.sink.settings import SinkSettings
from stepsize.collector.state import LOCK_FILE, SINK_LOCK_FILE, writer_id
from stepsize.collector.wal.reader import delete_before, end_of, segments
from stepsize.errors import LakeError
from stepsize.store.locks import Lock
from stepsize.store.manifest import read_manifest

if TYPE_CHECKING:
    from stepsize.settings import Settings

_SINK_TIMEOUT_S = 30.0


def drain(settings: Settings) -> int:
    """Fold the log's remainder in; returns how many points that were, 0 where a collector lives that will do so.

    Cheap where nothing is left: then neither Arrow nor DuckDB is imported.

    Raises:
        LakeError: the data directory cannot be used.
        UnavailableError: a sink that a killed collector left behind does not finish.
    """
    state = settings.state_dir
    if not state.is_dir() or not segments(state):
        return 0
    lock = Lock(state / LOCK_FILE)
    if not lock.try_acquire():
        return 0
    try:
        # A collector that was killed has left a sink that is draining right now: wait for what it commits.
        with Lock(state / SINK_LOCK_FILE).held(_SINK_TIMEOUT_S):
            return _drain(settings)
    finally:
        lock.release()


def _drain(settings: Settings) -> int:
    state = settings.state_dir
    writer = writer_id(state)
    position = read_manifest(settings.data, writer).position
    if not any(end_of(state, number) > position for number in segments(state)):
        return 0
    from stepsize.collector.sink.process import END, open_sink  # noqa: PLC0415 - heavy, and hardly ever needed

    try:
        sink = open_sink(SinkSettings(data=settings.data, state=state, writer=writer))
        points = sink.fold(END, time.time_ns())
        delete_before(state, END)  # what is left in them is a tail that a crash tore, and nobody was told of
    except OSError as error:
        raise LakeError(f"cannot write to {settings.data}: {error.strerror}") from None
    return points
