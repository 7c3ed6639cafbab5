"""How a value went over time, in a bounded number of places, with no peak lost.

What comes in: moments and values, in the order in which they came. What goes out: for each span of time the lowest and
the highest value in it. Never keeps more than `PLACES` spans: when there would be more, two neighbours become one, so
that a week costs no more than a minute and each new value the same. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PLACES = 240
"""Spans at most; at least half as many once there were so many."""
_FIRST_SPAN_S = 0.25


@dataclass(slots=True)
class Span:
    """The extremes of a span of time."""

    lowest: float
    highest: float

    def add(self, lowest: float, highest: float) -> None:
        """Take more values of the same span in."""
        self.lowest, self.highest = min(self.lowest, lowest), max(self.highest, highest)


@dataclass(slots=True)
class Envelope:
    """Lowest and highest values by spans of ``span_s`` seconds, numbered from ``start_s``; a span may have none."""

    start_s: float
    span_s: float = _FIRST_SPAN_S
    spans: dict[int, Span] = field(default_factory=dict)

    def add(self, time_s: float, value: float) -> None:
        """Take a value in; one that is not a number is left out, one from before the start counts as at it."""
        if not math.isfinite(value) or not math.isfinite(time_s):
            return
        place = self._place(time_s)
        while place >= PLACES:
            self._halve()
            place = self._place(time_s)
        known = self.spans.get(place)
        if known is None:
            self.spans[place] = Span(value, value)
        else:
            known.add(value, value)

    @property
    def highest(self) -> float | None:
        """The highest value of all; ``None`` where there is none."""
        return max((span.highest for span in self.spans.values()), default=None)

    @property
    def end_s(self) -> float:
        """The end of the last span that has a value, in seconds from the start."""
        return (max(self.spans, default=-1) + 1) * self.span_s

    def runs(self, gap_s: float) -> Iterable[list[tuple[float, Span]]]:
        """Spans by the seconds from the start to their middle, in stretches without a gap of more than ``gap_s``."""
        run: list[tuple[float, Span]] = []
        for place in sorted(self.spans):
            middle_s = (place + 0.5) * self.span_s
            if run and middle_s - run[-1][0] > max(gap_s, 1.5 * self.span_s):
                yield run
                run = []
            run.append((middle_s, self.spans[place]))
        if run:
            yield run

    def _place(self, time_s: float) -> int:
        return max(0, int((time_s - self.start_s) / self.span_s))

    def _halve(self) -> None:
        merged: dict[int, Span] = {}
        for place, span in self.spans.items():
            known = merged.setdefault(place // 2, span)
            known.add(span.lowest, span.highest)
        self.spans, self.span_s = merged, self.span_s * 2
