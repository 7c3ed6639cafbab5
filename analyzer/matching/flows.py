"""A whole flow on few types of servers: the cheapest set of them, in one region of one vendor.

What comes in: the work of each step, and a catalogue. What goes out: a :class:`FlowPlan`: which type runs which step,
and what a run costs. Pure but for the catalogue's queries. A cluster lives in one region, so all types are of one.

The problem is p-median (Hakimi, 1964). Types that another one undercuts in every step are left out, then all sets are
tried; where they are more than ``MOST_SETS``, a greedy choice is improved by exchanges instead, and the plan says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from stepsize.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from stepsize.analyzer.matching.catalogue import Catalog
    from stepsize.analyzer.matching.need import Packed, Work

MOST_SETS = 100_000
"""So many sets of types are tried for one region; more take longer than a person waits."""

Place = tuple[str, str, str]
"""Vendor, region, allocation."""


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step on the type of server that was chosen for it."""

    step: str
    work: Work
    packed: Packed


@dataclass(frozen=True, slots=True)
class FlowPlan:
    """A flow on the types chosen: ``cost`` is of one run of every step. ``exact`` where no set costs less."""

    vendor_id: str
    region: str
    allocation: str
    steps: tuple[StepPlan, ...]
    cost: float
    exact: bool

    @property
    def types(self) -> tuple[str, ...]:
        """The server types in use, by name."""
        return tuple(sorted({step.packed.offer.server_id for step in self.steps}))


def plan(catalog: Catalog, works: Mapping[str, Work], types: int) -> FlowPlan | None:
    """The cheapest at most ``types`` types on which every step of ``works`` fits; None where no region has them.

    Raises:
        UsageError: fewer than one type is asked for, there is no step, or as :meth:`Catalog.packed`.
    """
    if types < 1 or not works:
        raise UsageError("a flow needs at least one type of server and one step")
    found = {work: _by_place(catalog.everywhere(work)) for work in set(works.values())}
    places = set.intersection(*(set(by_place) for by_place in found.values()))
    least = {
        place: sum(min(p.cost for p in found[work][place].values()) for work in works.values()) for place in places
    }
    best: FlowPlan | None = None
    for place in sorted(places, key=lambda place: (least[place], place)):
        if best is not None and least[place] >= best.cost:
            break
        here = {step: found[work][place] for step, work in works.items()}
        candidate = _plan_here(place, works, here, types)
        if candidate is not None and (best is None or candidate.cost < best.cost):
            best = candidate
    return best


def _by_place(offers: Sequence[Packed]) -> dict[Place, dict[str, Packed]]:
    places: dict[Place, dict[str, Packed]] = {}
    for packed in offers:
        offer = packed.offer
        places.setdefault((offer.vendor_id, offer.region, offer.allocation), {})[offer.server_id] = packed
    return places


def _plan_here(
    place: Place, works: Mapping[str, Work], here: Mapping[str, Mapping[str, Packed]], types: int
) -> FlowPlan | None:
    names = sorted(set().union(*here.values()))
    costs = np.array(
        [[by_type[name].cost if name in by_type else math.inf for by_type in here.values()] for name in names]
    )
    kept = _undominated(costs)
    chosen, exact = _cheapest_set(costs[kept], types)
    if chosen is None:
        return None
    rows = [kept[index] for index in chosen]
    steps = []
    for column, (step, work) in enumerate(works.items()):
        row = min(rows, key=lambda row: (costs[row, column], names[row]))
        steps.append(StepPlan(step, work, here[step][names[row]]))
    return FlowPlan(*place, tuple(steps), math.fsum(step.packed.cost for step in steps), exact)


def _undominated(costs: NDArray[np.float64]) -> list[int]:
    """Rows that no other undercuts or equals in every column; of equal ones the first."""
    order = sorted(range(len(costs)), key=lambda row: (tuple(np.sort(costs[row])), row))
    kept: list[int] = []
    for row in order:
        if not any((costs[other] <= costs[row]).all() for other in kept):
            kept = [other for other in kept if not (costs[row] <= costs[other]).all()]
            kept.append(row)
    return sorted(kept)


def _cheapest_set(costs: NDArray[np.float64], types: int) -> tuple[Sequence[int] | None, bool]:
    """The rows, at most ``types``, whose least costs by column sum to the least; and whether that is proven."""
    size = min(types, len(costs))
    if math.comb(len(costs), size) > MOST_SETS:
        return _by_exchange(costs, size), False
    sets = np.array(list(combinations(range(len(costs)), size)))
    sums = costs[sets].min(axis=1).sum(axis=1)
    best = int(sums.argmin())
    return (sets[best].tolist() if math.isfinite(sums[best]) else None), True


def _by_exchange(costs: NDArray[np.float64], size: int) -> Sequence[int] | None:
    """A greedy choice, then the best exchange of one row for another for as long as one helps."""

    def total(rows: Sequence[int]) -> tuple[int, float]:
        least = costs[list(rows)].min(axis=0)
        return int(np.isinf(least).sum()), float(least[np.isfinite(least)].sum())  # what does not fit counts first

    rows: list[int] = []
    for _ in range(size):
        rows.append(min((row for row in range(len(costs)) if row not in rows), key=lambda row: total([*rows, row])))
    improved = True
    while improved:
        swaps = [[*rows[:i], row, *rows[i + 1 :]] for i in range(size) for row in range(len(costs)) if row not in rows]
        best = min(swaps, key=total)
        improved = total(best) < total(rows)
        rows = best if improved else rows
    return rows if total(rows)[0] == 0 else None
