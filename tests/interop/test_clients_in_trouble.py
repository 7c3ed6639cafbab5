"""The OpenTelemetry Collector as a client of ours when ours restarts, dies, refuses or stalls.

It is told to keep what it could not send and to try again, as people have it; then nothing may be lost, and nothing be
there twice, though it cannot know what of a request without an answer has arrived.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.collector.otlp import RequestBuilder, identity
from tests.collector.running import wait_for
from tests.interop.peers import OTELCOL
from tests.interop.processes import Addresses, collect_at, hand_over, otelcol
from tests.interop.tap import Tap

if TYPE_CHECKING:
    from tests.collector.running import Place, RunningCollector

pytestmark = [pytest.mark.peers, pytest.mark.needs(OTELCOL)]
PROTOCOLS = pytest.mark.parametrize("protocol", ["grpc", "http"])
POINTS = 20
"""In a request."""
KEEPING = {
    "timeout": "1s",
    "sending_queue": {"enabled": True, "num_consumers": 4, "queue_size": 10_000},
    "retry_on_failure": {
        "enabled": True,
        "initial_interval": "50ms",
        "max_interval": "200ms",
        "max_elapsed_time": "0s",  # never gives up
    },
}


@dataclass
class Scene:
    """A client that keeps what it cannot send, and a collector of ours that always listens at the same ports."""

    place: Place
    ours: Addresses
    tap: Tap
    client: Addresses
    handed_over: int = 0
    collectors: list[RunningCollector] = field(default_factory=list)

    def start(self, *processors: str) -> RunningCollector:
        """A collector of ours."""
        self.collectors.append(collect_at(self.place, self.ours, *processors))
        return self.collectors[-1]

    def hand_over(self, requests: int = 10) -> None:
        """Give the client numbered points."""
        for _ in range(requests):
            first, now = self.handed_over * POINTS, time.time_ns()
            points = [(now + number, first + number) for number in range(POINTS)]
            hand_over(self.client.http, RequestBuilder(identity()).gauge("numbered", points).message)
            self.handed_over += 1

    def arrived(self) -> list[int]:
        """Numbers in the lake, as often as they are there."""
        self.collectors[-1].flush()
        return [number for (number,) in self.place.rows("SELECT value_int FROM exact_points ORDER BY value_int")]

    def assert_all_once(self) -> None:
        """Every number arrives, once."""
        wait_for(lambda: len(set(self.arrived())) == self.handed_over * POINTS, "all points arrive")
        assert self.arrived() == list(range(self.handed_over * POINTS))

    def sent_twice(self) -> bool:
        """Whether the client has sent a request again."""
        counts = Counter(one.message.SerializeToString() for one in self.tap.sent())
        return max(counts.values(), default=0) > 1


@contextlib.contextmanager
def scene(place: Place, protocol: str) -> Iterator[Scene]:
    """A client with its relay before a collector that has yet to start."""
    ours = Addresses()
    with contextlib.closing(Tap(ours.grpc if protocol == "grpc" else ours.http)) as tap:
        to_grpc: dict[str, Any] = {"otlp": {"endpoint": tap.address, "tls": {"insecure": True}, **KEEPING}}
        to_http: dict[str, Any] = {"otlphttp": {"endpoint": f"http://{tap.address}", **KEEPING}}
        with otelcol(place, to_grpc if protocol == "grpc" else to_http) as client:
            yield Scene(place, ours, tap, client)


@PROTOCOLS
def test_restarts(place: Place, protocol: str) -> None:
    """It is not there at first, then ends and starts again twice while points come."""
    with scene(place, protocol) as trouble:
        trouble.hand_over()
        for _ in range(2):
            collector = trouble.start()
            trouble.hand_over()
            assert collector.terminate() == 0
            trouble.hand_over()
        trouble.start()
        trouble.hand_over()
        trouble.assert_all_once()


@PROTOCOLS
def test_kills(place: Place, protocol: str) -> None:
    """It is killed three times while points come: what it had written but not answered for is sent again."""
    with scene(place, protocol) as trouble:
        for _ in range(3):
            collector = trouble.start()
            trouble.hand_over()
            collector.process.kill()
            collector.process.wait()
            trouble.hand_over()
        trouble.start()
        trouble.assert_all_once()


@PROTOCOLS
def test_refusals(place: Place, protocol: str) -> None:
    """It answers that it has no memory (503, UNAVAILABLE) until it is started with more."""
    with scene(place, protocol) as trouble:
        refusing = trouble.start("memory_limiter")
        trouble.hand_over()
        wait_for(trouble.sent_twice, "the client sends again what was refused")
        assert trouble.arrived() == []
        assert refusing.terminate() == 0
        trouble.start()
        trouble.assert_all_once()


@PROTOCOLS
def test_stalls(place: Place, protocol: str) -> None:
    """It stops answering until the client has sent its requests again, then takes both."""
    with scene(place, protocol) as trouble:
        collector = trouble.start()
        trouble.hand_over(1)
        wait_for(trouble.tap.sent, "the client is connected")
        collector.process.send_signal(signal.SIGSTOP)
        try:
            trouble.hand_over()
            wait_for(trouble.sent_twice, "the client sends again what was not answered")
        finally:
            collector.process.send_signal(signal.SIGCONT)
        trouble.assert_all_once()


@PROTOCOLS
def test_answers_that_get_lost(place: Place, protocol: str) -> None:
    """It takes everything and is killed before an answer comes through: all of it is sent again, to the next one."""
    with scene(place, protocol) as trouble:
        collector = trouble.start()
        trouble.hand_over(1)
        trouble.assert_all_once()  # connected: gRPC asks nothing of a server that has not said a word
        trouble.tap.deaf.set()
        trouble.hand_over(4)  # as many as the client sends at once
        trouble.assert_all_once()
        collector.process.kill()
        collector.process.wait()
        trouble.tap.deaf.clear()
        before = len(trouble.tap.sent())
        trouble.start()
        wait_for(lambda: len(trouble.tap.sent()) >= before + 4, "the client sends all of it again")
        trouble.hand_over()
        trouble.assert_all_once()
