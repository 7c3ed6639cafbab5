"""Small charts as SVG, drawn without a library: lines over a logarithmic axis, groups of bars, a curve among points.

What comes in: numbers with their names. What goes out: the text of an SVG file, readable on light and dark pages.
Pure. The same numbers give the same bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_WIDTH, _HEIGHT = 640, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 40, 84
_NARROWEST_TOLD = 20
"""Of narrower bars the numbers would lie on each other."""
_LETTER = 6.2
"""How wide a letter is, about."""
_COLOURS = ("#4477aa", "#ee6677", "#228833", "#aa3377")
"""Of Paul Tol's bright scheme, which colour-blind readers can tell apart."""
_STYLE = (
    "text{font-family:sans-serif;font-size:12px;fill:#222}.grid{stroke:#ccc}.goal{stroke:#222;stroke-dasharray:5 4}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.grid{stroke:#555}.goal{stroke:#ddd}}"
)


@dataclass(frozen=True, slots=True)
class Goal:
    """A line across the chart, and what it says."""

    value: float
    name: str


def lines(title: str, below: str, series: Mapping[str, Sequence[tuple[float, float]]], goal: Goal | None = None) -> str:
    """Points joined by lines, over a logarithmic axis that ``below`` names; y begins at 0."""
    xs = sorted({x for points in series.values() for x, _ in points})
    top = _top([y for points in series.values() for _, y in points], goal)
    low, high = math.log(xs[0]), math.log(xs[-1])

    def across(x: float) -> float:
        return _LEFT + 24 + (math.log(x) - low) / ((high - low) or 1.0) * (_WIDTH - _LEFT - _RIGHT - 48)

    drawn = [_text(across(x), _HEIGHT - _BOTTOM + 18, f"{x:,g}", "middle") for x in xs]
    for colour, points in zip(_COLOURS, series.values(), strict=False):
        path = " ".join(f"{across(x):.1f},{_down(y, top):.1f}" for x, y in points)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn += [f'<circle cx="{across(x):.1f}" cy="{_down(y, top):.1f}" r="3" fill="{colour}"/>' for x, y in points]
    return _chart(title, below, top, list(series), goal, drawn)


def bars(title: str, below: str, groups: Mapping[str, Mapping[str, float]], goal: Goal | None = None) -> str:
    """A group of bars for each of ``groups``, its bars in the order of their names' first appearance."""
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    top = _top([value for group in groups.values() for value in group.values()], goal)
    step = (_WIDTH - _LEFT - _RIGHT) / len(groups)
    wide = step * 0.8 / len(names)
    drawn = []
    for place, (group, values) in enumerate(groups.items()):
        left = _LEFT + step * (place + 0.1)
        middle = left + step * 0.4
        drawn += [
            _text(middle, _HEIGHT - _BOTTOM + 18 + 14 * row, line, "middle") for row, line in enumerate(_wrapped(group))
        ]
        for number, name in enumerate(names):
            if name in values:
                y = _down(values[name], top)
                x = left + number * wide
                height = _HEIGHT - _BOTTOM - y
                colour = _COLOURS[number]
                drawn.append(
                    f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide * 0.9:.1f}" height="{height:.1f}" fill="{colour}"/>'
                )
                if wide >= _NARROWEST_TOLD:
                    drawn.append(_text(x + wide * 0.45, y - 4, f"{values[name]:.3g}", "middle"))
    return _chart(title, below, top, names, goal, drawn)


def trade_off(
    title: str, below: str, name: str, curve: Sequence[tuple[float, float]], points: Mapping[str, tuple[float, float]]
) -> str:
    """A curve called ``name`` among named points, over two logarithmic axes; further down and left is better."""
    everything = [*curve, *points.values()]
    across = _logarithmic([x for x, _ in everything], _LEFT + 12, _WIDTH - _RIGHT - 90)
    up = _logarithmic([y for _, y in everything], _HEIGHT - _BOTTOM - 8, _TOP + 8)
    at_x = _round_numbers([x for x, _ in everything])
    drawn = [_text(across(x), _HEIGHT - _BOTTOM + 18, f"{x:g}", "middle") for x in at_x]
    for y in _round_numbers([y for _, y in everything]):
        drawn.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{up(y):.1f}" y2="{up(y):.1f}" class="grid"/>')
        drawn.append(_text(_LEFT - 6, up(y) + 4, f"{y:g}", "end"))
    placed = [(across(x) - 3, up(y) - 3, across(x) + 3, up(y) + 3) for x, y in everything]
    for place, (x, y) in sorted(points.items(), key=lambda point: point[1]):
        drawn.append(f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3" fill="{_COLOURS[1]}"/>')
        drawn.append(_beside(across(x), up(y), place, placed))
    path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in curve)
    drawn.append(f'<polyline points="{path}" fill="none" stroke="{_COLOURS[0]}" stroke-width="2"/>')
    drawn += [f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3" fill="{_COLOURS[0]}"/>' for x, y in curve]
    return _framed(title, below, [name, "published rules"], drawn)


def _beside(x: float, y: float, name: str, placed: list[tuple[float, float, float, float]]) -> str:
    """A name beside its point, where it lies on nothing that is ``placed`` (left, top, right, bottom) if there is such
    a place; it is placed then."""
    wide = _LETTER * len(name)
    places = [(left, y + down) for down in (4, -8, 16, -20, 28, -32) for left in (x + 6, x - 6 - wide)]
    inside = [(left, base) for left, base in places if left > _LEFT and left + wide < _WIDTH]
    free = [
        at for at in inside if not any(_overlap((at[0], at[1] - 10, at[0] + wide, at[1] + 2), box) for box in placed)
    ]
    left, base = (free or inside or places)[0]
    placed.append((left, base - 10, left + wide, base + 2))
    return _text(left, base, name)


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _logarithmic(values: Sequence[float], first: float, last: float) -> Callable[[float], float]:
    low, high = math.log(min(values)), math.log(max(values))
    return lambda value: first + (math.log(value) - low) / ((high - low) or 1.0) * (last - first)


def _round_numbers(values: Sequence[float]) -> list[float]:
    """Numbers to write at an axis that goes over these values."""
    exponents = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
    steps = (1.0, 1.2, 1.5, 2.0, 3.0, 5.0) if max(values) < 40 * min(values) else (1.0, 3.0)
    numbers = [round(step * 10.0**exponent, 9) for exponent in exponents for step in steps]
    return [number for number in numbers if min(values) <= number <= max(values)]


def _chart(title: str, below: str, top: float, names: list[str], goal: Goal | None, drawn: list[str]) -> str:
    parts = []
    for step in range(5):
        y = _down(top * step / 4, top)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{top * step / 4:.3g}", "end"))
    parts += drawn
    if goal is not None:
        y = _down(goal.value, top)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="goal"/>')
        parts.append(_text(_WIDTH - _RIGHT, y - 4, goal.name, "end"))
    return _framed(title, below, names, parts)


def _framed(title: str, below: str, names: Sequence[str], drawn: Sequence[str]) -> str:
    """What is drawn, under its title, above the name of its axis and the legend."""
    parts = [_text(_LEFT, 20, title, weight="bold"), *drawn]
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 30, below, "middle"))
    x = float(_LEFT)
    for colour, name in zip(_COLOURS, names, strict=False):
        parts.append(f'<rect x="{x:.1f}" y="{_HEIGHT - 18}" width="10" height="10" fill="{colour}"/>')
        parts.append(_text(x + 15, _HEIGHT - 9, name))
        x += 30 + 6.6 * len(name)
    body = "\n".join(parts)
    size = f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n<style>{_STYLE}</style>\n{body}\n</svg>\n'


def _top(values: Sequence[float], goal: Goal | None) -> float:
    """A round number that all values lie below."""
    most = max([*values, goal.value if goal else 0.0]) * 1.1
    unit = 10 ** math.floor(math.log10(most))
    return next(unit * step for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if unit * step >= most)


def _down(y: float, top: float) -> float:
    return _TOP + (1 - y / top) * (_HEIGHT - _TOP - _BOTTOM)


def _text(x: float, y: float, text: str, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'


def _wrapped(text: str) -> list[str]:
    """In two lines, where it has a comma to be broken at."""
    first, comma, rest = text.partition(", ")
    return [first + comma.strip(), rest] if comma else [text]
