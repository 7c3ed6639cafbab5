"""What a peer has sent through a tap, held to what the collector behind it has stored."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.collector.running import wait_for
from tests.interop.processes import Addresses, collect_at, relent
from tests.interop.rows import assert_equal, points_in, stored, wanted
from tests.interop.tap import Tap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.collector.running import Place, RunningCollector
    from tests.interop.sent import Sent

EVERY_SUM = {
    f"{kind} {temporality}"
    for kind in ("sum", "histogram", "exponential_histogram")
    for temporality in ("delta", "cumulative")
}
"""What an SDK sends that has counters and both kinds of histograms, once with either temporality."""


@dataclass
class Line:
    """A collector and the tap that peers reach it through.

    Attributes:
        protocol: what the peer is to speak: ``grpc``, ``http/protobuf`` or ``http/json``.
        compression: ``gzip`` or ``identity``.
    """

    place: Place
    collector: RunningCollector
    tap: Tap
    protocol: str
    compression: str

    def assert_arrived(self, kinds: set[str]) -> list[Sent]:
        """All that was sent is stored, equal in every field, and nothing else; returns what was sent.

        Args:
            kinds: the types of metrics that the peer must have sent.
        """
        sent = self.tap.sent()
        assert {one.protocol for one in sent} == {self.protocol}
        # A client may choose not to compress: grpc-js does so once a server built on gRPC's C core has answered.
        compressions = {one.compression for one in sent}
        assert self.compression in compressions, compressions
        assert kinds_of(sent) == kinds
        messages = _once(sent)
        with contextlib.suppress(AssertionError):  # what is missing is said below
            wait_for(lambda: self._stored_points() >= points_in(messages), "what the tap has seen is taken and stored")
        assert_equal(stored(self.place.settings.data), wanted(messages))
        return sent

    def _stored_points(self) -> int:
        self.collector.flush()
        return sum(map(len, stored(self.place.settings.data).values()))


@contextlib.contextmanager
def relenting(place: Place, protocol: str) -> Iterator[Line]:
    """A collector that refuses until what it refused is sent again; then it takes it."""
    ours = Addresses()
    collector = collect_at(place, ours, "memory_limiter")
    with line(place, collector, protocol, "identity") as made, ThreadPoolExecutor(1) as waiting:
        relented = waiting.submit(_relent_when_asked_again, made, ours)
        yield made
        relented.result()


def _relent_when_asked_again(refusing: Line, ours: Addresses) -> None:
    wait_for(lambda: len(refusing.tap.sent()) > 1, "a request is sent again")
    relent(refusing.collector, ours)


@contextlib.contextmanager
def line(place: Place, collector: RunningCollector, protocol: str, compression: str) -> Iterator[Line]:
    """A tap in front of the port of a protocol."""
    tap = Tap(collector.grpc if protocol == "grpc" else collector.http)
    with contextlib.closing(tap):
        yield Line(place, collector, tap, protocol, compression)


def _once(sent: list[Sent]) -> list[Any]:
    """The messages, without those that were sent again."""
    return list({one.message.SerializeToString(deterministic=True): one.message for one in sent}.values())


def kinds_of(sent: list[Sent]) -> set[str]:
    """Types of metrics in requests; of sums and histograms with their temporality."""
    kinds = set()
    for metric in (
        metric
        for one in sent
        for resource_metrics in one.message.resource_metrics
        for scope_metrics in resource_metrics.scope_metrics
        for metric in scope_metrics.metrics
    ):
        kind = metric.WhichOneof("data")
        temporality = getattr(getattr(metric, kind), "aggregation_temporality", None)
        kinds.add(kind if temporality is None else f"{kind} {('unspecified', 'delta', 'cumulative')[temporality]}")
    return kinds
