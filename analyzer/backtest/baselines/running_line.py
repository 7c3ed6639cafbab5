"""A least-squares line that takes one point at a time.

What comes in: points. What goes out: the line's answer, and the correlation. Pure.

Source: the updates of means and co-moments of Welford (Technometrics 4(3), 1962) and Pebay (SAND2008-6212), which do
not cancel where sizes in bytes are large beside their differences.
"""

from __future__ import annotations

import math


class RunningLine:
    """The line through the points so far; level through their mean where all have the same place."""

    def __init__(self) -> None:
        self.count = 0
        self._mean_x = self._mean_y = 0.0
        self._xx = self._xy = self._yy = 0.0

    def add(self, x: float, y: float) -> None:
        """A point."""
        self.count += 1
        dx, dy = x - self._mean_x, y - self._mean_y
        self._mean_x += dx / self.count
        self._mean_y += dy / self.count
        self._xx += dx * (x - self._mean_x)
        self._xy += dx * (y - self._mean_y)
        self._yy += dy * (y - self._mean_y)

    def at(self, x: float) -> float:
        """The line's answer at ``x``."""
        return self._mean_y + self.slope * (x - self._mean_x)

    @property
    def slope(self) -> float:
        """The slope; 0 where all points have the same place."""
        return self._xy / self._xx if self._xx > 0 else 0.0

    @property
    def correlation(self) -> float | None:
        """Pearson's r; None where one of the two does not vary."""
        spread = self._xx * self._yy
        return self._xy / math.sqrt(spread) if spread > 0 else None

    @property
    def variance_left(self) -> float:
        """The sample variance of what the line leaves of the points; 0 with fewer than two."""
        return max(self._yy - self.slope * self._xy, 0.0) / (self.count - 1) if self.count > 1 else 0.0
