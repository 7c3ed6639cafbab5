"""The decoder against a naive reading of the same bytes with the full schema."""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import tracemalloc
from typing import Any

from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from stepsize.collector.decode.arrow import tables
from stepsize.collector.decode.batch import Batch
from stepsize.collector.decode.decoder import Decoder
from stepsize.collector.limits import ClockBounds
from stepsize.store.schema import POINTS
from tests.collector.otlp import pairs

RECEIVED = 1_790_000_000 * 10**9
texts = st.text(st.characters(codec="utf-8"), max_size=6)
scalars = st.one_of(
    texts, st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans(), st.binary(max_size=4), st.none()
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
keys = st.sampled_from(["flow", "run", "stepsize.flow.name", "stepsize.task.attempt", "attempt", "host.name", "a", "b"])
attribute_sets = st.dictionaries(keys, values, max_size=4)
times = st.one_of(st.integers(0, 2**64 - 1), st.integers(RECEIVED - 10**9, RECEIVED + 10**9))
numbers = st.one_of(st.none(), st.floats(), st.integers(-(2**63), 2**63 - 1))
points = st.lists(st.tuples(times, times, numbers, attribute_sets, st.integers(0, 3)), max_size=4)
metrics = st.lists(
    st.tuples(texts, texts, texts, st.sampled_from(["gauge", "sum"]), st.integers(0, 2), points), max_size=3
)
requests = st.lists(st.tuples(attribute_sets, texts, metrics), max_size=3)


def build(resources: Any) -> ExportMetricsServiceRequest:
    message = ExportMetricsServiceRequest()
    for attributes, scope, metrics_ in resources:
        one = message.resource_metrics.add()
        one.resource.attributes.extend(pairs(attributes))
        inner = one.scope_metrics.add()
        inner.scope.name = scope
        for name, unit, description, kind, temporality, points_ in metrics_:
            metric = inner.metrics.add(name=name, unit=unit, description=description)
            data = getattr(metric, kind)
            data.SetInParent()
            if kind == "sum":
                data.aggregation_temporality, data.is_monotonic = temporality, True
            for time, start, value, labels, flags in points_:
                point = data.data_points.add(
                    time_unix_nano=time, start_time_unix_nano=start, attributes=pairs(labels), flags=flags
                )
                if isinstance(value, int):
                    point.as_int = value
                elif value is not None:
                    point.as_double = value
    return message


def plain(value: Any) -> Any:
    """A value as JSON text can say it."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def tag(name: str, full: str, resource: dict[str, Any], labels: dict[str, Any]) -> str | None:
    for found in (resource.get(full), labels.get(full), resource.get(name), labels.get(name)):
        if found is not None:
            return str(plain(found))
    return None


def expected(resources: Any) -> list[dict[str, Any]]:
    rows = []
    for attributes, scope, metrics_ in resources:
        for name, unit, description, kind, temporality, points_ in metrics_:
            for time, start, value, labels, flags in points_:
                host = attributes.get("host.name")
                rows.append(
                    {
                        "metric": name,
                        "unit": unit,
                        "description": description,
                        "kind": kind,
                        "temporality": None if kind == "gauge" else ("unspecified", "delta", "cumulative")[temporality],
                        "monotonic": None if kind == "gauge" else True,
                        "flow": tag("flow", "stepsize.flow.name", attributes, labels),
                        "run": tag("run", "stepsize.run.id", attributes, labels),
                        "host": None if host is None else str(plain(host)),
                        "attributes": plain(labels),
                        "resource": plain(attributes),
                        "scope": {"name": scope} if scope else {},
                        "time_unix_nano": min(time, 2**63 - 1),
                        "start_time_unix_nano": min(start, 2**63 - 1),
                        "flags": flags,
                        "received_at_unix_nano": RECEIVED,
                        "value_double": repr(value) if isinstance(value, float) else None,
                        "value_int": value if isinstance(value, int) else None,
                    }
                )
    return rows


def found(batch: Batch) -> list[dict[str, Any]]:
    rows = []
    for table in tables(batch, ClockBounds()).get("points", {}).values():
        assert table.schema == POINTS
        for row in table.to_pylist():
            for name in ("attributes", "resource", "scope"):
                row[name] = json.loads(row[name])
            row["value_double"] = None if row["value_double"] is None else repr(row["value_double"])
            rows.append(
                {
                    name: value
                    for name, value in row.items()
                    if name not in ("step", "task", "attempt", "service", "metadata", "exemplars")
                }
            )
    return rows


def comparable(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(repr(sorted(row.items())) for row in rows)


@settings(deadline=None, max_examples=150)
@given(st.lists(requests, max_size=3))
def test_equals_a_naive_decode(several: list[Any]) -> None:
    """Every field of every point is what the full schema reads, over several requests and with warm caches."""
    check(several, Decoder())


@settings(deadline=None, max_examples=50)
@given(st.lists(requests, max_size=3), st.integers(0, 4000))
def test_forgetting_changes_nothing(several: list[Any], vocabulary_bytes: int) -> None:
    """However little it may keep, the decoder reads the same."""
    check(several, Decoder(vocabulary_bytes))


def check(several: list[Any], decoder: Decoder) -> None:
    for _ in range(2):
        batch = decoder.begin()
        for one in (several[:1], several[1:]):
            decoder.add(batch, [build(resources).SerializeToString() for resources in one], [RECEIVED] * len(one))
        wanted = [row for resources in several for row in expected(resources)]
        assert batch.count == len(wanted)
        assert comparable(found(batch)) == comparable(wanted)


@settings(deadline=None, max_examples=100)
@given(requests, st.integers(0, 3))
def test_a_message_in_parts_is_merged(resources: Any, at: int) -> None:
    """A sender may write a message as several fields, which every reader of protobuf merges: so does this one."""
    message = build(resources)
    content = in_parts(message, at)
    assert ExportMetricsServiceRequest.FromString(content) == message
    assert decoded(content) == decoded(message.SerializeToString())


@settings(deadline=None, max_examples=500)
@given(requests, st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=3), st.booleans())
def test_odd_bytes_are_read_as_the_full_schema_reads_them(
    resources: Any, changes: list[tuple[int, int]], inserts: bool
) -> None:
    """Of whatever bytes the full schema accepts, exactly what it reads is stored."""
    content = bytearray(build(resources).SerializeToString() or b"\n\x00")
    for place, byte in changes:
        at = place % len(content)
        content[at : at + (not inserts)] = bytes([byte])
    try:
        message = ExportMetricsServiceRequest.FromString(bytes(content))
    except DecodeError:
        return  # the receiver refuses it
    known = ExportMetricsServiceRequest()
    known.CopyFrom(message)
    known.DiscardUnknownFields()
    assert decoded(bytes(content)) == decoded(known.SerializeToString())


def decoded(content: bytes) -> tuple[int, list[str]]:
    """How many points, and the rows of gauges and sums."""
    decoder = Decoder()
    batch = decoder.begin()
    decoder.add(batch, [content, content], [RECEIVED, RECEIVED])
    return batch.count, comparable(found(batch))


def in_parts(message: ExportMetricsServiceRequest, at: int) -> bytes:
    """The request with each resource and each metric's points in two fields."""
    content = b""
    for one in message.resource_metrics:
        scopes = b""
        for scope in one.scope_metrics:
            rest = type(scope)()
            rest.CopyFrom(scope)
            del rest.metrics[:]
            inner = rest.SerializeToString()
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                first, second = type(metric)(), type(metric)()
                first.CopyFrom(metric)
                del getattr(first, kind).data_points[at:]
                getattr(second, kind).data_points.extend(getattr(metric, kind).data_points[at:])
                inner += field(2, first.SerializeToString() + second.SerializeToString())
            scopes += field(2, inner)
        halves = [type(one)(), type(one)()]
        halves[0].resource.attributes.extend(one.resource.attributes[:at])
        halves[1].resource.attributes.extend(one.resource.attributes[at:])
        content += field(1, halves[0].SerializeToString() + scopes + halves[1].SerializeToString())
    return content


def field(number: int, content: bytes) -> bytes:
    length, written = len(content), bytearray([number << 3 | 2])
    while length > 127:
        written.append(length & 127 | 128)
        length >>= 7
    return bytes([*written, length]) + content


@settings(deadline=None)
@given(st.lists(st.tuples(times, st.integers(0, 2**62)), max_size=6))
def test_every_point_lies_under_one_believable_day(arrivals: list[tuple[int, int]]) -> None:
    """A point's day is that of its time, or of its arrival where the time is further off than the bounds."""
    decoder = Decoder()
    batch = decoder.begin()
    contents = [build([({}, "", [("m", "", "", "gauge", 0, [(time, 0, 1.0, {}, 0)])])]) for time, _ in arrivals]
    decoder.add(batch, [one.SerializeToString() for one in contents], [received for _, received in arrivals])
    day_ns, stored = 86_400 * 10**9, 0
    for partition, table in tables(batch, ClockBounds(future_s=60, past_s=3600)).get("points", {}).items():
        for row in table.to_pylist():
            time, received = row["time_unix_nano"], row["received_at_unix_nano"]
            believed = -3600 <= (time - received) / 1e9 <= 60
            assert partition == f"day={_date((time if believed else received) // day_ns)}"
            stored += 1
    assert stored == len(arrivals)


def _date(day: int) -> str:
    return str(dt.date(1970, 1, 1) + dt.timedelta(days=day))


def test_memory_is_bounded_whatever_is_sent() -> None:
    """Resources, scopes, metrics or attributes that are never the same again do not gather, points or none."""
    decoder = Decoder(vocabulary_bytes=1 << 20)

    def send(number: int) -> None:
        label = f"{number:032d}" * 1000
        resource = {"a": label} if number % 4 == 0 else {}
        scope, name = label if number % 4 == 1 else "", label if number % 4 == 2 else ""
        points = [(1, 1, 1.0, {"a": label}, 0)] if number % 4 == 3 else []
        request = build([(resource, scope, [(name, "", "", "gauge", 0, points)])])
        decoder.add(decoder.begin(), [request.SerializeToString()], [RECEIVED])

    tracemalloc.start()
    try:
        for number in range(400):
            send(number)
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held_bytes < 8 << 20  # of the 12 MiB and more that were sent: the bound, and what decoding makes of it
