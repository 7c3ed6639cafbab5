"""What a receiver counts: points and requests it took, and what it refused by which bound.

Names and the labels ``receiver``, ``transport`` and ``outcome`` are the Collector's (receiver/receiverhelper).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stepsize.collector.telemetry.registry import Counter, Registry


class ReceptionMetrics:
    """The counters of one receiver's protocol."""

    def __init__(self, registry: Registry, receiver: str, transport: str) -> None:
        self._registry = registry
        self._labels = {"receiver": receiver, "transport": transport}
        self._accepted = registry.counter(
            "otelcol_receiver_accepted_metric_points",
            "{datapoint}",
            "Number of metric points successfully pushed into the pipeline.",
            **self._labels,
        )
        self._refused = registry.counter(
            "otelcol_receiver_refused_metric_points",
            "{datapoint}",
            "Number of metric points that could not be pushed into the pipeline.",
            **self._labels,
        )
        self._success = self._requests("success")
        self._turned_away = self._requests("refused")
        self._failure = self._requests("failure")

    def accepted(self, points: int) -> None:
        """A request was taken with so many points."""
        self._success.add()
        self._accepted.add(points)

    def rejected(self, points: int, bound: str) -> None:
        """So many points of a request that was taken were not, because of ``bound``."""
        self._refused.add(points)
        self._registry.counter(
            "stepsize_receiver_rejected_metric_points",
            "{datapoint}",
            "Metric points of requests that were taken without them, by the bound that they broke.",
            bound=bound,
            **self._labels,
        ).add(points)

    def refused(self, bound: str, points: int = 0) -> None:
        """A request was turned away because of ``bound``; its points, where they were counted."""
        self._turned_away.add()
        self._refused.add(points)
        self._registry.counter(
            "stepsize_receiver_refused_requests",
            "{request}",
            "Requests and connections that were turned away, by the bound that they broke.",
            bound=bound,
            **self._labels,
        ).add()

    def failed(self) -> None:
        """A defect of ours."""
        self._failure.add()

    def _requests(self, outcome: str) -> Counter:
        return self._registry.counter(
            "otelcol_receiver_requests",
            "{request}",
            "The number of requests performed.",
            outcome=outcome,
            **self._labels,
        )
