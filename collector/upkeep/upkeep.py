"""Upkeep beside a living sink: a small step now and then, the heavy work in a process of its own.

What comes in: the sink's writer, and calls between its commits. What goes out: commits, through that writer. Never
keeps the sink for longer than a commit takes, and never fails it: what cannot be done is tried again later.
"""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from stepsize.collector.upkeep.staging import clear_staging, cleared_staging
from stepsize.collector.upkeep.work import TendJob, Work
from stepsize.collector.upkeep.writer_upkeep import WriterUpkeep

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.collector.limits import UpkeepLimits
    from stepsize.collector.upkeep.plan import Group
    from stepsize.store.manifest import StoredFile
    from stepsize.store.writer import LakeWriter

_LOOK_S = 60.0
_FORGIVEN_S = 86_400.0
"""After so long what could not be compacted is tried again."""
_TEND_S = 3600.0
_DOUBT_S = 86_400.0
"""After our clock was set nothing is dropped for its age or room for so long: it may be set back."""


class Upkeep:
    """The upkeep of a lake by the sink that commits through ``writer``.

    Args:
        writer: the sink's own.
        limits: its bounds.
        monotonic_s: a clock that never steps.
    """

    def __init__(
        self, writer: LakeWriter, limits: UpkeepLimits, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._data = writer.data
        self._writer = writer.manifest.writer
        self._limits = limits
        self._monotonic_s = monotonic_s
        self._upkeep = WriterUpkeep(writer, limits.retention, limits.quiet_s)
        self._work: Work | None = None
        self._group: Group | None = None
        self._failed: dict[tuple[str, str], float] = {}
        self._look_s = self._tend_s = self._drop_s = monotonic_s()

    @property
    def held(self) -> frozenset[StoredFile]:
        """Files that are being compacted: what is made of them has no place where one was merged meanwhile."""
        return frozenset(self._group.files) if self._group else frozenset()

    def step(self, now_ns: int) -> None:
        """Do what is due, by our clock ``now_ns``; to be called between two commits."""
        if self._work is not None:
            if not self._work.is_done():
                return
            self._finish(self._work)
        if self._monotonic_s() >= self._look_s:
            self._look_s = self._monotonic_s() + _LOOK_S
            if self._monotonic_s() >= self._drop_s:
                self._upkeep.drop_old(now_ns)
            self._begin(now_ns)

    def clock_was_set(self) -> None:
        """Our clock was put forward or back: by it, what is new may look old."""
        self._drop_s = self._tend_s = self._monotonic_s() + _DOUBT_S

    def close(self) -> None:
        """End what goes on; nothing of it is used."""
        if self._work is not None:
            self._work.stop()
        self._work = self._group = None

    def _begin(self, now_ns: int) -> None:
        since_s = self._monotonic_s() - _FORGIVEN_S
        self._failed = {which: failed_s for which, failed_s in self._failed.items() if failed_s > since_s}
        group = self._upkeep.next_group(now_ns, self._failed)
        if group is not None:
            self._compact(group)
        elif self._monotonic_s() >= self._tend_s:
            self._tend_s = self._monotonic_s() + _TEND_S
            if self._upkeep.is_alone():
                return  # a process costs half a second of CPU time, and embedded collectors come and go
            with contextlib.suppress(OSError):  # no process can be had now: in an hour, then
                self._work = Work(TendJob(str(self._data), asdict(self._limits.retention), self._limits.quiet_s))

    def _compact(self, group: Group) -> None:
        try:
            self._work = Work(self._upkeep.job(group, cleared_staging(self._data, self._writer)))
        except OSError as error:  # no room, or no process: what comes in is stored all the same
            print(f"stepsize collect: cannot compact {group.partition}: {error.strerror}", file=sys.stderr)  # noqa: T201 - the process's log
            self._failed[group.partition, group.table] = self._monotonic_s()
        else:
            self._group = group

    def _finish(self, work: Work) -> None:
        group, made = self._group, work.made()
        self._work = self._group = None
        if group is None:
            return
        if made is None:
            self._failed[group.partition, group.table] = self._monotonic_s()
        else:
            self._upkeep.replace(group, made)
        clear_staging(self._data, self._writer)
        self._look_s = self._monotonic_s()  # there may be more to compact
