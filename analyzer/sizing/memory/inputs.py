"""Which number that was said of a step's tasks its peaks may follow: the size of the input, rows, epochs.

What comes in: a step's history. What goes out: :class:`Seen`, or None where no number differs enough. Pure.

Several numbers may be known. The one whose logarithm goes best with that of the peak is taken, more or less of it being
known in more or fewer tasks; whether following it pays is for the competition to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.arrays import Floats
    from stepsize.analyzer.sizing.memory.history import History

_FEWEST_TASKS = 4
_DIGITS = 9
_LEAST_SPREAD = 0.02
"""Numbers that differ by less of their mean than this say nothing."""


class Seen(NamedTuple):
    """Tasks of which a number is known: its name, the numbers, peaks in bytes, run times; shape (n,) each.

    ``stopped``: the number, and what was reached in bytes, of each task that never ended well; shape (m, 2).
    """

    name: str
    numbers: Floats
    peaks: Floats
    hours: Floats
    stopped: Floats

    @property
    def stopped_numbers(self) -> Floats:
        """Of the tasks that never ended well."""
        return self.stopped[:, 0]

    @property
    def stopped_bytes(self) -> Floats:
        """What those had reached."""
        return self.stopped[:, 1]


def seen(history: History, window: int) -> Seen | None:
    """The newest tasks with the number to follow; None where too few are known or they are too much alike."""
    log_peaks = history.log_peaks(window)
    best, best_score = None, -1.0
    for name in sorted(history.numbers):
        numbers = history.number(name, window)
        known = ~np.isnan(numbers)
        if not _tells(numbers[known]):
            continue
        score = _score(np.log(numbers[known]), log_peaks[known]) * known.mean() if len(history.numbers) > 1 else 0.0
        if score > best_score:
            best, best_score = (name, numbers, known), score
    if best is None:
        return None
    name, numbers, known = best
    stopped = [
        (number, stopped.at_least_bytes)
        for stopped in history.stopped_among(window)
        if (number := stopped.task.number(name)) is not None
    ]
    return Seen(
        name,
        numbers[known],
        np.exp(log_peaks[known]),
        history.hours(window)[known],
        np.array(stopped, dtype=np.float64).reshape(-1, 2),
    )


def _tells(numbers: Floats) -> bool:
    return bool(len(numbers) >= _FEWEST_TASKS and np.ptp(numbers) > _LEAST_SPREAD * numbers.mean())


def _score(x: Floats, y: Floats) -> float:
    """How well they go together, from 0 to 1, but for the last digits, which the order of tasks decides."""
    x, y = x - x.mean(), y - y.mean()
    squares = float((x @ x) * (y @ y))
    return round(abs(float(x @ y)) / squares**0.5, _DIGITS) if squares > 0 else 0.0
