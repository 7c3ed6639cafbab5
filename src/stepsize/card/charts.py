"""From envelopes to the geometry of a chart: paths in SVG's own language.

What comes in: envelopes of task and host, and lines across. What goes out: frozen charts, in a picture of `WIDTH` by
`HEIGHT`. The highest value of each span is on the curve, whatever the size of the picture. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.analyzer.spread import nice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.card.series import Envelope, Span

WIDTH, HEIGHT = 600, 120
_LEAST_GAP_S = 5.0
"""A pause in the samples that is shorter is no gap in the curve."""
_HEADROOM = 1.05


@dataclass(frozen=True, slots=True)
class Line:
    """A value that holds all the time: what was asked for, what there is."""

    label: str
    kind: str
    value: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """One curve: ``outline`` along the highest values, ``area`` below it, ``band`` from the lowest to the highest."""

    label: str
    kind: str
    outline: str
    area: str
    band: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A line across the picture at the height ``y``."""

    label: str
    kind: str
    y: float


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture; ``upper`` is the value at its top, ``span_s`` the time from its left to its right."""

    upper: float
    span_s: float
    drawings: tuple[Drawing, ...]
    marks: tuple[Mark, ...]


def draw(
    curves: Sequence[tuple[str, str, Envelope]], lines: Sequence[Line], span_s: float, interval_s: float = 1.0
) -> Chart | None:
    """A chart of curves (label, kind, values), the last one on top; ``None`` where none has a value.

    Lines count for the height as long as the curves do not become flat: one more than twice as high as they are is left
    out.

    Args:
        curves: what to draw.
        lines: across.
        span_s: seconds from left to right, at least; a curve that is longer makes it longer.
        interval_s: seconds between two values.
    """
    seen = [(label, kind, curve) for label, kind, curve in curves if curve.highest is not None]
    if not seen:
        return None
    tallest = max(curve.highest or 0.0 for _, _, curve in seen)
    near = [line for line in lines if 0 < line.value <= 2 * tallest]
    upper = nice(max([tallest, *(line.value for line in near)]) * _HEADROOM)
    span_s = max(span_s, *(curve.end_s for _, _, curve in seen))
    gap_s = max(_LEAST_GAP_S, 3 * interval_s)
    return Chart(
        upper=upper,
        span_s=span_s,
        drawings=tuple(_drawing(label, kind, curve, upper, span_s, gap_s) for label, kind, curve in seen),
        marks=tuple(Mark(line.label, line.kind, _y(line.value, upper)) for line in near),
    )


def _drawing(label: str, kind: str, curve: Envelope, upper: float, span_s: float, gap_s: float) -> Drawing:
    outline, area, band = [], [], []
    for run in curve.runs(gap_s):
        top = [(_x(time_s, span_s), _y(span.highest, upper)) for time_s, span in _widened(run, curve.span_s)]
        low = [(_x(time_s, span_s), _y(span.lowest, upper)) for time_s, span in _widened(run, curve.span_s)]
        outline.append(_path(top))
        area.append(f"{_path([(top[0][0], HEIGHT), *top, (top[-1][0], HEIGHT)])}Z")
        if top != low:
            band.append(f"{_path([*top, *reversed(low)])}Z")
    return Drawing(label, kind, "".join(outline), "".join(area), "".join(band))


def _widened(run: list[tuple[float, Span]], span_s: float) -> list[tuple[float, Span]]:
    """A value that stands alone is drawn as long as its span: a point would not be seen."""
    if len(run) > 1:
        return run
    time_s, span = run[0]
    return [(time_s - span_s / 2, span), (time_s + span_s / 2, span)]


def _x(time_s: float, span_s: float) -> float:
    return round(min(1.0, time_s / span_s) * WIDTH, 1)


def _y(value: float, upper: float) -> float:
    return round(HEIGHT * (1 - min(1.0, max(0.0, value / upper))), 1)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in points)
