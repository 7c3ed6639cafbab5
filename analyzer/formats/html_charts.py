"""Pictures of a page as shapes: what was seen, in the units of a picture of `WIDTH` by `HEIGHT`.

What comes in: spreads, columns over runs, sorted values, hours. What goes out: frozen :class:`Chart` values: paths in
SVG's language, each with the class that colours it, and the words that stand for the picture where it cannot be seen.
A picture is stretched to the width it has, so that all text stands beside it. Pure; numbers alone become geometry.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.analyzer.spread import nice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from stepsize.analyzer.course import Sorted
    from stepsize.analyzer.spread import Spread

WIDTH, HEIGHT = 480, 96
_LEAST = 1.5
"""Height of what is hardly anything: a rare task is the one that matters, and is never invisible."""
_GAP = 0.2
"""Part of a column's width that parts it from the next."""
_HEADROOM = 1.04


@dataclass(frozen=True, slots=True)
class Shape:
    """A path and the class that says what it is."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A picture with its words.

    Attributes:
        title: what it shows, with the unit.
        summary: what can be seen in it, in sentences.
        upper: what its height is; empty where its height says nothing.
        left, right: what is at its sides.
        shapes: from the back to the front.
        key: class and meaning of each of them, in the order in which they are told.
    """

    title: str
    summary: str
    upper: str
    left: str
    right: str
    shapes: tuple[Shape, ...]
    key: tuple[tuple[str, str], ...]
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True, slots=True)
class Range:
    """What one column spans: from ``low`` to ``high``, with a mark at ``middle``; ``asked`` stood when it was seen."""

    low: float | None
    middle: float | None
    high: float | None
    asked: float | None = None


def nice_time(seconds: float) -> float:
    """As `nice`, of seconds: whole minutes, hours and days where there are any."""
    if seconds <= 30:
        return nice(seconds)
    unit = 60.0 if seconds <= 40 * 60 else 3600.0 if seconds <= 20 * 3600 else 86_400.0
    return unit * max(1.0, math.ceil(nice(seconds / unit)))


def top_of(ranges: Iterable[Range], advised: float | None, round_up: Callable[[float], float] = nice) -> float:
    """The value at the top of a picture of ``ranges``: a request far above all that was used is cut off, and is told.

    What is drawn in full is what was used, and what is advised; a request up to four times as high.
    """
    ranges = list(ranges)
    used = max([one.high or 0.0 for one in ranges] + [advised or 0.0])
    asked = max([one.asked or 0.0 for one in ranges], default=0.0)
    return round_up(_HEADROOM * (max(used, asked) if asked <= 4 * used else used))


def over_runs(ranges: Sequence[Range], advised: float | None, upper: float) -> tuple[Shape, ...]:
    """A bar from low to high for each range with a mark in its middle, the steps of what was asked, what is advised."""
    width = WIDTH / max(1, len(ranges))
    bars, marks = [], []
    for index, one in enumerate(ranges):
        left, wide = width * (index + _GAP / 2), width * (1 - _GAP)
        if one.high is not None:
            top, bottom = _y(one.high, upper), _y(one.low if one.low is not None else one.high, upper)
            if bottom - top < _LEAST:
                top, bottom = max(0.0, bottom - _LEAST), max(_LEAST, bottom)
            bars.append(_box(left, top, wide, bottom - top))
        if one.middle is not None:
            marks.append(f"M{_n(left)} {_n(_y(one.middle, upper))}h{_n(wide)}")
    shapes = [Shape("bar", "".join(bars)), Shape("mark", "".join(marks))]
    shapes.append(Shape("asked", _steps([one.asked for one in ranges], width, upper)))
    if advised is not None:
        shapes.append(Shape("advised", f"M0 {_n(_y(advised, upper))}H{WIDTH}"))
    return tuple(shape for shape in shapes if shape.path)


def stacked(columns: Sequence[Sequence[float]], kinds: Sequence[str], upper: float) -> tuple[Shape, ...]:
    """Each column's values on top of one another, a class for each place in it; none that is there is invisible."""
    width = WIDTH / max(1, len(columns))
    paths = [""] * len(kinds)
    for index, values in enumerate(columns):
        heights = [max(_LEAST, value / upper * HEIGHT) if value > 0 else 0.0 for value in values]
        fitting, bottom = min(1.0, HEIGHT / max(1.0, math.fsum(heights))), float(HEIGHT)
        for place, tall in enumerate(heights):
            if tall > 0:
                height = tall * fitting
                paths[place] += _box(width * (index + _GAP / 2), bottom - height, width * (1 - _GAP), height)
                bottom -= height
    return tuple(Shape(kind, path) for kind, path in zip(kinds, paths, strict=True) if path)


def histogram(spread: Spread, asked: float | None, advised: float | None) -> tuple[Shape, ...]:
    """The columns of a spread, and where request and advice lie on its axis."""
    tallest = max(spread.weights)
    width = WIDTH / len(spread.weights)
    path = ""
    for index, weight in enumerate(spread.weights):
        if weight > 0:
            height = max(_LEAST, weight / tallest * (HEIGHT - 4))
            path += _box(width * (index + _GAP / 2), HEIGHT - height, width * (1 - _GAP), height)
    shapes = [Shape("solid", path)]
    for kind, value in (("asked", asked), ("advised", advised)):
        if value is not None and value <= spread.upper:
            shapes.append(Shape(kind, f"M{_n(value / spread.upper * WIDTH)} 0V{HEIGHT}"))
    return tuple(shapes)


def rising(values: Sorted, asked: float | None, advised: float | None, upper: float) -> tuple[Shape, ...]:
    """Sorted values as columns, and the heights of request and advice."""
    width = WIDTH / len(values.values)
    path = ""
    for index, value in enumerate(values.values):
        height = max(_LEAST, HEIGHT - _y(value, upper))
        path += _box(width * (index + _GAP / 2), HEIGHT - height, width * (1 - _GAP), height)
    shapes = [Shape("solid", path)]
    for kind, mark in (("asked", asked), ("advised", advised)):
        if mark is not None and mark <= upper:
            shapes.append(Shape(kind, f"M0 {_n(_y(mark, upper))}H{WIDTH}"))
    return tuple(shapes)


def beside(parts: Sequence[tuple[str, float]], height: int) -> tuple[Shape, ...]:
    """Parts of a whole, next to one another."""
    whole = math.fsum(value for _, value in parts)
    shapes, left = [], 0.0
    for kind, value in parts:
        wide = value / whole * WIDTH if whole else 0.0
        if wide > 0:
            shapes.append(Shape(kind, _box(left, 0, wide, height)))
        left += wide
    return tuple(shapes)


def lane(at_once: Sequence[int], began: float, ended: float, height: int) -> str:
    """A profile of how many ran at once, from ``began`` to ``ended`` (parts of the picture's width)."""
    most = max(at_once, default=0)
    if not most:
        return ""
    span = max((ended - began) * WIDTH, 1.5)
    left = min(began * WIDTH, WIDTH - span)
    # No part is narrower than what can be seen: neighbours share one, in which the most of them counts.
    parts = min(len(at_once), max(1, int(span)))
    at_once = [max(at_once[n * len(at_once) // parts : (n + 1) * len(at_once) // parts]) for n in range(parts)]
    width = span / parts
    path, index = "", 0
    while index < len(at_once):
        count, start = at_once[index], index
        while index < len(at_once) and at_once[index] == count:
            index += 1
        if count:
            # One of many is seen too: at least a fifth of the height.
            tall = height * (0.2 + 0.8 * count / most) if most > 1 else float(height)
            path += _box(left + start * width, height - tall, (index - start) * width, tall)
    return path


def ticks(places: Iterable[float], height: int) -> str:
    """A line across the lane at each of these parts of its width."""
    return "".join(f"M{_n(min(WIDTH - 1.0, max(1.0, place * WIDTH)))} 0V{height}" for place in places)


def length(value: float | None, longest: float) -> float | None:
    """``value`` as a part of the width."""
    return None if value is None or not longest else round(value / longest * WIDTH, 1)


def _steps(values: Sequence[float | None], width: float, upper: float) -> str:
    """A line along values that hold until the next; one above the picture is not drawn."""
    path, before = "", None
    for index, value in enumerate(values):
        height = None if value is None or value > upper else _n(_y(value, upper))
        if height is None:
            before = None
            continue
        path += (f"V{height}" if height != before else "") if before is not None else f"M{_n(index * width)} {height}"
        path += f"H{_n((index + 1) * width)}"
        before = height
    return path


def text_of_key(key: Sequence[tuple[str, str]], shapes: Sequence[Shape]) -> tuple[tuple[str, str], ...]:
    """Of ``key`` what is there."""
    there = {shape.kind for shape in shapes}
    return tuple((kind, label) for kind, label in key if kind in there)


def in_columns(rows: Iterable[Sequence[float]], pick: Callable[[Sequence[float]], float] = sum) -> float:
    """The height of the tallest column; at least 1."""
    return max([1.0, *(float(pick(row)) for row in rows)])


def _y(value: float, upper: float) -> float:
    return HEIGHT * (1 - min(1.0, max(0.0, value / upper)))


def _box(left: float, top: float, width: float, height: float) -> str:
    return f"M{_n(left)} {_n(top)}h{_n(width)}v{_n(height)}h-{_n(width)}z"


def _n(value: float) -> str:
    """A coordinate to a tenth, as short as it can be."""
    return f"{value:.1f}".removesuffix(".0")
