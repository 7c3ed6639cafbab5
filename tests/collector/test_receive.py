"""Requests of every kind that OTLP knows, to a running collector."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from typing import TYPE_CHECKING

import grpc
import pytest
from google.rpc import status_pb2
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from tests.collector.otlp import RequestBuilder, identity, pairs
from tests.collector.running import CONFIG, post_to_socket

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter

    from tests.collector.running import Place, RunningCollector

JSON = "application/json"


@pytest.fixture
def collector(place: Place) -> RunningCollector:
    return place.collect()


def gauge(value: float = 1.5, name: str = "loss") -> RequestBuilder:
    return RequestBuilder(identity()).gauge(name, [(time.time_ns(), value)], unit="1", batch="a")


def test_http_protobuf(place: Place, collector: RunningCollector) -> None:
    """A protobuf request is acknowledged with a protobuf response, and after a flush every column is in the view."""
    now = time.time_ns()
    request = RequestBuilder(identity()).gauge("loss", [(now, 1.5), (now + 1, 7)], unit="%", epoch=3)
    status, body, headers = collector.post(request.content())
    assert (status, headers["content-type"]) == (200, "application/x-protobuf")
    assert not ExportMetricsServiceResponse.FromString(body).HasField("partial_success")
    collector.flush()
    rows = place.rows(
        "SELECT epoch_ns(time) // 1000, metric, unit, kind, value, value_int, flow, run, step, task, attempt, host, "
        "service, attributes->>'epoch', resource->>'host.name' FROM points ORDER BY value"
    )
    common = ("loss", "%", "gauge")
    tags = ("TrainFlow", "17", "train", "1", 0, "worker-1", "TrainFlow", "3", "worker-1")
    assert rows == [
        (now // 1000, *common, 1.5, None, *tags),
        ((now + 1) // 1000, *common, 7.0, 7, *tags),
    ]
    assert place.rows("SELECT time_unix_nano FROM exact_points ORDER BY 1") == [(now,), (now + 1,)]


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
def test_compressed_chunked_and_expected(place: Place, collector: RunningCollector, encode: object) -> None:
    """Compressed bodies arrive whole, sent in chunks without a length, or after `100 Continue`."""
    content = gauge().content()
    name = "gzip" if encode is gzip.compress else "deflate"
    packed = encode(content)  # type: ignore[operator]  # an encoding of its own
    chunks = (packed[i : i + 7] for i in range(0, len(packed), 7))
    assert collector.post(chunks, content_encoding=name)[0] == 200
    again = encode(gauge(2.5).content())  # type: ignore[operator]  # an encoding of its own
    assert collector.post(again, content_encoding=name, expect="100-continue")[0] == 200
    collector.flush()
    assert place.rows("SELECT value FROM points ORDER BY 1") == [(1.5,), (2.5,)]


def test_json(place: Place, collector: RunningCollector) -> None:
    """JSON is read in OTLP's mapping: integers as text, ids of exemplars in hex, unknown fields ignored."""
    now = time.time_ns()
    point = {
        "timeUnixNano": str(now),
        "asInt": "9007199254740993",
        "attributes": [
            {"key": "epoch", "value": {"intValue": "3"}},
            {"key": "traceId", "value": {"stringValue": "zz"}},
        ],
        "exemplars": [{"timeUnixNano": str(now), "asDouble": 0.5, "traceId": "0af7651916cd43dd8448eb211c80319c"}],
        "fromTheFuture": True,
    }
    resource = {"attributes": [{"key": key, "value": {"stringValue": str(value)}} for key, value in identity().items()]}
    metric = {"name": "steps", "sum": {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": [point]}}
    request = {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [metric]}]}]}
    chunks = iter([json.dumps(request).encode()])
    status, body, headers = collector.post(chunks, kind=f"{JSON}; charset=utf-8")
    assert (status, body, headers["content-type"]) == (200, b"{}", JSON)
    collector.flush()
    rows = place.rows("SELECT value_int, temporality, monotonic, exemplars, attempt FROM exact_points")
    assert rows[0][:3] == (9007199254740993, "cumulative", True)
    assert json.loads(rows[0][3])[0]["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert rows[0][4] == 0


@pytest.mark.parametrize("protocol", ["grpc", "http", "http-gzip"])
def test_python_sdk(place: Place, collector: RunningCollector, protocol: str) -> None:
    """OpenTelemetry's own Python exporters deliver gauges, sums and both kinds of histograms through every protocol."""
    exporter: MetricExporter
    if protocol == "grpc":
        exporter = GrpcExporter(endpoint=collector.grpc, insecure=True)
    else:
        compression = Compression.Gzip if protocol == "http-gzip" else Compression.NoCompression
        exporter = HttpExporter(endpoint=f"http://{collector.http}/v1/metrics", compression=compression)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=60_000)
    provider = MeterProvider([reader], resource=Resource({"flow": "F", "run": "1", "step": "s"}))
    meter = provider.get_meter("test", "1.0")
    meter.create_counter("rows", unit="{row}").add(5, {"kind": "a"})
    meter.create_gauge("level").set(2.5)
    meter.create_histogram("latency", unit="s").record(0.3)
    provider.shutdown()
    collector.flush()
    assert place.rows("SELECT metric, kind, value, flow, run, step, task FROM points ORDER BY 1") == [
        ("level", "gauge", 2.5, "F", "1", "s", None),
        ("rows", "sum", 5.0, "F", "1", "s", None),
    ]
    assert place.rows('SELECT metric, count, "sum", "min", "max" FROM histograms') == [("latency", 1, 0.3, 0.3, 0.3)]
    assert place.rows("SELECT count(*) FROM tasks") == [(0,)]


def test_tags_on_points(place: Place, collector: RunningCollector) -> None:
    """Tags are taken from the points where the resource has none, under their full or their short names."""
    request = RequestBuilder({}).gauge("a", [(time.time_ns(), 1.0)], flow="F", run="1", step="s", task=7, attempt="2")
    request.gauge("b", [(time.time_ns(), 1.0)], stepsize__flow__name="G", flow="ignored")
    assert collector.post(request.content())[0] == 200
    collector.flush()
    assert place.rows("SELECT metric, flow, run, step, task, attempt FROM points ORDER BY 1") == [
        ("a", "F", "1", "s", "7", 2),
        ("b", "G", None, None, None, None),
    ]


def test_every_other_type(place: Place, collector: RunningCollector) -> None:
    """Histograms, exponential histograms and summaries keep all their fields; what is absent is NULL, not zero."""
    now = time.time_ns()
    request = RequestBuilder(identity())
    scope = request.message.resource_metrics[0].scope_metrics[0]
    histogram = scope.metrics.add(name="h").histogram
    histogram.aggregation_temporality = 1
    histogram.data_points.add(time_unix_nano=now, count=6, bucket_counts=[1, 2, 3], explicit_bounds=[0.5, 1.0], flags=1)
    exponential = scope.metrics.add(name="e").exponential_histogram.data_points.add(
        time_unix_nano=now, count=6, sum=-3.5, scale=-3, zero_count=1, zero_threshold=0.25
    )
    exponential.positive.offset = -2
    exponential.positive.bucket_counts.extend([3, 2])
    summary = scope.metrics.add(name="q").summary.data_points.add(time_unix_nano=now, count=2, sum=3.0)
    summary.quantile_values.add(quantile=0.5, value=1.0)
    assert collector.post(request.content())[0] == 200
    collector.flush()
    found = place.rows('SELECT temporality, count, "sum", "max", bucket_counts, explicit_bounds, flags FROM histograms')
    assert found == [("delta", 6, None, None, [1, 2, 3], [0.5, 1.0], 1)]
    found = place.rows(
        'SELECT count, "sum", scale, zero_count, zero_threshold, positive_offset, positive_bucket_counts, '
        "negative_bucket_counts FROM exponential_histograms"
    )
    assert found == [(6, -3.5, -3, 1, 0.25, -2, [3, 2], [])]
    found = place.rows('SELECT temporality, count, "sum", quantiles, quantile_values, flow FROM summaries')
    assert found == [(None, 2, 3.0, [0.5], [1.0], "TrainFlow")]


def test_refusals_over_http(collector: RunningCollector) -> None:
    """Each fault has its status, and a google.rpc.Status in the encoding of the request."""
    content = gauge().content()
    assert collector.post(b"\xff\xff\xff")[0] == 400
    assert collector.post(content[:-3])[0] == 400
    assert collector.post(b'{"resourceMetrics": 3}', kind=JSON)[0] == 400
    assert collector.post(b'{"resourceMetrics": [', kind=JSON)[0] == 400
    assert collector.post(b"[" * 100_000, kind=JSON)[0] == 400
    assert collector.post(b"not gzip", content_encoding="gzip")[0] == 400
    assert collector.post(gzip.compress(content)[:-4], content_encoding="gzip")[0] == 400
    assert collector.post(content, kind="text/csv")[0] == 415
    assert collector.post(content, content_encoding="br")[0] == 415
    status, _, headers = collector.post(None, method="GET")
    assert (status, headers["allow"]) == (405, "POST")
    status, body, headers = collector.post(b"\xff")
    assert headers["content-type"] == "application/x-protobuf"
    assert "ExportMetricsServiceRequest" in status_pb2.Status.FromString(body).message
    status, body, headers = collector.post(b"[]", kind=JSON)
    assert (status, headers["content-type"]) == (400, JSON)
    assert json.loads(body)["code"] == 3
    for path in ("/v1/traces", "/v1/logs"):
        status, body, _ = collector.post(content, path=path)
        assert status == 404
        assert b"metrics only" in body
    assert collector.post(content, path="/elsewhere")[0] == 404


def test_size_limits(place: Place) -> None:
    """Bodies that are too large, as sent or as they would unpack, get 413; headers 431; small ones still pass."""
    collector = place.collect(CONFIG.replace("http: {", "http: {max_request_body_size: 20000, "))
    assert collector.post(b"x" * 20_001)[0] == 413
    assert collector.post(iter([b"x" * 15_000, b"x" * 15_000]))[0] == 413
    assert collector.post(gzip.compress(bytes(10_000_000)), content_encoding="gzip")[0] == 413
    assert collector.post(b"", x_long="y" * 40_000)[0] == 431
    assert collector.post(gauge().content())[0] == 200


def test_partial_success(place: Place, collector: RunningCollector) -> None:
    """Metrics that cannot be stored are counted in the answer; the rest of the request is kept."""
    request = gauge()
    request.gauge("", [(time.time_ns(), 1.0), (time.time_ns(), 2.0)])
    status, body, _ = collector.post(request.content())
    partial = ExportMetricsServiceResponse.FromString(body).partial_success
    assert (status, partial.rejected_data_points) == (200, 2)
    assert "name" in partial.error_message
    collector.flush()
    assert place.rows("SELECT metric FROM points") == [("loss",)]


def test_refusals_over_grpc(collector: RunningCollector) -> None:
    """Bytes that are no request are INVALID_ARGUMENT; traces are UNIMPLEMENTED, in words."""
    with grpc.insecure_channel(collector.grpc) as channel:
        prefix = "/opentelemetry.proto.collector."
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary(f"{prefix}metrics.v1.MetricsService/Export")(b"\xff\xff")
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary(f"{prefix}trace.v1.TraceService/Export")(b"")
        assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
        assert "metrics only" in refused.value.details()


def test_unix_socket(place: Place, collector: RunningCollector) -> None:
    """The Unix socket takes OTLP/HTTP from who knows the token, and nothing from anybody else."""
    settings, content = place.settings, gauge().content()
    assert post_to_socket(settings, "/v1/metrics", content)[0] == 200
    assert post_to_socket(settings, "/v1/metrics", content, token="guess")[0] == 401
    assert post_to_socket(settings, "/control/stop", token="")[0] == 401
    assert collector.post(b"", path="/control/stop")[0] == 404
    collector.flush()
    assert place.rows("SELECT count(*) FROM points") == [(1,)]


def test_memory_limiter(place: Place) -> None:
    """Above the memory limit requests are refused so that a client sends them again: 503 with Retry-After."""
    config = CONFIG.replace("exporters: [parquet]", "processors: [memory_limiter], exporters: [parquet]")
    collector = place.collect(config + "processors: {memory_limiter: {limit_mib: 2, spike_limit_mib: 1}}\n")
    status, body, headers = collector.post(gauge().content())
    assert status == 503
    assert 1 <= int(headers["retry-after"]) <= 5
    assert "memory" in status_pb2.Status.FromString(body).message
    with grpc.insecure_channel(collector.grpc) as channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export")(gauge().content())
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


def test_strange_names(place: Place, collector: RunningCollector) -> None:
    """Names from outside reach no path and no SQL, and come back as they were sent."""
    names = ["../../etc/passwd", "o'clock; DROP VIEW tasks", "a\nb\0c", "\N{SNOWMAN}" * 3000, "", '{"x":']
    request = RequestBuilder({"bytes": b"\0\xff", "nested": {"a": [1, None, {"b": float("nan")}]}})
    for name in names:
        request.gauge("m", [(time.time_ns(), 1.0)], flow=name)
    assert collector.post(request.content())[0] == 200
    collector.flush()
    assert {flow for (flow,) in place.rows("SELECT flow FROM points")} == set(names)
    assert place.rows("SELECT DISTINCT resource->'nested' FROM points") == [('{"a":[1,null,{"b":"NaN"}]}',)]


def test_duplicate_request_counts_once(place: Place, collector: RunningCollector) -> None:
    """A request that is sent again because its answer got lost changes nothing."""
    content = gauge().content()
    for _ in range(3):
        assert collector.post(content)[0] == 200
    collector.flush()
    assert place.rows("SELECT count(*) FROM points") == [(1,)]


def test_resource_metrics_of_several(place: Place, collector: RunningCollector) -> None:
    """Several resources and scopes in one request stay apart."""
    request = gauge()
    other = request.message.resource_metrics.add(schema_url="https://opentelemetry.io/schemas/1.30.0")
    other.resource.attributes.extend(pairs(identity("2")))
    metric = other.scope_metrics.add().metrics.add(name="loss")
    metric.gauge.data_points.add(time_unix_nano=time.time_ns(), as_double=9.0)
    assert collector.post(request.content())[0] == 200
    collector.flush()
    assert place.rows("SELECT task, value FROM points ORDER BY 1") == [("1", 1.5), ("2", 9.0)]
    assert place.rows("SELECT scope FROM exact_points WHERE task = '2'") == [
        ('{"resource_schema_url":"https://opentelemetry.io/schemas/1.30.0"}',)
    ]
