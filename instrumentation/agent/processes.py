"""Reads the processes of a host, once a round for every tree that is sampled in it.

What comes in: pids that somebody's tree holds. What goes out: their states, their children, what they read and wrote.
A round is one look for everybody: within it a process is read once, however many trees it is in. Outside of one,
whatever is asked for is read at once. Reads only files of /proc, and keeps those open that it reads again and again:
reading an open one costs half and less.

A process whose state is the same byte for byte has used no tick and waited for nobody. In rounds that are one of many
its children and its bytes are then read every other time: a child that it makes without leaving a trace (a ``vfork`` of
a process that does nothing else) and the first bytes of one that goes on sleeping are seen one round later.

New processes are found in one of two ways, whichever costs less for those who are looked at: by the lists of children
of every thread of every process (a walk), or by listing /proc once for all trees (a scan, see `newcomers`).
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from stepsize.instrumentation import procfs
from stepsize.instrumentation.agent.newcomers import Newcomers, families
from stepsize.instrumentation.agent.probes.kept import KeptFiles
from stepsize.instrumentation.rusage import standard_resource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepsize.instrumentation.procfs import Stat

_READ_BYTES = 4096
_RESERVED_FILES = 256
"""Descriptors that are left for everything else."""
_MOST_FILES = 16_384
_FORGET_ROUNDS = 64
"""A process that nobody asked for in so many rounds is forgotten, and its files are closed."""
_COMPARE_ROUNDS = 64
"""In every so many rounds the way that costs more is taken, since it may cost less by now."""
_SMOOTHING = 0.125


class Processes:
    """The processes of one host.

    Args:
        proc: the root of /proc.
        lists_children: whether the kernel lists a thread's children (``CONFIG_PROC_CHILDREN``; gVisor does not).
    """

    def __init__(self, proc: str, *, lists_children: bool) -> None:
        self._proc = proc
        self._lists_children = lists_children
        self._known: dict[int, _Process] = {}
        self._files = _Files()
        self._lists = KeptFiles()  # of children of processes that are in no tree: reapers and launchers
        self._newcomers = Newcomers(proc)
        self.in_round = False
        """Whether a round is under way."""
        self._oldest = 0  # the round from which on readings of those that did nothing since will do
        self._scans = False
        self._cost = _Cost()
        self._families: dict[int, list[int]] | None = None
        self.number = 0
        """Of the last round."""

    @contextlib.contextmanager
    def round(self, expected: int, *, one_of_many: bool = False) -> Iterator[None]:
        """One look at the host for some trees, of about ``expected`` processes together; a part of one within it.

        ``one_of_many``: the next one is soon to come, so that some readings of the one before will do.
        """
        if self.in_round:
            yield
            return
        self.number += 1
        self._oldest = self.number - 1 if one_of_many else self.number
        self._families = None
        self._scans = self._lists_children and self._cost.prefers_scan(expected, self.number)
        if self._scans:
            begun_ns = time.perf_counter_ns()
            self._newcomers.look(self.number)
            self._cost.scanned(time.perf_counter_ns() - begun_ns)
        self.in_round = True
        try:
            yield
        finally:
            self.in_round = False
            if self.number % _FORGET_ROUNDS == 0:
                self._forget()

    @property
    def walks(self) -> bool:
        """Whether `children` are all children, rather than the new ones alone."""
        return not self._scans

    def stat(self, pid: int) -> Stat | None:
        """A process's state, or ``None`` when it is gone. The same object as before where nothing has changed."""
        if not self.in_round:
            return procfs.stat(self._proc, pid)
        process = self._known.get(pid)
        if process is None:
            process = self._known[pid] = _Process(f"{self._proc}/{pid}", pid, self._files)
        elif process.round == self.number:
            return process.stat
        elif not process.look(self.number):
            # An open file answers for the process that it was opened for: the number may be another's by now.
            process.close()
            process = self._known[pid] = _Process(f"{self._proc}/{pid}", pid, self._files)
        process.round = self.number
        return process.stat

    def disk_bytes(self, pid: int) -> tuple[int, int] | None:
        """Bytes that a process read and wrote (see `procfs.disk_bytes`)."""
        process = self._known.get(pid) if self.in_round else None
        if process is None:
            return procfs.disk_bytes(self._proc, pid)
        return process.disk_bytes(self.number, self._oldest)

    def children(self, pid: int, threads: int, since: int | None = None) -> list[int]:
        """Children of every thread of a process; only those that came since a round, where that is cheaper to tell."""
        if not self._lists_children:
            if self._families is None or not self.in_round:
                self._families = families(self._proc)
            return self._families.get(pid, [])
        if self._scans and self.in_round and since is not None and self._newcomers.covers(since):
            return self._newcomers.of(pid, since)
        begun_ns = time.perf_counter_ns()
        if threads == 1 and self.in_round:
            process = self._known.get(pid)
            found = self._children_of_another(pid) if process is None else process.children(self.number, self._oldest)
        else:
            found = procfs.children(self._proc, pid, threads)
        self._cost.walked(time.perf_counter_ns() - begun_ns)
        return found

    def _children_of_another(self, pid: int) -> list[int]:
        return [int(child) for child in self._lists.read_whole(f"{self._proc}/{pid}/task/{pid}/children").split()]

    def _forget(self) -> None:
        self._lists.close()
        for pid, process in list(self._known.items()):
            if self.number - process.round >= _FORGET_ROUNDS:
                process.close()
                del self._known[pid]


class _Cost:
    """What the two ways of finding new processes cost, as measured: smoothed, in ns."""

    def __init__(self) -> None:
        self._scan_ns = 0.0
        self._walk_ns = 0.0  # of one process

    def prefers_scan(self, processes: int, round_: int) -> bool:
        """Whether a scan costs less than to walk so many processes; now and then the opposite, to see what it costs."""
        return (self._scan_ns < self._walk_ns * processes) != (round_ % _COMPARE_ROUNDS == 0)

    def scanned(self, took_ns: int) -> None:
        self._scan_ns = _smoothed(self._scan_ns, took_ns)

    def walked(self, took_ns: int) -> None:
        self._walk_ns = _smoothed(self._walk_ns, took_ns)


def _smoothed(before_ns: float, took_ns: int) -> float:
    """What something costs by now. One that was interrupted, for a thousand times as long maybe, counts as no more."""
    if not before_ns:
        return took_ns
    return before_ns + max(-before_ns, min(took_ns - before_ns, before_ns)) * _SMOOTHING


class _Files:
    """How many files may be kept open: as many as the system allows, less what others need."""

    def __init__(self) -> None:
        self._free = _allowed_files() - _RESERVED_FILES

    def open(self, path: str) -> int | None:
        """A descriptor to keep, or ``None`` where there is no file or no room."""
        if self._free <= 0:
            return None
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        self._free -= 1
        return descriptor

    def close(self, descriptor: int) -> None:
        os.close(descriptor)
        self._free += 1


class _Kept:
    """A file of one process that is read again and again."""

    __slots__ = ("_descriptor", "_files", "_path")

    def __init__(self, path: str, files: _Files) -> None:
        self._path = path
        self._files = files
        self._descriptor: int | None = None

    def read(self) -> bytes:
        """Its content now; empty once its process has ended, or where it is hidden."""
        if self._descriptor is None:
            self._descriptor = self._files.open(self._path)
            if self._descriptor is None:
                return procfs.read(self._path)
        try:
            content = os.pread(self._descriptor, _READ_BYTES, 0)
        except OSError:
            return b""
        return content if len(content) < _READ_BYTES else procfs.read_whole(self._path)

    def close(self) -> None:
        if self._descriptor is not None:
            self._files.close(self._descriptor)
            self._descriptor = None


class _Process:
    """One process, its files kept open."""

    __slots__ = (
        "_bytes", "_changed", "_children", "_content", "_counted", "_io", "_listed", "_made", "_stat", "_told", "round",
        "stat",
    )  # fmt: skip

    def __init__(self, directory: str, pid: int, files: _Files) -> None:
        self._stat = _Kept(f"{directory}/stat", files)
        self._io = _Kept(f"{directory}/io", files)
        self._children = _Kept(f"{directory}/task/{pid}/children", files)
        self._content = b""
        self._counted = b""
        self._bytes: tuple[int, int] | None = None
        self._made: list[int] = []
        self._listed = self._told = -1  # the rounds in which children and bytes were read
        self._changed = 0
        self.stat: Stat | None = None
        self.round = -1
        self.look(0)

    def look(self, round_: int) -> bool:
        """Read its state; whether it is still there."""
        content = self._stat.read()
        if content != self._content:
            self._content, self.stat = content, procfs.parse_stat(content)
            self._changed = round_
        return bool(content)

    def children(self, round_: int, oldest: int) -> list[int]:
        """Children of its main thread, as of a round not before ``oldest`` where it has done nothing since."""
        if self._listed < oldest or self._listed < self._changed:
            self._listed, self._made = round_, [int(child) for child in self._children.read().split()]
        return self._made

    def disk_bytes(self, round_: int, oldest: int) -> tuple[int, int] | None:
        """Bytes read and written, as of a round as above."""
        if self._told < oldest or self._told < self._changed:
            self._told, content = round_, self._io.read()
            if content != self._counted:
                self._counted, self._bytes = content, procfs.parse_disk_bytes(content)
        return self._bytes

    def close(self) -> None:
        for file in (self._stat, self._io, self._children):
            file.close()


def _allowed_files() -> int:
    """Descriptors that this process may have open, after asking for as many as it may ask for."""
    resource = standard_resource()
    if resource is None:
        return 0
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    return most if soft == resource.RLIM_INFINITY else min(soft, _MOST_FILES)
