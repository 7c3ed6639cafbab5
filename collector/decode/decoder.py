"""Validated OTLP requests to columns of points.

What comes in: the bytes of ``ExportMetricsServiceRequest`` messages that the full schema accepted, with their times of
arrival. What goes out: a :class:`~stepsize.collector.decode.batch.Batch` with every field of every point. Never does
I/O, never drops a point.

Requests are read many at a time, into Arrow columns. Resources, scopes, metrics and attribute sets are looked up by
their raw bytes and decoded once: tasks send the same ones with every export. What is kept of them is bounded: a batch
that begins when it is full has a new vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2

from stepsize.collector.decode.batch import IDS, NUMBERS, Batch, Distributions
from stepsize.collector.decode.codes import Codes, combined, encoded, encoded_lists
from stepsize.collector.decode.distributions import (
    INT64_MAX,
    exemplar_text,
    exponential_histogram_row,
    histogram_row,
    summary_row,
)
from stepsize.collector.decode.flat import DISTRIBUTION_KINDS, NUMBER_KINDS, FlatReader, FlatRequests
from stepsize.collector.decode.values import attributes, json_text
from stepsize.collector.decode.vocabulary import Metric, Vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VOCABULARY_BYTES = 64 << 20
"""Bound of the vocabulary, as far as it can be weighed: twice as much memory, for 30,000 tasks that send at a time."""
_TEMPORALITIES = {0: "unspecified", 1: "delta", 2: "cumulative"}
_DISTRIBUTIONS: dict[str, tuple[Any, Callable[[Any], dict[str, Any]], str]] = {
    "histogram": (metrics_pb2.Histogram, histogram_row, "histograms"),
    "exponential_histogram": (metrics_pb2.ExponentialHistogram, exponential_histogram_row, "exponential_histograms"),
    "summary": (metrics_pb2.Summary, summary_row, "summaries"),
}
"""Field of ``Metric`` → its message, the row of one of its points, and the table of the lake."""


class _Owners(NamedTuple):
    """For each metric of some requests: numbers of its resource and scope, and when its request arrived."""

    resource: pa.Array
    scope: pa.Array
    received: pa.Array


class Decoder:
    """Decodes requests; keeps what it has decoded of resources, metrics and attributes, up to ``vocabulary_bytes``."""

    def __init__(self, vocabulary_bytes: int = VOCABULARY_BYTES) -> None:
        self._reader = FlatReader()
        self._vocabulary_bytes = vocabulary_bytes
        self._vocabulary = Vocabulary()

    def begin(self) -> Batch:
        """A batch without points."""
        if self._vocabulary.size_bytes > self._vocabulary_bytes:
            self._vocabulary = Vocabulary()
        return Batch(self._vocabulary)

    def add(self, batch: Batch, requests: Sequence[bytes], received_at_unix_nano: Sequence[int]) -> None:
        """Add the points of requests to ``batch``, which is unchanged where this fails.

        Raises:
            ValueError: one of the requests is none, or has text that is no text; ``DecodeError`` is one of these.
        """
        if not requests:
            return
        flat = self._reader.read(requests)
        arrivals = pa.array(received_at_unix_nano, pa.int64())
        lengths = pa.array(list(map(len, requests)), pa.int64())
        differing = pc.not_equal(flat.sizes(), lengths)
        if pc.any(differing).as_py():
            plain = [
                _written_plainly(request) if differs else request
                for request, differs in zip(requests, differing.to_pylist(), strict=True)
            ]
            flat = self._reader.read(plain)
        vocabulary = batch.vocabulary
        owners = _owners(vocabulary, flat, arrivals)
        numbers = _numbers(vocabulary, flat, owners)
        distributions = _distributions(vocabulary, flat, owners)
        batch.parts.append(numbers)
        batch.count += numbers.num_rows
        for table, found in distributions.items():
            known = batch.distributions.setdefault(table, Distributions())
            for name in IDS:
                known.ids[name].extend(found.ids[name])
            known.rows += found.rows
            batch.count += len(found.rows)


def _written_plainly(request: bytes) -> bytes:
    """The request with the parts of each message merged, as the full schema reads it."""
    content: bytes = ExportMetricsServiceRequest.FromString(request).SerializeToString()
    return content


def _owners(vocabulary: Vocabulary, flat: FlatRequests, arrivals: pa.Array) -> _Owners:
    contents = combined(
        encoded(flat.resource_metrics.field("resource")), encoded(flat.resource_metrics.field("schema_url"))
    )
    resources = _numbered(contents, vocabulary.resource)
    extras = encoded(resources)
    extra_of = Codes(extras.rows, [vocabulary.resources[number].extra for number in extras.values])
    said = combined(
        encoded(flat.scope_metrics.field("scope")),
        encoded(flat.scope_metrics.field("schema_url")),
        _merged(extra_of).of(flat.resource_of),
    )
    scopes = _numbered(said, vocabulary.scope)
    resource_of_metric = flat.resource_of.take(flat.scope_of)
    return _Owners(
        resource=resources.take(resource_of_metric),
        scope=scopes.take(flat.scope_of),
        received=arrivals.take(flat.request_of.take(resource_of_metric)),
    )


def _merged(codes: Codes) -> Codes:
    """The same rows with equal values under one code."""
    numbers = {value: number for number, value in enumerate(dict.fromkeys(codes.values))}
    places = pa.array([numbers[value] for value in codes.values], pa.int32())
    return Codes(places.take(codes.rows), list(numbers))


def _numbered(codes: Codes, number: Callable[..., int]) -> pa.Array:
    """Numbers of the vocabulary for rows of tuples."""
    return pa.array([number(*values) for values in codes.values], pa.int32()).take(codes.rows)


def _numbers(vocabulary: Vocabulary, flat: FlatRequests, owners: _Owners) -> pa.Table:
    parts = [
        _points(vocabulary, points, metric_of, _metrics(vocabulary, flat.metrics, kind), owners)
        for kind, points, metric_of in zip(NUMBER_KINDS, flat.points, flat.metric_of, strict=True)
        if len(points)
    ]
    return pa.concat_tables(parts).combine_chunks() if parts else NUMBERS.empty_table()


def _points(
    vocabulary: Vocabulary, points: pa.StructArray, metric_of: pa.Array, metrics: pa.Array, owners: _Owners
) -> pa.Table:
    labels = encoded_lists(points.field("attributes"))
    columns = {
        "resource": owners.resource.take(metric_of),
        "scope": owners.scope.take(metric_of),
        "metric": metrics.take(metric_of),
        "attributes": _numbered(Codes(labels.rows, [(pairs,) for pairs in labels.values]), vocabulary.attribute_set),
        "time": _signed(points.field("time_unix_nano")),
        "start": _signed(points.field("start_time_unix_nano")),
        "received": owners.received.take(metric_of),
        "flags": points.field("flags"),
        "double": points.field("as_double"),
        "integer": points.field("as_int"),
        "exemplars": _exemplars(points.field("exemplars")),
    }
    return pa.table(columns, schema=NUMBERS)


def _signed(times: pa.Array) -> pa.Array:
    return pc.min_element_wise(times, pa.scalar(INT64_MAX, pa.uint64())).cast(pa.int64())


def _exemplars(lists: pa.ListArray) -> pa.Array:
    if not len(lists.values):
        return pa.nulls(len(lists), pa.string())
    texts = [
        exemplar_text(map(metrics_pb2.Exemplar.FromString, exemplars)) if exemplars else None
        for exemplars in lists.to_pylist()
    ]
    return pa.array(texts, pa.string())


def _metrics(vocabulary: Vocabulary, metrics: pa.StructArray, kind: str) -> pa.Array:
    """Numbers of the metrics as ones of ``kind``; those of another kind get one that nothing asks for."""
    data = metrics.field(kind)
    said = [encoded(metrics.field(name)) for name in ("name", "unit", "description")]
    said.append(encoded_lists(metrics.field("metadata")))
    if kind == "sum":
        said += [encoded(data.field("aggregation_temporality")), encoded(data.field("is_monotonic"))]
    found = combined(encoded(data.is_valid()), *said)
    return _numbered(found, lambda is_ours, *values: vocabulary.metric(_metric(kind, *values)) if is_ours else 0)


def _metric(
    kind: str,
    name: str,
    unit: str,
    description: str,
    metadata: tuple[bytes, ...],
    temporality: int | None = None,
    monotonic: bool | None = None,
) -> Metric:
    return Metric(
        name=name,
        unit=unit,
        kind=kind,
        description=description,
        metadata=json_text(attributes(map(common_pb2.KeyValue.FromString, metadata))) if metadata else None,
        temporality=None if temporality is None else _TEMPORALITIES.get(temporality, str(temporality)),
        monotonic=monotonic,
    )


def _distributions(vocabulary: Vocabulary, flat: FlatRequests, owners: _Owners) -> dict[str, Distributions]:
    made: dict[str, Distributions] = {}
    for kind in DISTRIBUTION_KINDS:
        contents = flat.metrics.field(kind)
        if contents.null_count == len(contents):
            continue
        message, row, table = _DISTRIBUTIONS[kind]
        points = made.setdefault(table, Distributions())
        for index in pc.indices_nonzero(contents.is_valid()).to_pylist():
            data = message.FromString(contents[index].as_py())
            metric = vocabulary.metric(_described(flat.metrics[index], kind, data))
            resource, scope, received = (column[index].as_py() for column in owners)
            for point in data.data_points:
                pairs = tuple(pair.SerializeToString(deterministic=True) for pair in point.attributes)
                ids = (resource, scope, metric, vocabulary.attribute_set(pairs))
                points.add(ids, {**row(point), "received_at_unix_nano": received})
    return made


def _described(metric: pa.StructScalar, kind: str, data: Any) -> Metric:
    return _metric(
        kind,
        metric["name"].as_py(),
        metric["unit"].as_py(),
        metric["description"].as_py(),
        tuple(metric["metadata"].as_py()),
        None if kind == "summary" else data.aggregation_temporality,
    )
