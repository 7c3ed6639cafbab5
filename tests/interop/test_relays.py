"""Other collectors that take OTLP and hand it on to ours: the OpenTelemetry Collector, and rotel."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.collector.otlp import RequestBuilder, identity
from tests.collector.running import wait_for
from tests.interop.arrivals import line
from tests.interop.corpus import everything
from tests.interop.peers import OTELCOL, ROTEL
from tests.interop.processes import hand_over, otelcol, rotel
from tests.interop.rows import assert_equal, points_in, stored, wanted
from tests.interop.sent import messages_in

if TYPE_CHECKING:
    from tests.collector.running import Place, RunningCollector
    from tests.interop.arrivals import Line

pytestmark = pytest.mark.peers
KINDS = {
    *("gauge", "summary", "sum unspecified", "sum delta", "sum cumulative", "histogram delta", "histogram cumulative"),
    *("exponential_histogram delta", "exponential_histogram cumulative"),
}


def all_of(peer: Line, message: Any) -> bool:
    """Whether as many points have come by as the request has."""
    return points_in(one.message for one in peer.tap.sent()) >= points_in([message])


@pytest.mark.needs(OTELCOL)
@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", "http/json"])
def test_the_opentelemetry_collector(
    place: Place, collector: RunningCollector, protocol: str, compression: str
) -> None:
    """Everything that OpenTelemetry has, through the Collector: as it passed it on, and as it wrote it to its file."""
    message, file = everything(time.time_ns()), place.home / "otelcol.json"
    with line(place, collector, protocol, compression.replace("none", "identity")) as peer:
        exporters = {"file": {"path": str(file)}, **exporter(peer, compression)}
        with otelcol(place, exporters) as relay:
            hand_over(relay.http, message)
            wait_for(lambda: all_of(peer, message), "the points pass")
        sent = peer.assert_arrived(KINDS)
    passed = wanted(one.message for one in sent)
    assert_equal(passed, wanted(messages_in(file)))
    assert_equal(passed, wanted([message]))


class Direct(NamedTuple):
    """A collector that is reached without a tap."""

    protocol: str
    address: str


def exporter(peer: Line | Direct, compression: str) -> dict[str, Any]:
    """The section of the Collector's exporter."""
    address = peer.address if isinstance(peer, Direct) else peer.tap.address
    if peer.protocol == "grpc":
        return {"otlp": {"endpoint": address, "tls": {"insecure": True}, "compression": compression}}
    encoding = "json" if peer.protocol == "http/json" else "proto"
    return {"otlphttp": {"endpoint": f"http://{address}", "encoding": encoding, "compression": compression}}


@pytest.mark.needs(OTELCOL)
@pytest.mark.parametrize("compression", ["zlib", "deflate"])
def test_the_opentelemetry_collector_with_other_compressions(
    place: Place, collector: RunningCollector, compression: str
) -> None:
    """Both names of zlib's format."""
    message = everything(time.time_ns())
    with line(place, collector, "http/protobuf", compression) as peer:
        with otelcol(place, exporter(peer, compression)) as relay:
            hand_over(relay.http, message)
            wait_for(lambda: all_of(peer, message), "the points pass")
        peer.assert_arrived(KINDS)


@pytest.mark.needs(OTELCOL)
def test_the_opentelemetry_collector_with_every_compression(place: Place, collector: RunningCollector) -> None:
    """All that the Collector can pack with, over both protocols: each request is taken, equal in every field."""
    ways = {"grpc": ("snappy", "zstd"), "http/protobuf": ("snappy", "zstd", "lz4", "x-snappy-framed")}
    for place_in_line, (protocol, compression) in enumerate((p, c) for p, all_c in ways.items() for c in all_c):
        message = everything(time.time_ns() + place_in_line)
        direct = Direct(protocol, collector.grpc if protocol == "grpc" else collector.http)
        file = place.home / f"{place_in_line}.json"
        with otelcol(place, {"file": {"path": str(file)}, **exporter(direct, compression)}) as relay:
            hand_over(relay.http, message)

            def is_stored(before: int = place_in_line, points: int = points_in([message])) -> bool:
                collector.flush()
                return sum(map(len, stored(place.settings.data).values())) == (before + 1) * points

            wait_for(is_stored, f"{compression} over {protocol} is stored")
    files = [place.home / f"{number}.json" for number in range(6)]
    assert_equal(stored(place.settings.data), wanted(one for file in files for one in messages_in(file)))


@pytest.mark.needs(OTELCOL)
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_many_tasks_in_large_batches(place: Place, collector: RunningCollector, protocol: str) -> None:
    """Small requests of many tasks that the Collector puts together to one large one."""
    tasks, count = 50, 200
    batch = {"timeout": "60s", "send_batch_size": tasks * count}
    with line(place, collector, protocol, "gzip") as peer, otelcol(place, exporter(peer, "gzip"), batch=batch) as relay:
        now = time.time_ns()
        for task in range(tasks):
            points = [(now + second * 10**9, second / 7) for second in range(-count, 0)]
            hand_over(relay.http, RequestBuilder(identity(str(task))).gauge("usage", points, mode="user").message)
        wait_for(peer.tap.sent, "the batch passes")
        (sent,) = peer.assert_arrived({"gauge"})
    assert points_in([sent.message]) == tasks * count
    assert sent.message.ByteSize() > 1 << 18
    assert place.rows("SELECT count(DISTINCT task), count(DISTINCT (task, time)) FROM points") == [
        (tasks, tasks * count)
    ]


@pytest.mark.needs(ROTEL)
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_rotel(place: Place, collector: RunningCollector, protocol: str) -> None:
    """Everything that rotel knows: it drops references to entities. It compresses even where it is told not to."""
    message = everything(time.time_ns())
    message.resource_metrics[0].resource.ClearField("entity_refs")
    with line(place, collector, protocol, "gzip") as peer:
        endpoint, spoken = f"http://{peer.tap.address}", protocol.partition("/")[0]
        with rotel(place, "--otlp-exporter-endpoint", endpoint, "--otlp-exporter-protocol", spoken) as relay:
            hand_over(relay.http, message)
            wait_for(lambda: all_of(peer, message), "the points pass")
        sent = peer.assert_arrived(KINDS)
    assert_equal(wanted(one.message for one in sent), wanted([message]))
