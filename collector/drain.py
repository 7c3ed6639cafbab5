"""Folds what a write-ahead log still holds into its lake, where no collector does.

What comes in: settings. What goes out: points in the views, by the bounds that the log's collector was told. Never
competes with a collector that lives.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from stepsize.collector.sink.settings import SinkSettings, kept_limits
from stepsize.collector.state import LOCK_FILE, SINK_LOCK_FILE, writer_id
from stepsize.collector.wal.reader import delete_before, end_of, segments
from stepsize.errors import LakeError, UnavailableError
from stepsize.store.locks import Lock
from stepsize.store.manifest import read_manifest

if TYPE_CHECKING:
    from stepsize.settings import Settings

_SINK_TIMEOUT_S = 30.0
_POLL_S = 0.02


def drain(settings: Settings, timeout_s: float = 0.0) -> int:
    """Fold the log's remainder in; returns how many points that were, 0 where nothing is left to fold.

    A collector that holds the log (one that is about to end, say, and answers nobody any more) is given ``timeout_s``
    to fold it itself or to let go of it. Cheap where nothing is left: then neither Arrow nor DuckDB is imported.

    Raises:
        LakeError: the data directory cannot be used.
        UnavailableError: a collector holds the log and has not folded it, or a sink that a killed collector left
            behind does not finish.
    """
    state = settings.state_dir
    lock = Lock(state / LOCK_FILE)
    deadline_s = time.monotonic() + timeout_s
    waited = False
    while _is_left(settings):
        if lock.try_acquire():
            try:
                # A collector that was killed has left a sink that is draining right now: wait for what it commits.
                with Lock(state / SINK_LOCK_FILE).held(_SINK_TIMEOUT_S):
                    return _drain(settings)
            finally:
                lock.release()
        if time.monotonic() >= deadline_s:
            raise UnavailableError(f"a collector holds {state} and has not stored all it took; try again when it has")
        time.sleep(_POLL_S)
        waited = True
    if waited:
        from stepsize.store.lake import Lake  # noqa: PLC0415 - as below

        Lake(settings.data).create()  # the manifest that says so may be a moment older than its views
    return 0


def _is_left(settings: Settings) -> bool:
    """Whether the log holds anything that is not in the lake."""
    state = settings.state_dir
    found = segments(state) if state.is_dir() else []
    if not found:
        return False
    position = read_manifest(settings.data, writer_id(state)).settled
    try:
        ends = [end_of(state, number) for number in found]
        return any(end.offset and end > position for end in ends)
    except FileNotFoundError:  # its collector has deleted a segment that is folded since we looked
        return True


def _drain(settings: Settings) -> int:
    if not _is_left(settings):
        return 0
    from stepsize.collector.sink.process import END, open_sink  # noqa: PLC0415 - heavy, and hardly ever needed
    from stepsize.store.lake import Lake  # noqa: PLC0415 - as above
    from stepsize.store.writer import writer_lock  # noqa: PLC0415 - as above

    state = settings.state_dir
    try:
        limits = kept_limits(state)
        sink_settings = SinkSettings(data=settings.data, state=state, writer=writer_id(state), limits=limits)
        Lake(settings.data).create()
        with writer_lock(settings.data, sink_settings.writer).held(_SINK_TIMEOUT_S), open_sink(sink_settings) as sink:
            points = sink.fold(END, time.time_ns())
        delete_before(state, END)  # what is left in them is a tail that a crash tore, and nobody was told of
    except OSError as error:
        raise LakeError(f"cannot write to {settings.data}: {error.strerror}") from None
    return points
