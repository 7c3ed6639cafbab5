"""Greedy and exhaustive bucketing: a bucket of past peaks is drawn by its probability, the next ones after failures.

What comes in: tasks, and finished ones. What goes out: requests in bytes. The first ten tasks of a step are samples:
they get 1000 MB, doubled after failures, whatever the user asked for.

Source: Phung, Ward, Chard, Thain, "Not all tasks are created equal: adaptive resource allocation for heterogeneous
tasks in dynamic workflows", WORKS 2021; Phung, Thain, "Adaptive task-oriented resource allocation for large dynamic
workflows on opportunistic resources", IPDPS 2024; cctools at f4e3b63, ``dttools/src/``: ``bucketing.c`` (a peak weighs
its number in the order of completion; the draw; what lies above the highest bucket doubles from 1000 MB),
``bucketing_manager.c`` (10 samples, 1000 MB, rate 2), ``bucketing_greedy.c`` and ``bucketing_exhaust.c`` (in
``greedy_buckets.py`` and ``exhaustive_buckets.py``). MB are MiB there. Differs from it: new buckets are sought when
there are 5 % more tasks, not with each; the draws come from Python's generator with a fixed seed a step.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import numpy as np

from stepsize.analyzer.backtest.baselines.samples import Refit, Samples
from stepsize.sizes import MIB

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.analyzer.backtest.baselines.buckets import Buckets
    from stepsize.analyzer.sizing.memory.arrays import Floats
    from stepsize.analyzer.sizing.memory.history import Finished, Task

_SAMPLES = 10
_SAMPLE_MIB = 1000.0
_SEED = 15112022
"""cctools seeds its own test of the draws with this."""


class Bucketing:
    """One way to find buckets, at work on one step. ``find`` takes peaks in MiB, lowest first, and their weights."""

    def __init__(self, find: Callable[[Floats, Floats], Buckets]) -> None:
        self._find = find
        self._samples = Samples()
        self._refit = Refit()
        self._buckets: Buckets | None = None
        # Draws decide about allocations, not about secrets.
        self._random = random.Random(_SEED)  # noqa: S311

    def size(self, task: Task) -> float:  # noqa: ARG002 -- this rule never looks at the task
        """A bucket's value, drawn."""
        if self._buckets is None:
            return _SAMPLE_MIB * MIB
        return self._drawn_above(0.0) * MIB

    def retry(self, task: Task, killed_bytes: tuple[float, ...]) -> float:  # noqa: ARG002 -- what failed decides
        """A higher bucket's value, drawn among those; above them all the next double of 1000 MB."""
        if self._buckets is None:
            return _doubled(killed_bytes[-1] / MIB) * MIB
        return self._drawn_above(killed_bytes[-1] / MIB) * MIB

    def learn(self, finished: Finished) -> None:
        """A task that ended."""
        self._samples.add(finished)
        if self._samples.count < _SAMPLES or not self._refit.due(self._samples.count):
            return
        peaks = self._samples.peaks() / MIB
        # A later point is put before an equal one (`bucketing_insert_point_to_sorted_list`).
        order = len(peaks) - 1 - np.argsort(peaks[::-1], kind="stable")
        self._buckets = self._find(peaks[order], (order + 1).astype(np.float64))

    def _drawn_above(self, failed_mib: float) -> float:
        assert self._buckets is not None
        values, probabilities = self._buckets.values_mib, self._buckets.probabilities
        draw = self._random.random()
        first = int(np.searchsorted(values, failed_mib, side="right"))
        if first == len(values):
            return _doubled(failed_mib)
        reached = np.cumsum(probabilities[first:])
        chosen = first + int(np.searchsorted(reached, draw * reached[-1], side="right"))
        return float(values[min(chosen, len(values) - 1)])


def _doubled(failed_mib: float) -> float:
    return float(_SAMPLE_MIB * 2.0 ** (math.floor(math.log2(failed_mib / _SAMPLE_MIB)) + 1))
