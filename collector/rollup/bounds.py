"""What the roll-up believes of what senders say: bounds of figures by unit, and of clocks.

What comes in: figures, columns of points. What goes out: those that can be true. Never does I/O. The exact points are
stored whatever they say; this keeps one sender's nonsense out of the rows that everybody's report is made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from stepsize import model
from stepsize.model import Attr

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stepsize.collector.decode.series import NumberPoints
    from stepsize.collector.limits import ClockBounds

_CORES, _SECONDS, _BYTES, _BYTES_PER_SECOND, _GPUS, _TIMES = 1e6, 1e10, 2.0**60, 1e14, 1e5, 1e9

_BY_UNIT: Mapping[str, float] = {
    "{cpu}": _CORES,
    "s": _SECONDS,
    "By": _BYTES,
    "By/s": _BYTES_PER_SECOND,
    "1": _TIMES,
}
MOST: Mapping[str, float] = {
    **{metric.name: _BY_UNIT[metric.unit] for metric in model.METRICS.values() if metric.unit in _BY_UNIT},
    model.TASK_GPU_UTILIZATION.name: _GPUS,
    model.TASK_GPU_COUNT.name: _GPUS,
    Attr.REQUEST_CPU: _CORES,
    Attr.REQUEST_MEMORY: _BYTES,
    Attr.REQUEST_GPU: _GPUS,
    Attr.REQUEST_DISK: _BYTES,
    "process.exit.code": 2.0**31 - 1,
    "process.exit.signal": 2.0**31 - 1,
}
"""Metric or attribute → the highest figure that is believed, in its unit; none is negative."""

MOST_CORES = _CORES
EARLIEST_NS = 946_684_800 * 10**9
"""2000-01-01: no attempt is older, whatever clocks say."""


class Sample(NamedTuple):
    """A value with its time and, of a sum, the time since when it counts (0: not known); nanoseconds since 1970."""

    time_ns: int
    start_ns: int
    value: float


def figure(name: str, value: object) -> float | None:
    """What an attribute says, as a number; None where it is none, or cannot be true."""
    if not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number <= MOST[name] else None


def believed_times(points: NumberPoints, clock: ClockBounds) -> Sequence[int]:
    """Time of each point in nanoseconds since 1970: of its arrival where the sender's clock is wrong."""
    past_ns, future_ns = clock.past_s * 1e9, clock.future_s * 1e9
    times, received = points.time, points.received
    if min(times) >= max(received) - past_ns and max(times) <= min(received) + future_ns:
        return times  # nearly always
    return [
        time if -past_ns <= time - arrival <= future_ns else arrival
        for time, arrival in zip(times, received, strict=True)
    ]


def believed_starts(points: NumberPoints, clock: ClockBounds) -> list[int]:
    """Start times of the points of a sum, without those that are not known or cannot be true."""
    past_ns, future_ns = clock.past_s * 1e9, clock.future_s * 1e9
    return [
        start
        for start, arrival in zip(points.start, points.received, strict=True)
        if start > 0 and -past_ns <= start - arrival <= future_ns
    ]


def believed_samples(points: NumberPoints, times: Sequence[int], most: float) -> list[Sample]:
    """The points with a value from 0 to ``most``, at ``times``, in order of arrival."""
    columns = zip(times, points.start, points.kinds, points.double, points.integer, strict=True)
    return [
        Sample(time, start, float(value))
        for time, start, kind, double, integer in columns
        if kind and 0 <= (value := double if kind == 1 else integer) <= most
    ]
