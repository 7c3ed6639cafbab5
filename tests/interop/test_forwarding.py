"""Our collector hands on to the OpenTelemetry Collector."""

from __future__ import annotations

import contextlib
import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.collector.otlp import RequestBuilder, identity
from tests.collector.running import wait_for
from tests.interop.corpus import everything
from tests.interop.peers import OTELCOL
from tests.interop.processes import Addresses, otelcol
from tests.interop.rows import assert_equal, points_in, stored, wanted
from tests.interop.sent import messages_in
from tests.interop.tap import Tap

if TYPE_CHECKING:
    from pathlib import Path

    from tests.collector.running import Place, RunningCollector

pytestmark = [pytest.mark.peers, pytest.mark.needs(OTELCOL)]
EXPORTERS = {"grpc": "otlp", "http/protobuf": "otlphttp", "http/json": "otlphttp"}


def forwarding(place: Place, exporters: dict[str, Any]) -> RunningCollector:
    """A collector of ours with a lake and these exporters."""
    local = {"endpoint": "127.0.0.1:0"}
    config = {
        "receivers": {"otlp": {"protocols": {"grpc": local, "http": local}}},
        "exporters": {"parquet": {}, **exporters},
        "service": {"pipelines": {"metrics": {"receivers": ["otlp"], "exporters": ["parquet", *exporters]}}},
    }
    return place.collect(json.dumps(config))  # which is YAML


def exporter(protocol: str, address: str, compression: str = "gzip") -> dict[str, Any]:
    """The section of our exporter, which tries again soon."""
    retry = {"initial_interval": "50ms", "max_interval": "200ms", "max_elapsed_time": "0s"}
    both = {"compression": compression, "timeout": "1s", "retry_on_failure": retry}
    if protocol == "grpc":
        return {"otlp": {"endpoint": address, "tls": {"insecure": True}, **both}}
    encoding = "json" if protocol == "http/json" else "proto"
    return {"otlphttp": {"endpoint": f"http://{address}", "encoding": encoding, **both}}


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", "http/json"])
def test_everything_goes_on(place: Place, protocol: str, compression: str) -> None:
    """Every field, through each of our exporters: as it passed, as the Collector and as our own `file` wrote it."""
    message, theirs, ours = everything(time.time_ns()), place.home / "theirs.json", place.home / "ours.json"
    relay = Addresses()
    with (
        otelcol(place, {"file": {"path": str(theirs)}}, relay),
        contextlib.closing(Tap(relay.grpc if protocol == "grpc" else relay.http)) as tap,
    ):
        exporters = exporter(protocol, tap.address, compression)
        collector = forwarding(place, {"file": {"path": str(ours)}, **exporters})
        assert collector.post(message.SerializeToString())[0] == 200
        wait_for(lambda: points_in(one.message for one in tap.sent()) >= points_in([message]), "the points pass")
        sent = tap.sent()
        assert {(one.protocol, one.compression) for one in sent} == {
            (protocol, compression.replace("none", "identity"))
        }
        collector.flush()
        assert_equal(stored(place.settings.data), wanted([message]))
        assert collector.terminate() == 0
    expected = wanted([message])
    assert_equal(wanted(one.message for one in sent), expected)
    assert_equal(wanted(messages_in(theirs)), expected)
    assert_equal(wanted(messages_in(ours)), expected)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_nothing_is_lost_while_either_is_away(place: Place, protocol: str) -> None:
    """The other one starts late and is replaced; ours is killed meanwhile: what was acknowledged reaches both in full.

    What was under way at a kill may come twice to the other one, which cannot know; to our lake it does not.
    """
    relay, file = Addresses(), place.home / "theirs.json"
    exporters = exporter(protocol, relay.grpc if protocol == "grpc" else relay.http)
    theirs = {"file": {"path": str(file), "append": True, "flush_interval": "50ms"}}
    collector, count = forwarding(place, exporters), 0
    for away in ("the other one", "ours", "the other one again"):
        count = hand_over(collector, count)  # nobody is there to take them
        if away == "ours":
            collector.process.kill()
            collector.process.wait()
            collector = forwarding(place, exporters)
        with otelcol(place, theirs, relay):
            count = hand_over(collector, count)
            wait_for(partial(has_all, file, count), f"all points reach it after {away} was away")
    collector.flush()
    in_lake = [number for (number,) in place.rows("SELECT value_int FROM exact_points ORDER BY value_int")]
    assert in_lake == list(range(count))


def hand_over(collector: RunningCollector, count: int) -> int:
    """Send numbered points, from ``count`` on; returns the next number."""
    for first in range(count, count + 200, 20):
        points = [(time.time_ns() + number, number) for number in range(first, first + 20)]
        assert collector.post(RequestBuilder(identity()).gauge("numbered", points).content())[0] == 200
    return count + 200


def has_all(file: Path, count: int) -> bool:
    """Whether the numbers up to ``count`` are in a file of the Collector's."""
    return {row["value_int"] for row in wanted(messages_in(file))["exact_points"]} == set(range(count))
