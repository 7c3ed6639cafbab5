"""Which attempt a series tells of.

What comes in: attributes, and the attempts that are known. What goes out: :class:`Evidence` of an attempt, and the
attempt that it means. Never does I/O.

Project, branch, user and environment tell deployments apart whose run numbers repeat. A sender may learn them late, so
what is not said is unknown, and not different.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from stepsize.collector.decode.vocabulary import TAG_NAMES
from stepsize.collector.rollup.attempt import ENVIRONMENT, Attempt, AttemptKey
from stepsize.collector.rollup.describe import describes
from stepsize.model import Attr, Identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from stepsize.collector.decode.vocabulary import Tags

ATTEMPT_PREFIXES = ("stepsize.task.", "container.")
"""Metrics that tell of attempts."""
_TELLING = (Attr.PROJECT, Attr.BRANCH, Attr.USER, *ENVIRONMENT)
_NAMES = frozenset((*TAG_NAMES, *_TELLING))
_RECENT_NS = 86_400 * 10**9
"""An attempt that closed longer ago than this is met again only by points that say exactly the same of it."""


class Evidence(NamedTuple):
    """What is said of whose a point is: the names that it must have, those that it may, and its sender."""

    key: AttemptKey
    told: tuple[tuple[str, str], ...]
    instance: str


def may_tell(attributes: Mapping[str, Any]) -> bool:
    """Whether attributes of a point say whose it is, or more of its attempt."""
    return not _NAMES.isdisjoint(attributes) or describes(attributes)


def evidence_of(tags: Tags, resource: Mapping[str, Any], point: Mapping[str, Any]) -> Evidence | None:
    """What a resource and attributes of its points say, or None where they do not name an attempt."""
    if tags.flow is None or tags.run is None or tags.step is None or tags.task is None:
        return None
    told = []
    for name in _TELLING:
        value = resource.get(name)
        if value is None:
            value = point.get(name)
        if value is not None and value != "":
            told.append((name, str(value)))
    key = AttemptKey(tags.flow, tags.run, tags.step, tags.task, max(tags.attempt or 0, 0))
    instance = str(resource.get("service.instance.id") or "")
    # Our agent derives the instance from the key, so that it says no more than the key does.
    derived = instance and instance == Identity(*key).instance_id
    return Evidence(key, tuple(told), "" if derived else instance)


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
