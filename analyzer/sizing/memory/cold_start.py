"""The first request of a step that never ran: never above what was asked for it.

What comes in: the task, the first finished task of each other step, what failures cost. What goes out: a proposal, or
None where too little is known. Pure. The caller keeps the user's request where that is smaller.

A user's request was enough, or the user would have raised it, and says no more than that: by how much it was too large
is unknown. So before anything was seen, each size from the smallest that platforms give up to the request is as likely
as any other (in the logarithm: the prior of Jeffreys for a scale, *Proc. R. Soc. A* 186, 1946). That counts as five
steps. Each step that has run adds its first peak, and the share of its own request that it took, each as half a step;
both are spread widely, as steps differ by orders of magnitude. What lies above the request counts as the request.

Where nobody asked for anything, what the platform gives by default says nothing about the task: then five steps have to
have run, and beyond the largest of their first peaks a tail reaches 6 times further.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from stepsize.analyzer.sizing.memory.arrays import counted
from stepsize.analyzer.sizing.memory.expected_cost import Prices, cheapest
from stepsize.analyzer.sizing.memory.grid import CELLS, STEP, ZERO, cells
from stepsize.analyzer.sizing.memory.predictive import Predictive
from stepsize.analyzer.sizing.memory.proposal import Proposal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepsize.analyzer.sizing.memory.arrays import Floats
    from stepsize.analyzer.sizing.memory.history import Finished, Task
    from stepsize.analyzer.sizing.memory.proposal import Terms

_FEWEST_STEPS = 5
_NEWEST_STEPS = 200
_SMALLEST_BYTES = 128 * 2**20
_NARROWEST = 0.1
_SIZES = 64
_SPREAD = np.array([-0.5, -0.25, 0.0, 0.25, 0.5])
_SPREAD_MASSES = np.array([0.1, 0.2, 0.4, 0.2, 0.1])
_BEYOND = np.array([0.35, 0.85, 1.35, 1.85])
_USUAL_HOURS = 1.0
"""Of a task where none has run: it scales what memory and failures cost alike."""


def below_request(first: Sequence[Finished], task: Task, terms: Callable[[float], Terms]) -> Proposal:
    """The cheapest request for a task whose user asked for memory.

    ``first``: the first finished task of each other step. ``terms``: what a failure costs, given what a typical task
    holds in byte hours as long as none is known.
    """
    newest = first[-_NEWEST_STEPS:]
    asked = math.log(task.requested_bytes)
    evenly = np.linspace(min(math.log(_SMALLEST_BYTES), asked - _NARROWEST), asked, _SIZES + 1)[1:]
    seen = _as_first_of(newest, asked)
    log_peaks = np.minimum(np.concatenate([evenly, (seen[:, None] + _SPREAD).ravel()]), asked)
    masses = np.concatenate([np.full(_SIZES, _FEWEST_STEPS / _SIZES), np.tile(_SPREAD_MASSES / 2, len(seen))])
    masses /= masses.sum()
    hours = sum(finished.hours for finished in newest) / len(newest) if newest else _USUAL_HOURS
    # The grid reaches much further down than up: nothing lies above the request.
    reference = asked - ZERO * STEP / 2
    mass = counted(cells(log_peaks - reference), masses, CELLS)
    cost = terms(float(masses @ np.exp(log_peaks)) * hours)
    return _cheapest(math.exp(reference), mass, hours, cost)


def from_siblings(first: Sequence[Finished], terms: Terms) -> Proposal | None:
    """The cheapest request for a step like any of these; None where fewer than five are known."""
    if len(first) < _FEWEST_STEPS:
        return None
    newest = first[-_NEWEST_STEPS:]
    log_peaks = np.log(np.array([finished.peak_bytes for finished in newest]))
    hours = sum(finished.hours for finished in newest) / len(newest)
    largest = float(log_peaks.max())
    beyond = 1.0 / (len(newest) + 1)
    where = cells(((log_peaks - largest)[:, None] + _SPREAD).ravel())
    masses = np.tile(_SPREAD_MASSES * (1 - beyond) / len(newest), len(newest))
    mass = counted(where, masses, CELLS) + counted(cells(_BEYOND), np.full(4, beyond / 4), CELLS)
    return _cheapest(math.exp(largest), mass, hours, terms)


def _as_first_of(siblings: Sequence[Finished], asked: float) -> Floats:
    """Logarithms of what a step may need whose request has this one, two for each of its siblings: that one's peak, and
    the share that it took of its request; the peak again where nobody asked for anything. Shape (2 n,)."""
    peaks = np.log(np.array([finished.peak_bytes for finished in siblings], np.float64))
    requests = np.array([f.task.requested_bytes if f.task.request_known else np.nan for f in siblings], np.float64)
    by_share = asked + peaks - np.log(requests)
    return np.concatenate([peaks, np.where(np.isfinite(by_share), by_share, peaks)])


def _cheapest(reference_bytes: float, mass: Floats, hours: float, terms: Terms) -> Proposal:
    predictive = Predictive(tasks=mass, hours=mass)
    prices = Prices(
        reference_cost=reference_bytes * hours,
        failure=terms.failure_byte_hours,
        time_to_failure=terms.time_to_failure,
    )
    return Proposal(reference_bytes, predictive, prices, cheapest(predictive, prices))
