"""Which attempt a series tells of.

What comes in: series, and the attempts that are known. What goes out: :class:`Evidence` of an attempt, and the attempt
that it means. Never does I/O.

Project, branch, user and environment tell deployments apart whose run numbers repeat. A sender may learn them late, so
what is not said is unknown, and not different.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from stepsize.collector.rollup.attempt import ENVIRONMENT, Attempt, AttemptKey
from stepsize.model import Attr, Identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stepsize.collector.decode.series import NumberPoints, Series

_PREFIXES = ("stepsize.task.", "container.")
_TELLING = (Attr.PROJECT, Attr.BRANCH, Attr.USER, *ENVIRONMENT)
_RECENT_NS = 86_400 * 10**9
"""An attempt that closed longer ago than this is met again only by points that say exactly the same of it."""


class Evidence(NamedTuple):
    """What a series says of whose it is: the names that it must have, those that it may, and its sender."""

    key: AttemptKey
    told: tuple[tuple[str, str], ...]
    instance: str


def evidence_in(numbers: Mapping[Series, NumberPoints]) -> dict[Evidence, list[Series]]:
    """The series of a batch that the roll-up is interested in, by what they say of their attempt."""
    said: dict[Evidence, list[Series]] = {}
    for series in numbers:
        if series.metric.name.startswith(_PREFIXES):
            evidence = _evidence(series)
            if evidence is not None:
                said.setdefault(evidence, []).append(series)
    found: dict[Evidence, list[Series]] = {}
    for evidence, gathered in said.items():
        # Our agent derives the instance from the key, so that it says no more than the key does.
        derived = evidence.instance and evidence.instance == Identity(*evidence.key).instance_id
        found.setdefault(evidence._replace(instance="") if derived else evidence, []).extend(gathered)
    return found


def meant(attempts: Iterable[Attempt], evidence: Evidence, arrived_ns: int) -> Attempt | None:
    """Which of ``attempts``, all of the evidence's key, is meant, or None for none of them.

    It is the one of the same sender; else the one of which exactly the same is told; else the one that agrees in all
    that is told of both, and of several the one that shares most. Where those are several too, it is none: an attempt
    that cannot be told apart gets a row of its own rather than a place in another's.
    """
    told = dict(evidence.told)
    known = list(attempts)
    for attempt in known:
        if evidence.instance and evidence.instance in attempt.instances:
            return attempt
    for attempt in known:
        if attempt.told == told:
            return attempt
    shared: dict[int, list[Attempt]] = {}
    for attempt in known:
        both = told.keys() & attempt.told.keys()
        recent = attempt.outcome is None or arrived_ns - attempt.arrived_ns <= _RECENT_NS
        if recent and all(told[name] == attempt.told[name] for name in both):
            shared.setdefault(len(both), []).append(attempt)
    best = shared[max(shared)] if shared else []
    return best[0] if len(best) == 1 else None


def _evidence(series: Series) -> Evidence | None:
    if series.flow is None or series.run is None or series.step is None or series.task is None:
        return None
    resource, point = series.resource.attributes, series.attributes
    told = []
    for name in _TELLING:
        value = resource.get(name)
        if value is None:
            value = point.get(name)
        if value is not None and value != "":
            told.append((name, str(value)))
    key = AttemptKey(series.flow, series.run, series.step, series.task, max(series.attempt or 0, 0))
    return Evidence(key, tuple(told), str(resource.get("service.instance.id") or ""))
