"""Works out what a process tree holds, and the most that it ever held.

What comes in: resident memory and VmHWM of the tree's live processes, sample by sample. What goes out: bytes now, and
the highest true peak. Pure: no I/O.

VmHWM catches what lies between two samples, but only per process, and without saying when. So a process whose VmHWM
grew since the last sample is taken to have stood at it, beside what the others hold now: a spike of 0.15 s is in the
peak, the peak of a single process is its VmHWM exactly, processes that follow one another are never added up, and
those that grow within one interval are taken to do so together, which can only be too much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ProcessMemory(NamedTuple):
    """One process at one sample.

    Attributes:
        key: the process, pid and start, so that a number that is given out again is another one.
        usage_bytes: what it holds; of memory that a fork shares, its part.
        resident_bytes: its RSS.
        peak_bytes: its VmHWM; its RSS where that cannot be read.
        inherited: whether it was forked off and has executed nothing: its VmHWM began as its parent's.
    """

    key: tuple[int, int]
    usage_bytes: int
    resident_bytes: int
    peak_bytes: int
    inherited: bool = False


class MemoryLedger:
    """The memory of one tree."""

    def __init__(self) -> None:
        self._peaks: dict[tuple[int, int], int] = {}
        self._last: dict[tuple[int, int], int] = {}
        self._stood_bytes = 0
        self.peak_bytes = 0

    @property
    def source(self) -> str:
        """Where the peak comes from, as in `stepsize.model.Attr.MEMORY_SOURCE`."""
        # Below where a process stood before, VmHWM says nothing of what came after.
        return "samples" if self.peak_bytes <= self._stood_bytes else "vmhwm"

    def stand(self, peaks_bytes: Mapping[tuple[int, int], int]) -> None:
        """Where VmHWM of the processes stood when the attempt began: only what goes beyond is the attempt's."""
        self._peaks = dict(peaks_bytes)
        self._stood_bytes = max(peaks_bytes.values(), default=0)

    def update(self, processes: Sequence[ProcessMemory]) -> int:
        """Bytes that the tree holds now; `peak_bytes` holds the most so far."""
        usage = sum(process.usage_bytes for process in processes)
        highest = usage
        for process in processes:
            before = self._peaks.get(process.key)
            if before is None and process.inherited:
                before = process.peak_bytes
            if before is None or process.peak_bytes > before:
                highest += max(0, process.peak_bytes - process.resident_bytes)
        self._peaks = {process.key: process.peak_bytes for process in processes}
        self._last = {process.key: process.usage_bytes for process in processes}
        self.peak_bytes = max(self.peak_bytes, highest)
        return usage

    def final(self, key: tuple[int, int], peak_bytes: int) -> int:
        """The tree's peak, given a process's last VmHWM."""
        if peak_bytes > self._peaks.get(key, 0):
            others = sum(usage for other, usage in self._last.items() if other != key)
            self.peak_bytes = max(self.peak_bytes, peak_bytes + others)
        return self.peak_bytes
