"""OpenTelemetry's Python SDK and its exporters, as programs use them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import (
    AlwaysOnExemplarFilter,
    Counter,
    Histogram,
    MeterProvider,
    UpDownCounter,
)
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from tests.interop.arrivals import EVERY_SUM, line, relenting
from tests.interop.corpus import DOUBLES, INT64, SPECIAL_DOUBLES, TEXTS

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter

    from tests.collector.running import Place, RunningCollector
    from tests.interop.arrivals import Line

TEMPORALITIES = (AggregationTemporality.DELTA, AggregationTemporality.CUMULATIVE)
TIMEOUT_S = 60
"""So long an exporter tries."""
VALUES: dict[str, Any] = {
    **{name: text for name, text in TEXTS.items() if name},  # the SDK refuses a key without a name
    "true": True,
    "int": 2**63 - 1,
    "nan": math.nan,
    "texts": ["a", "", "ü"],
    "ints": [1, -(2**63)],
    "doubles": [0.5, math.inf],
    "booleans": [True, False],
}


def exporter(line: Line, temporality: AggregationTemporality) -> MetricExporter:
    preferred = {Counter: temporality, UpDownCounter: temporality, Histogram: temporality}
    if line.protocol == "grpc":
        compression = grpc.Compression.Gzip if line.compression == "gzip" else grpc.Compression.NoCompression
        return GrpcExporter(
            line.tap.address,
            insecure=True,
            compression=compression,
            preferred_temporality=dict(preferred),
            timeout=TIMEOUT_S,
        )
    return HttpExporter(
        f"http://{line.tap.address}/v1/metrics",
        compression=Compression.Gzip if line.compression == "gzip" else Compression.NoCompression,
        preferred_temporality=dict(preferred),
        timeout=TIMEOUT_S,
    )


def special(_options: CallbackOptions) -> list[Observation]:
    """What synchronous instruments refuse."""
    return [Observation(value, {"value": str(value)}) for value in SPECIAL_DOUBLES]


def record(provider: MeterProvider) -> None:
    meter = provider.get_meter("interop ✓", "1.0", "https://opentelemetry.io/schemas/1.30.0", {"scope": [1, 2]})
    integers, doubles = meter.create_gauge("gauge.int", "{row}", "Integers ✓"), meter.create_gauge("gauge.double")
    for value in INT64:
        integers.set(value, {"value": str(value)})
    for number in DOUBLES:
        doubles.set(number, {"value": str(number)})
    meter.create_counter("counter.int", "By").add(2**62 - 1, VALUES)  # twice is the most there is but one
    meter.create_counter("counter.double", "By").add(0.1)
    meter.create_up_down_counter("up.down").add(-5, {"a": ""})
    tracer = TracerProvider().get_tracer("interop")
    for name in ("histogram", "exponential"):
        histogram = meter.create_histogram(name, "s")
        with tracer.start_as_current_span("traced"):
            for number in (0.0, 1e-9, 0.3, 7, 1e9):
                histogram.record(number, {"route": "/"})


@pytest.mark.parametrize("compression", ["identity", "gzip"])
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_python_sdk(place: Place, collector: RunningCollector, protocol: str, compression: str) -> None:
    """Every instrument, both temporalities, exemplars of traced measurements: equal in every field."""
    with line(place, collector, protocol, compression) as peer:
        for temporality in TEMPORALITIES:
            reader = PeriodicExportingMetricReader(exporter(peer, temporality), export_interval_millis=3_600_000)
            provider = MeterProvider(
                [reader],
                Resource(VALUES, "https://opentelemetry.io/schemas/1.29.0"),
                exemplar_filter=AlwaysOnExemplarFilter(),
                views=[View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation())],
            )
            provider.get_meter("observed").create_observable_gauge("special", [special])
            record(provider)
            assert provider.force_flush(10_000)
            record(provider)
            provider.shutdown()
        sent = peer.assert_arrived({"gauge", *EVERY_SUM})
    assert len(sent) == 4
    assert any("trace_id" in str(one.message) for one in sent)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_what_was_refused_is_sent_again(place: Place, protocol: str) -> None:
    """A collector without memory refuses so that the SDK understands; once it has some, it gets what it refused."""
    with relenting(place, protocol) as peer:
        reader = PeriodicExportingMetricReader(exporter(peer, AggregationTemporality.DELTA), 3_600_000)
        provider = MeterProvider([reader])
        provider.get_meter("interop").create_counter("counter").add(1)
        provider.shutdown()
        peer.assert_arrived({"sum delta"})
