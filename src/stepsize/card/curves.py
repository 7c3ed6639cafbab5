"""From a recording to what a card draws: each value of task and host over time.

What comes in: the streams of a recording, as they grow. What goes out: one `Envelope` for each `Curve`. Each record is
looked at once. Writes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.card.series import Envelope
from stepsize.instrumentation.recording import TIME

if TYPE_CHECKING:
    from stepsize.api.stream import Stream


@dataclass(frozen=True, slots=True)
class Curve:
    """A value over time, made of fields of a record that are added up.

    Attributes:
        name: of the curve.
        fields: of the record.
        rate: whether the fields are sums, of which the growth in a second counts.
    """

    name: str
    fields: tuple[str, ...]
    rate: bool = False


TASK_CURVES = (
    Curve("cpu", ("cpu_cores",)),
    Curve("memory", ("memory_bytes",)),
    Curve("disk", ("disk_read_bytes", "disk_write_bytes"), rate=True),
    Curve("gpu", ("gpu_utilization",)),
    Curve("vram", ("gpu_memory_bytes",)),
)
HOST_CURVES = (
    Curve("cpu", ("cpu_user_s", "cpu_system_s"), rate=True),
    Curve("memory", ("memory_used_bytes",)),
    Curve("disk", ("disk_read_bytes", "disk_write_bytes"), rate=True),
    Curve("received", ("net_received_bytes",), rate=True),
    Curve("sent", ("net_sent_bytes",), rate=True),
    Curve("gpu", ("gpu_utilization",)),
    Curve("vram", ("gpu_memory_bytes",)),
)


class Drawn:
    """The curves of one stream.

    Args:
        curves: what to make of it.
        start_s: where the axis of time begins, seconds since 1970.
        zero: whether sums were zero then, as an attempt's are.
    """

    def __init__(self, curves: tuple[Curve, ...], start_s: float, *, zero: bool) -> None:
        self._curves = curves
        self._rows = 0
        first = (start_s, 0.0) if zero else (math.nan, math.nan)
        self._before = {curve.name: first for curve in curves}
        self.envelopes = {curve.name: Envelope(start_s) for curve in curves}

    def take(self, stream: Stream) -> None:
        """Look at the records that have come."""
        times = stream.columns[TIME]
        for curve in self._curves:
            columns = [stream.columns[name] for name in curve.fields]
            envelope = self.envelopes[curve.name]
            for row in range(self._rows, len(times)):
                value = math.fsum(column[row] for column in columns)
                if curve.rate:
                    value = self._grown(curve.name, times[row], value)
                envelope.add(times[row], value)
        self._rows = len(times)

    def _grown(self, name: str, time_s: float, value: float) -> float:
        """By how much a sum has grown a second since it was last read; not a number where that is not known."""
        if math.isnan(value):
            return math.nan
        before_s, before = self._before[name]
        self._before[name] = time_s, value
        elapsed_s = time_s - before_s
        return max(0.0, value - before) / elapsed_s if elapsed_s > 0 else math.nan
