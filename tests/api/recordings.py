"""Recordings of known samples, without an agent."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, Any

from stepsize.api.facts import Facts
from stepsize.api.recorded import Recorded
from stepsize.api.stream import Stream
from stepsize.instrumentation.recording import HOST_FIELDS, TASK_FIELDS, TIME
from stepsize.model import Identity, Outcome
from stepsize.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from stepsize.instrumentation.recording import Field

START_S = 1_700_000_000.0
GIB = 2**30


def stream(fields: Sequence[Field], columns: Mapping[str, Sequence[float | None]]) -> Stream:
    """A stream that holds these columns; None is what could not be read."""
    found = Stream(fields)
    found.load({name: array("d", [math.nan if v is None else v for v in values]) for name, values in columns.items()})
    return found


def recorded(
    data: Path,
    *,
    task: Mapping[str, Sequence[float | None]] | None = None,
    host: Mapping[str, Sequence[float | None]] | None = None,
    name: str = "1",
    **facts: Any,
) -> Recorded:
    """A recording of an attempt that began at `START_S`; times are seconds since then."""
    streams = []
    for fields, columns in ((TASK_FIELDS, task), (HOST_FIELDS, host)):
        given = dict(columns or {TIME: ()})
        given[TIME] = [START_S + (moment or 0.0) for moment in given[TIME]]
        streams.append(stream(fields, given))
    identity = facts.pop("identity", None) or Identity("Flow", "1", "step", name, user="ann")
    last_s = max((s.last_s for s in streams), default=START_S)
    known = {"started_s": START_S, "ended_s": max(START_S, last_s), "outcome": Outcome.OK, **facts}
    return Recorded(Facts(identity, 42, **known), *streams, Settings(data=data))


def steady(seconds: int, cores: float = 2.0, memory_bytes: float = GIB) -> dict[str, list[float | None]]:
    """One sample a second of an even load."""
    moments = range(1, seconds + 1)
    return {
        TIME: [float(s) for s in moments],
        "cpu_user_s": [cores * s for s in moments],
        "cpu_system_s": [0.0] * seconds,
        "cpu_cores": [cores] * seconds,
        "memory_bytes": [memory_bytes] * seconds,
        "memory_peak_bytes": [memory_bytes] * seconds,
        "processes": [3.0] * seconds,
    }
