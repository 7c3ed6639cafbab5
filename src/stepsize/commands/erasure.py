"""One erasure: asked of every writer of a lake, done for those that are gone, and proved.

What comes in: settings, and whose rows. What goes out: counts, before and after. Each writer's rows are erased by
whoever commits for it: a collector that lives finds the request in the lake, within seconds; for the others this
process does it under their locks. What a task that goes on sends afterwards is new, and told so.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from stepsize.collector.state import EXPORTERS_LOCK_FILE, LOCK_FILE, SINK_LOCK_FILE, writer_id
from stepsize.collector.upkeep.erase import count_named, erase_from, remaining
from stepsize.collector.upkeep.logs import erase_logs
from stepsize.collector.upkeep.raw import count_in_log, erase_aside
from stepsize.collector.upkeep.requests import EraseRequest, answer, answered, ask, withdraw, withdraw_answered
from stepsize.collector.upkeep.staging import tending_lock
from stepsize.commands.erase_spool import count_spooled, erase_spooled
from stepsize.errors import PermanentError, UnavailableError
from stepsize.instrumentation.agent.spools import directories
from stepsize.store.database import rebuild
from stepsize.store.erasure import attempts_in
from stepsize.store.locks import Lock
from stepsize.store.manifest import read_manifest, read_manifests
from stepsize.store.schema import SCHEMAS
from stepsize.store.writer import GRACE_S, LakeWriter, writer_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from stepsize.settings import Settings
    from stepsize.store.erasure import Selection

_ANSWER_S = 600.0
"""A collector that lives may have days of points to write anew."""
_FILES_S = 60.0
_POLL_S = 0.2


class Erasure:
    """The erasure of what ``selection`` means from the lake of ``settings``, old files ``now`` or after the grace."""

    def __init__(self, settings: Settings, selection: Selection, *, now: bool) -> None:
        self._data = settings.data.absolute()
        self._state = settings.state_dir
        self._settings = settings
        manifests = read_manifests(self._data)
        tasks = [one for manifest in manifests for one in manifest.files if one.table == "tasks"]
        attempts = attempts_in((self._data / one.path for one in tasks), selection)
        writers = tuple(manifest.writer for manifest in manifests)
        self._request = EraseRequest(selection, tuple(sorted(attempts, key=repr)), writers, now)
        self._matcher = self._request.matcher()

    def count(self) -> Mapping[str, int]:
        """Table → rows that readers of the lake see; ``spool`` → points that no collector has taken yet."""
        named = count_named(self._data, self._matcher)
        return {
            **{table: named[table] for table in SCHEMAS},
            "spool": count_spooled(directories(self._settings), self._matcher),
        }

    def erase(self, say: Callable[[str], None]) -> Mapping[str, int]:
        """Erase, and return the counts once nothing is found in any file; ``say`` is told why that takes long.

        Raises:
            UnavailableError: a collector has not answered; it will erase when it looks.
            PermanentError: rows are left, since somebody goes on sending them or a file stays.
        """
        withdraw_answered(self._data)
        ask(self._data, self._request)
        erase_spooled(directories(self._settings), self._matcher)
        self._have_all_erased()
        try:
            if self._state.is_dir():
                erase_aside(self._state, self._matcher)
            self._wait_for_files(say)
        finally:
            withdraw(self._data, self._request)
        after = self.count()
        if any(after.values()):
            raise PermanentError(
                "rows came in while others were erased: stop the tasks that send them, and erase again"
            )
        return after

    def _have_all_erased(self) -> None:
        deadline_s = time.monotonic() + _ANSWER_S
        while waiting := self._unanswered():
            for writer in waiting:
                self._stand_in(writer)
            waiting = self._unanswered()
            if waiting and time.monotonic() >= deadline_s:
                raise UnavailableError(
                    f"the collector that writes as {waiting[0]} has not erased within {_ANSWER_S:g} s; it will when it "
                    "looks: see that it runs, and erase again to be sure"
                )
            if waiting:
                time.sleep(_POLL_S)

    def _unanswered(self) -> list[str]:
        asked = self._request.writers
        return [writer for writer in asked if answered(self._data, self._request, writer) is None]

    def _stand_in(self, writer: str) -> None:
        """Erase for a writer that nobody commits or compacts for."""
        with contextlib.ExitStack() as end:
            for lock in (tending_lock(self._data, writer), writer_lock(self._data, writer)):
                if not lock.try_acquire():
                    return
                end.callback(lock.release)
            rows = erase_from(LakeWriter(self._data, writer), self._matcher, now=self._request.now)
            answer(self._data, self._request, writer, rows)

    def _wait_for_files(self, say: Callable[[str], None]) -> None:
        """Return once no file holds anything that is meant."""
        started_s = time.monotonic()
        grace_s = 0.0 if self._request.now else GRACE_S
        left: list[Path] = []
        told = self._request.now
        while left := [path for path in left if self._is_left(path)] or self._found():
            if self._state in left and self._have_logs_erased():
                continue
            waited_s = time.monotonic() - started_s
            if waited_s >= grace_s + _FILES_S:
                raise PermanentError(
                    f"{left[0]} still holds rows: something reads it or goes on writing them; see that no task of them "
                    "runs and that the collector does, and erase again"
                )
            if not told:
                say(f"{len(left)} files of earlier states go in {grace_s / 60:g} minutes, or now with --now; waiting")
                told = True
            if waited_s >= grace_s:
                self._collect_garbage()
            time.sleep(_POLL_S)

    def _have_logs_erased(self) -> bool:
        """Erase from the logs of this machine's collector where it has ended; whether any is left without them."""
        with contextlib.ExitStack() as end:
            for name in (LOCK_FILE, SINK_LOCK_FILE, EXPORTERS_LOCK_FILE):
                lock = Lock(self._state / name)
                if not lock.try_acquire():
                    return False  # it does so itself
                end.callback(lock.release)
            settled = read_manifest(self._data, writer_id(self._state)).settled
            erase_logs(self._state, settled, self._matcher)
        return not self._is_left(self._state)

    def _found(self) -> list[Path]:
        return remaining(self._data, self._state, self._matcher)

    def _is_left(self, path: Path) -> bool:
        return count_in_log(path, self._matcher) > 0 if path == self._state else path.exists()

    def _collect_garbage(self) -> None:
        """Delete what is named no more, of the writers that nobody commits for; the others do so themselves."""
        rebuild(self._data)  # whoever was killed after a commit has left views that name what is deleted now
        for manifest in read_manifests(self._data):
            lock = writer_lock(self._data, manifest.writer)
            if lock.try_acquire():
                try:
                    LakeWriter(self._data, manifest.writer).collect_garbage(time.time(), grace_s=0.0)
                finally:
                    lock.release()
