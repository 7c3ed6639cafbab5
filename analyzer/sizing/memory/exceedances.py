"""How often and how far new tasks went above the largest peak known before them: the evidence for a tail.

What comes in: peaks as they become known, a batch at a time (one task, or a run's tasks where nothing is learned within
a run). What goes out: :class:`Tail`. Holds counts only.

Of n tasks alike each is as likely to be the largest, so the next one goes above n others with probability 1/(n + 1)
(Feller, *An Introduction to Probability Theory*, vol. II, I.5). Tasks of one step are not quite alike, nor are steps:
so what happened at the same amount of evidence, to the step itself and to all steps together, corrects that prior, as
counts added to its own. A step of which two tasks are known is thus sized with what a hundred others did after two.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stepsize.analyzer.sizing.memory.arrays import counted
from stepsize.analyzer.sizing.memory.grid import CELLS, ZERO, cells
from stepsize.analyzer.sizing.memory.predictive import Tail

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.arrays import Floats

_LEVELS = (1, 2, 3, 4, 8, 16, 64)
"""Steps with up to so many batches of evidence are counted together; those with more are the last level."""
_PRIOR_EXCESSES = 4.0
_FIRST_EXCESS, _LATER_EXCESS = 0.12, 0.03
"""Median excess in the logarithm after one task, and after more."""
_FIRST_SPREAD = 2.0
_PRIOR_SPACINGS = 4.0
_SPACING_WEIGHT = 0.6
_LARGEST_EXCESS = 1.0
_NODES = np.array([-1.5, -0.7, 0.0, 0.6, 1.1, 1.6, 2.1])
_NODE_MASSES = np.array([0.13, 0.20, 0.23, 0.16, 0.12, 0.09, 0.07])


@dataclass(frozen=True, slots=True)
class Prior:
    """What counts are added to: 1/(n + 1) weighs as much as so many ``batches``, and what a step did itself as much as
    ``own_weight`` other steps."""

    batches: float = 8.0
    own_weight: float = 3.0


class Exceedances:
    """Counts of batches whose tasks were compared with what was known before them, by how much that was."""

    LEVELS = len(_LEVELS) + 1

    def __init__(self, prior: Prior = Prior()) -> None:
        self.prior = prior
        self._batches = np.zeros(self.LEVELS)
        self._above = np.zeros(self.LEVELS)
        self._excess = np.zeros((self.LEVELS, CELLS))

    def add(self, known_batches: int, log_ratios: Floats) -> None:
        """A batch of peaks as logarithms over the largest known before; together they count as one."""
        level = _level(known_batches)
        self._batches[level] += 1.0
        above = log_ratios[log_ratios > 1e-9]
        if len(above):
            self._above[level] += len(above) / len(log_ratios)
            np.add.at(self._excess[level], cells(above), 1.0 / len(log_ratios))

    def count(self, known_batches: int, weight: float, cells_above: int | None) -> None:
        """As :meth:`add`, of what was counted elsewhere: a share of a batch that went so many cells above, or did
        not."""
        level = _level(known_batches)
        self._batches[level] += weight
        if cells_above is not None:
            self._above[level] += weight
            self._excess[level, min(ZERO + cells_above, CELLS - 1)] += weight

    def at(self, known_batches: int) -> tuple[float, float, Floats]:
        """Batches seen at this amount of evidence, how many of them went above, and their excess on the grid."""
        level = _level(known_batches)
        return float(self._batches[level]), float(self._above[level]), self._excess[level]

    def without(self, others: Exceedances) -> Exceedances:
        """The rest of these counts, of which ``others`` are a part; nothing falls below zero."""
        rest = Exceedances(self.prior)
        rest._batches = np.maximum(self._batches - others._batches, 0.0)
        rest._above = np.minimum(np.maximum(self._above - others._above, 0.0), rest._batches)
        rest._excess = np.maximum(self._excess - others._excess, 0.0)
        return rest

    @property
    def total(self) -> tuple[float, float]:
        """Batches seen, and how many of them went above, at whatever evidence."""
        return float(self._batches.sum()), float(self._above.sum())


def tail(log_ratios: Floats, known_batches: int, siblings: Exceedances | None, own: Exceedances | None) -> Tail:
    """The tail above the largest of the peaks seen, from the prior and, where given, from what happened so far."""
    alike = 1.0 / (known_batches + 1.0)
    counts = siblings or own
    prior = counts.prior if counts else Prior()
    batches, above, excess = siblings.at(known_batches) if siblings else (0.0, 0.0, None)
    own_batches, own_above = own.total if own else (0.0, 0.0)
    counted = prior.batches + batches + prior.own_weight * own_batches
    probability = (prior.batches * alike + above + prior.own_weight * own_above) / counted
    shape = _prior_excess(log_ratios)
    if excess is not None and above > 0:
        shape = (_PRIOR_EXCESSES * shape + excess) / (_PRIOR_EXCESSES + above)
    return Tail(probability=probability, excess=shape)


def _prior_excess(log_ratios: Floats) -> Floats:
    """A log-normal excess: its median is shrunk from the prior to the step's own scale, that of its largest peaks.

    The scale is Hill's estimator (Annals of Statistics 3(5), 1975) over about √n of the largest.
    """
    count = len(log_ratios)
    largest = min(count - 1, math.ceil(math.sqrt(count)) + 1)
    top = np.sort(log_ratios)[count - largest - 1 :]
    spacings = float((top[1:] - top[0]).sum())
    prior = _FIRST_EXCESS if count == 1 else _LATER_EXCESS
    weight = _PRIOR_SPACINGS + largest
    median = (_PRIOR_SPACINGS * prior + _SPACING_WEIGHT * spacings) / weight
    spread = (_PRIOR_SPACINGS * _FIRST_SPREAD + largest) / weight
    nodes = np.minimum(median * np.exp(spread * _NODES), _LARGEST_EXCESS)
    return counted(cells(nodes), _NODE_MASSES, CELLS)


def _level(known_batches: int) -> int:
    return bisect_left(_LEVELS, known_batches)
