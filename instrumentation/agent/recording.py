"""Writes recordings: what is sampled of an attempt and of the host, for the process that asked to see it at once.

What comes in: two open files and observations. What goes out: records as `stepsize.instrumentation.recording` has
them, each whole. Never waits, never raises: a file that cannot be written (a full disk) is let go of, and nothing else
comes of it.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import stat
import struct
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepsize.instrumentation.agent.probes.system import SLOW_EVERY
from stepsize.instrumentation.recording import HOST_FIELDS, MAX_RECORDS, TASK_FIELDS, Fold, record_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stepsize.instrumentation.agent.probes.observation import Attributes, Observation
    from stepsize.instrumentation.recording import Field

FILES = 2
"""Descriptors of a recording, the attempt's first, then the host's."""
_FRESH_NS = 2 * 10**9
"""The host as it was longer ago is no beginning of a recording."""
_MAX_SERIES = 4096
_APART_HOLDS = 2
"""Readings come about as often as samples do: one that is late leaves no gap, a lost device is not seen for long."""
_PART = "hw.id"
"""A point with this attribute is of one device among several."""

_log = logging.getLogger(__name__)


class Packer:
    """Turns the observations of one moment into a record.

    Args:
        fields: of the record.
    """

    def __init__(self, fields: tuple[Field, ...]) -> None:
        self._fields = fields
        self._struct = struct.Struct(f"={1 + len(fields)}d")
        self._indexes: dict[str, list[int]] = {}
        for index, row in enumerate(fields):
            self._indexes.setdefault(row.metric.name, []).append(index)
        self._slow = tuple(index for index, row in enumerate(fields) if row.slow)
        self._held = [math.nan] * len(fields)
        self._apart: dict[int, float] = {}
        self._apart_left = 0
        self._places: dict[tuple[str, Attributes], tuple[tuple[int, bool], ...]] = {}

    def pack(self, time_unix_nano: int, observations: Iterable[Observation]) -> bytes | None:
        """The record of one sample; ``None`` where nothing of it makes one.

        What is not among the observations is NaN, or as it was where it is slow. What is read apart waits for the next
        sample, and holds for one more.
        """
        wholes: dict[int, float] = {}
        parts: dict[int, float] = {}
        for observation in observations:
            for index, is_part in self._places_of(observation):
                value = float(observation.value)
                if self._fields[index].fold is Fold.BUSY:
                    value = float(value > 0)
                sums = parts if is_part else wholes
                sums[index] = sums.get(index, 0.0) + value
        found = parts | wholes
        apart = {index: value for index, value in found.items() if self._fields[index].apart}
        if apart:
            self._apart, self._apart_left = apart, _APART_HOLDS
        if len(apart) == len(found):
            return None
        if self._apart_left:
            self._apart_left -= 1
            found |= self._apart
        values = self._held.copy()
        for index, value in found.items():
            values[index] = value
        for index in self._slow:
            self._held[index] = values[index]
        return self._struct.pack(time_unix_nano / 1e9, *values)

    def _places_of(self, observation: Observation) -> tuple[tuple[int, bool], ...]:
        """The fields that an observation counts for, and whether as a part; looked up once for each series."""
        key = observation.metric.name, observation.attributes
        found = self._places.get(key)
        if found is None:
            found = tuple(self._matching(observation))
            if len(self._places) < _MAX_SERIES:
                self._places[key] = found
        return found

    def _matching(self, observation: Observation) -> Iterable[tuple[int, bool]]:
        attributes = dict(observation.attributes)
        for index in self._indexes.get(observation.metric.name, ()):
            where = self._fields[index].where
            if where is None or attributes.get(where[0]) in where[1]:
                yield index, _PART in attributes


class _File:
    """Appends whole records to one file, until it holds as many as it may."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self._end = 0
        self._limit = 0
        with contextlib.suppress(OSError):
            found = os.fstat(descriptor)
            if stat.S_ISREG(found.st_mode):  # anything else could make the agent wait
                self._end = found.st_size // size * size  # an agent before this one may have written some
                self._limit = MAX_RECORDS * size

    def append(self, record: bytes) -> None:
        if self._end >= self._limit:
            return
        try:
            written = os.pwrite(self._descriptor, record, self._end)
            if written == len(record):
                self._end += written
                return
            os.ftruncate(self._descriptor, self._end)
            _log.warning("a recording ends here: the disk is full")
        except OSError as error:
            _log.warning("a recording ends here: %s", error)
        self._limit = 0

    def close(self) -> None:
        os.close(self._descriptor)


class Recording:
    """The two files of one attempt."""

    def __init__(self, task: int, host: int) -> None:
        self._task = _File(task, record_bytes(TASK_FIELDS))
        self._host = _File(host, record_bytes(HOST_FIELDS))
        self._packer = Packer(TASK_FIELDS)

    def add(self, time_unix_nano: int, observations: Iterable[Observation]) -> None:
        """Append a sample of the attempt."""
        record = self._packer.pack(time_unix_nano, observations)
        if record is not None:
            self._task.append(record)

    def add_host(self, record: bytes) -> None:
        """Append a sample of the host."""
        self._host.append(record)

    def close(self) -> None:
        """Let go of the files."""
        self._task.close()
        self._host.close()


@dataclass(slots=True)
class Recordings:
    """Every recording that an agent writes now; the host's samples go to each of them."""

    _open: dict[str, Recording] = field(default_factory=dict)
    _host: Packer = field(default_factory=lambda: Packer(HOST_FIELDS))
    _latest: tuple[int, bytes] = (0, b"")
    _recent: deque[tuple[int, Iterable[Observation]]] = field(default_factory=lambda: deque(maxlen=2 * SLOW_EVERY))

    def open(self, instance_id: str, time_unix_nano: int, descriptors: Sequence[int]) -> None:
        """Begin to write the recording of an attempt; the descriptors are this one's to close from now on."""
        if len(descriptors) != FILES or instance_id in self._open:
            for descriptor in descriptors:
                os.close(descriptor)
            return
        recording = self._open[instance_id] = Recording(*descriptors)
        latest = self._pack_recent()
        if time_unix_nano - self._latest[0] < _FRESH_NS:
            recording.add_host(latest)  # what the host's sums are counted from

    def add(self, instance_id: str, time_unix_nano: int, observations: Sequence[Observation]) -> None:
        """Take a sample of an attempt, whether it is recorded or not."""
        recording = self._open.get(instance_id)
        if recording is not None and observations:
            recording.add(time_unix_nano, observations)

    def add_host(self, time_unix_nano: int, observations: Iterable[Observation]) -> None:
        """Take a sample of the host."""
        self._recent.append((time_unix_nano, observations))
        if self._open:
            before = self._latest
            record = self._pack_recent()
            for recording in self._open.values() if self._latest is not before else ():
                recording.add_host(record)

    def _pack_recent(self) -> bytes:
        """The latest record; what is slow holds from the samples before, which are packed once there is a need."""
        for time_unix_nano, observations in self._recent:
            record = self._host.pack(time_unix_nano, observations)
            if record is not None:
                self._latest = time_unix_nano, record
        self._recent.clear()
        return self._latest[1]

    def close(self, instance_id: str) -> None:
        """The attempt is over."""
        recording = self._open.pop(instance_id, None)
        if recording is not None:
            recording.close()
