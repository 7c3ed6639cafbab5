"""Holds what requests bring against the bounds on attributes, resources and series, at a cost that can be borne.

What comes in: parsed requests. What goes out: the same without the points that are beyond a bound, and how many those
were, by why. Never does I/O, and never takes more memory than its bounds say: about 150 bytes a resource and at most
8 MiB for all series.

To look at every attribute of every point would cost more than all the rest of taking a request. So a request is
*inspected* point by point when its resource is new, when it is heavy for its number of points, while its resource keeps
bringing series that were not there before or has broken a bound; and else a few points of it one time in 31. A sender
that runs away is therefore met soon and held from then on; what can slip through is an odd point of one in order.

What is beyond a bound is refused for good (partial success), not for now: a sender that makes a series of every request
would send its points again and again, and hold up those of others that travel in the same request.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.collector.limits import RequestLimits

RESOURCES, SERIES, ATTRIBUTES, ATTRIBUTE_SIZE = "resources", "series", "attributes", "attribute_size"
_HEAVY_BYTES = 1024
"""A request of more bytes than this for each of its points is always inspected."""
_PASSED = 30
"""So many requests of a resource that is in order are not looked at between two that are."""
_SAMPLE = 8
"""So many points of a request are looked at then."""
_WATCHED = 31
"""In place of the requests still to pass: each is inspected."""
_STATE_BITS = 5
_FILTER_BITS = 26
_PAGE_BITS = 15
"""The filter is made page by page as series come: an embedded collector, with some hundred of them, needs few."""
_IN_PAGE = (1 << (_PAGE_BITS - 3)) - 1


class Guard:
    """The bounds of one receiver, and what it has seen in the current window.

    Args:
        limits: the bounds.
        clock_s: a monotonic clock.
    """

    def __init__(self, limits: RequestLimits, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock_s = clock_s
        self._turn = 0
        self._begin_window()

    @property
    def resources(self) -> int:
        """Different resources of the current window."""
        return len(self._resources)

    @property
    def series(self) -> int:
        """Different series of the current window, as far as they were counted."""
        return self._series

    def reject(self, message: Any, size_bytes: int, points: int) -> dict[str, int]:
        """Take out of ``message``, which has ``size_bytes`` and ``points``, what is beyond a bound.

        Returns:
            How many points were taken out by the bound that they broke; empty where the message is as it was.
        """
        if self._clock_s() - self._began_s >= self._limits.window_s:
            self._begin_window()
        heavy = size_bytes > _HEAVY_BYTES * (points + 1)
        seen, due = self._resources, []
        for index, one in enumerate(message.resource_metrics):
            key = hash(one.resource.SerializeToString())
            state = seen.get(key)
            if state is not None and not heavy and 0 < state & _WATCHED < _WATCHED:
                seen[key] = state - 1
            else:
                due.append((index, one, key))
        return self._reject_of(message, due, heavy=heavy) if due else {}

    def _reject_of(self, message: Any, due: list[tuple[int, Any, int]], *, heavy: bool) -> dict[str, int]:
        """As :meth:`reject`, of the resources that have to be looked at."""
        rejected: Counter[str] = Counter()
        refused: list[int] = []
        for index, one, key in due:
            if reason := self._look(one, key, rejected, heavy=heavy):
                rejected[reason] += _count(one)
                refused.append(index)
        for index in reversed(refused):
            del message.resource_metrics[index]
        return {reason: count for reason, count in rejected.items() if count}

    def explain(self, rejected: dict[str, int]) -> str:
        """Words for the client's log."""
        limits = self._limits
        words = {
            RESOURCES: f"there are more than {limits.resources} resources within {limits.window_s:g} s",
            SERIES: f"a resource has more than {limits.series} series within {limits.window_s:g} s",
            ATTRIBUTES: f"there are more than {limits.attributes} attributes at one place",
            ATTRIBUTE_SIZE: f"an attribute is larger than {limits.attribute_bytes} bytes",
        }
        return "; ".join(f"{count} points were not kept: {words[reason]}" for reason, count in rejected.items())

    def _begin_window(self) -> None:
        self._began_s = self._clock_s()
        self._resources: dict[int, int] = {}
        """Resource → its series, shifted, and how many of its requests still pass without a look."""
        self._filter: dict[int, bytearray] = {}
        self._series = 0

    def _look(self, one: Any, key: int, rejected: Counter[str], *, heavy: bool) -> str:
        """Count a request's resource, and inspect its points where that is due; why all of it is refused, if it is."""
        state = self._resources.get(key)
        if state is None:
            if self._limits.resources and len(self._resources) >= self._limits.resources:
                return RESOURCES
            if reason := self._fault(one.resource.attributes):
                return reason
            state = _WATCHED
        known, passing = state >> _STATE_BITS, state & _WATCHED
        if not heavy and not passing and self._looks_calm(one, key):
            self._resources[key] = state | _PASSED
            return ""
        series, refused = self._inspect(one, key, known, rejected)
        calm = series == known and not refused
        self._resources[key] = series << _STATE_BITS | (_PASSED if calm else _WATCHED)
        return ""

    def _looks_calm(self, one: Any, key: int) -> bool:
        """Whether some points of a request bring nothing new and break no bound."""
        step = max(1, _count(one) // _SAMPLE)
        at = self._turn = (self._turn + 1) % step
        for metric in (metric for scope in one.scope_metrics for metric in scope.metrics):
            points = getattr(metric, metric.WhichOneof("data")).data_points
            while at < len(points):
                parts = [attribute.SerializeToString() for attribute in points[at].attributes]
                if self._fault_of_sizes(parts) or self._is_new((key, metric.name, *parts)):
                    return False
                at += step
            at -= len(points)
        return True

    def _inspect(self, one: Any, key: int, series: int, rejected: Counter[str]) -> tuple[int, bool]:
        """Take out what is beyond a bound; how many series the resource has now, and whether anything was taken out."""
        refused = False
        for scope in one.scope_metrics:
            reason = self._fault(scope.scope.attributes)
            for metric in scope.metrics:
                points = getattr(metric, metric.WhichOneof("data")).data_points
                faults = {}
                for index, point in enumerate(points):
                    parts = [attribute.SerializeToString() for attribute in point.attributes]
                    fault = reason or self._fault_of_sizes(parts)
                    if not fault and self._is_new((key, metric.name, *parts)):
                        if self._limits.series and series >= self._limits.series:
                            fault = SERIES
                        else:
                            series += 1
                            self._count((key, metric.name, *parts))
                    if fault:
                        faults[index] = fault
                for index in reversed(faults):
                    rejected[faults[index]] += 1
                    del points[index]
                refused = refused or bool(faults)
        return series, refused

    def _fault(self, attributes: Any) -> str:
        return self._fault_of_sizes([attribute.SerializeToString() for attribute in attributes])

    def _fault_of_sizes(self, parts: list[bytes]) -> str:
        limits = self._limits
        if limits.attributes and len(parts) > limits.attributes:
            return ATTRIBUTES
        if limits.attribute_bytes and any(len(part) > limits.attribute_bytes for part in parts):
            return ATTRIBUTE_SIZE
        return ""

    def _is_new(self, series: tuple[Any, ...]) -> bool:
        """Whether it was not counted yet; now and then one that was not is taken for known, which errs to its good."""
        for bit in _bits(series):
            page = self._filter.get(bit >> _PAGE_BITS)
            if page is None or not page[bit >> 3 & _IN_PAGE] & 1 << (bit & 7):
                return True
        return False

    def _count(self, series: tuple[Any, ...]) -> None:
        self._series += 1
        for bit in _bits(series):
            page = self._filter.get(bit >> _PAGE_BITS)
            if page is None:
                page = self._filter[bit >> _PAGE_BITS] = bytearray(_IN_PAGE + 1)
            page[bit >> 3 & _IN_PAGE] |= 1 << (bit & 7)


def _bits(series: tuple[Any, ...]) -> tuple[int, int]:
    """Two places of a Bloom filter (Bloom 1970), from the two ends of one hash."""
    hashed = hash(series)
    mask = (1 << _FILTER_BITS) - 1
    return hashed & mask, hashed >> 32 & mask


def _count(one: Any) -> int:
    return sum(
        len(getattr(metric, kind).data_points)
        for scope in one.scope_metrics
        for metric in scope.metrics
        if (kind := metric.WhichOneof("data"))
    )
