"""What the roll-up believes of what senders say: bounds of figures by unit, and of clocks.

What comes in: figures, columns of points. What goes out: those that can be true. Never does I/O. The exact points are
stored whatever they say; this keeps one sender's nonsense out of the rows that everybody's report is made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.compute as pc

from stepsize import model
from stepsize.model import Attr

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

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
    Attr.REQUEST_TIMEOUT: _SECONDS,
    "process.exit.code": 2.0**31 - 1,
    "process.exit.signal": 2.0**31 - 1,
}
"""Metric or attribute → the highest figure that is believed, in its unit; none is negative."""

MOST_CORES = _CORES
EARLIEST_NS = 946_684_800 * 10**9
"""2000-01-01: no attempt is older, whatever clocks say."""


def figure(name: str, value: object) -> float | None:
    """What an attribute says, as a number; None where it is none, or cannot be true."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number <= MOST[name] else None


def believed_times(times: pa.ChunkedArray, received: pa.ChunkedArray, clock: ClockBounds) -> pa.ChunkedArray:
    """Times in nanoseconds since 1970: of the arrival where the sender's clock is wrong."""
    return pc.if_else(is_believed(times, received, clock), times, received)


def is_believed(times: pa.ChunkedArray, received: pa.ChunkedArray, clock: ClockBounds) -> pa.ChunkedArray:
    """Whether times lie within the bounds around those of their arrival."""
    ahead_ns = pc.subtract(times, received)
    past_ns, future_ns = round(clock.past_s * 1e9), round(clock.future_s * 1e9)
    return pc.and_(pc.greater_equal(ahead_ns, -past_ns), pc.less_equal(ahead_ns, future_ns))
