"""Small charts as SVG, drawn without a library: lines over a logarithmic axis, and groups of bars.

What comes in: numbers with their names. What goes out: the text of an SVG file, readable on light and dark pages.
Pure. The same numbers give the same bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WIDTH, _HEIGHT = 640, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 40, 84
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
                drawn.append(_text(x + wide * 0.45, y - 4, f"{values[name]:.3g}", "middle"))
    return _chart(title, below, top, names, goal, drawn)


def _chart(title: str, below: str, top: float, names: list[str], goal: Goal | None, drawn: list[str]) -> str:
    parts = [_text(_LEFT, 20, title, weight="bold")]
    for step in range(5):
        y = _down(top * step / 4, top)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{top * step / 4:.3g}", "end"))
    parts += drawn
    if goal is not None:
        y = _down(goal.value, top)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="goal"/>')
        parts.append(_text(_WIDTH - _RIGHT, y - 4, goal.name, "end"))
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
