"""A whole flow on few types of servers: the cheapest set of them, in one region of one vendor.

What comes in: the work of each step, and a catalogue. What goes out: a :class:`FlowPlan`: which type runs which step,
and what a run costs. Pure but for the catalogue's queries. A cluster lives in one region, so all types are of one.

The problem is p-median (Hakimi, 1964). Types that another one undercuts in every step are left out, then all sets are
tried; where they are more than ``MOST_SETS``, a greedy choice is improved by exchanges instead, and the plan says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import combinations, islice
from typing import TYPE_CHECKING

import numpy as np

from stepsize.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from stepsize.analyzer.matching.catalogue import Catalog, Place
    from stepsize.analyzer.matching.need import Packed, Work

MOST_SETS = 100_000
"""So many sets of types are tried for one region; more take longer than a person waits."""
_SETS_AT_ONCE = 10_000


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
    found = {work: _by_place(catalog.costs(work)) for work in set(works.values())}
    places = set.intersection(*(set(by_place) for by_place in found.values()))
    least = {place: math.fsum(min(found[work][place].values()) for work in works.values()) for place in places}
    best: tuple[Place, _Choice] | None = None
    unproven: list[Place] = []
    for place in sorted(places, key=lambda place: (least[place], place)):
        if best is not None and least[place] >= best[1].cost:
            break
        choice = _choice([found[work][place] for work in works.values()], types)
        if not choice.exact:
            unproven.append(place)
        if choice.servers and (best is None or choice.cost < best[1].cost):
            best = place, choice
    if best is None:
        return None
    place, choice = best
    steps = tuple(
        StepPlan(step, work, _packed(catalog, work, place, server))
        for (step, work), server in zip(works.items(), choice.servers, strict=True)
    )
    # what was not proven elsewhere may still be less than what is best here
    exact = all(least[other] >= choice.cost for other in unproven)
    return FlowPlan(*place, steps, choice.cost, exact)


@dataclass(frozen=True, slots=True)
class _Choice:
    """The server of each step, none where no set fits; what all cost; whether no set costs less."""

    servers: tuple[str, ...]
    cost: float
    exact: bool


def _by_place(costs: Iterable[tuple[Place, str, float]]) -> dict[Place, dict[str, float]]:
    places: dict[Place, dict[str, float]] = {}
    for place, server, cost in costs:
        places.setdefault(place, {})[server] = cost
    return places


def _packed(catalog: Catalog, work: Work, place: Place, server: str) -> Packed:
    vendor, region, allocation = place
    here = replace(work.need, vendors=(vendor,), regions=(region,), allocation=allocation)
    return next(p for p in catalog.everywhere(replace(work, need=here)) if p.offer.server_id == server)


def _choice(steps: Sequence[Mapping[str, float]], types: int) -> _Choice:
    """The best servers in one place, by what each step costs on each."""
    names = sorted(set().union(*steps))
    costs = np.array([[by_type.get(name, math.inf) for by_type in steps] for name in names])
    kept = _undominated(costs)
    chosen, exact = _cheapest_set(costs[kept], types)
    if chosen is None:
        return _Choice((), math.inf, exact)
    rows = [kept[index] for index in chosen]
    servers = [min(rows, key=lambda row: (costs[row, column], names[row])) for column in range(len(steps))]
    cost = math.fsum(float(costs[row, column]) for column, row in enumerate(servers))
    return _Choice(tuple(names[row] for row in servers), cost, exact)


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
    every, best, least = combinations(range(len(costs)), size), None, math.inf
    while some := list(islice(every, _SETS_AT_ONCE)):
        sets = np.array(some)
        lowest = costs[sets[:, 0]]
        for column in sets.T[1:]:
            np.minimum(lowest, costs[column], out=lowest)
        sums = lowest.sum(axis=1)
        if sums.min() < least:
            best, least = some[int(sums.argmin())], float(sums.min())
    return best, True


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
