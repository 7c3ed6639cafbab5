"""Requests as flat Arrow columns, one for each field of a kind of message.

What comes in: the bytes of ``ExportMetricsServiceRequest`` messages that the full schema accepted. What goes out:
:class:`FlatRequests`: messages of each kind, in order, each with the number of the one that it lies in. Never does I/O.

A projection reads raw what it does not look into, so that of a message that is split over several fields (protobuf
lets a sender do so, and its readers merge the parts) only the last part would be seen. So what was read is weighed:
:meth:`FlatRequests.sizes` are the bytes that it takes when it is written down plainly. Where a request came as more or
fewer, its sender wrote it otherwise, or in a version of OTLP that has more fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ptars
import pyarrow as pa
import pyarrow.compute as pc

from stepsize.collector.decode.projection import projected_request

if TYPE_CHECKING:
    from collections.abc import Sequence

NUMBER_KINDS = ("gauge", "sum")
DISTRIBUTION_KINDS = ("histogram", "exponential_histogram", "summary")
_INT64 = pa.int64()
_NEVER = pa.scalar(0, pa.uint64())


@dataclass(frozen=True, slots=True)
class FlatRequests:
    """Messages of each kind, and for each the number of its parent.

    Attributes:
        requests: the requests.
        resource_metrics, scope_metrics, metrics: what lies in them.
        request_of, resource_of, scope_of: for each of these the number of the message that it lies in.
        points: of each of `NUMBER_KINDS`, its points.
        metric_of: of each of `NUMBER_KINDS`, the number of each point's metric.
    """

    requests: pa.ListArray
    resource_metrics: pa.StructArray
    request_of: pa.Array
    scope_metrics: pa.StructArray
    resource_of: pa.Array
    metrics: pa.StructArray
    scope_of: pa.Array
    points: tuple[pa.StructArray, ...]
    metric_of: tuple[pa.Array, ...]

    def sizes(self) -> pa.Array:
        """Bytes that each request takes when it is written down plainly."""
        metrics = self.metrics
        sizes = _sum(
            _text(metrics.field("name")),
            _text(metrics.field("description")),
            _text(metrics.field("unit")),
            _in_lists(metrics.field("metadata"), _message(_length(metrics.field("metadata").values))),
            *(_optional(_length(metrics.field(kind))) for kind in DISTRIBUTION_KINDS),
            *(self._numbers(kind, points) for kind, points in zip(NUMBER_KINDS, self.points, strict=True)),
        )
        sizes = _in_lists(self.scope_metrics.field("metrics"), _message(sizes))
        sizes = _sum(sizes, _optional(_length(self.scope_metrics.field("scope"))), _schema(self.scope_metrics))
        sizes = _in_lists(self.resource_metrics.field("scope_metrics"), _message(sizes))
        sizes = _sum(sizes, _optional(_length(self.resource_metrics.field("resource"))), _schema(self.resource_metrics))
        return _in_lists(self.requests, _message(sizes))

    def _numbers(self, kind: str, points: pa.StructArray) -> pa.Array:
        data = self.metrics.field(kind)
        sizes = _in_lists(data.field("data_points"), _message(_point_sizes(points)))
        if kind == "sum":
            temporality = data.field("aggregation_temporality").cast(_INT64)
            sizes = _sum(sizes, _scalar(temporality), _where(data.field("is_monotonic"), 2))
        return pc.if_else(data.is_valid(), _message(sizes), 0)


class FlatReader:
    """Reads requests; knows the projected schema."""

    def __init__(self) -> None:
        request: Any = projected_request()
        self._handler = ptars.HandlerPool([request.file]).get_for_message(request)

    def read(self, requests: Sequence[bytes]) -> FlatRequests:
        """The requests' messages.

        Raises:
            ValueError: one of them is no such message.
        """
        lists = self._handler.list_to_record_batch(list(requests)).column(0)
        resource_metrics = lists.values
        scope_lists = resource_metrics.field("scope_metrics")
        scope_metrics = scope_lists.values
        metric_lists = scope_metrics.field("metrics")
        metrics = metric_lists.values
        point_lists = [metrics.field(kind).field("data_points") for kind in NUMBER_KINDS]
        return FlatRequests(
            requests=lists,
            resource_metrics=resource_metrics,
            request_of=pc.list_parent_indices(lists),
            scope_metrics=scope_metrics,
            resource_of=pc.list_parent_indices(scope_lists),
            metrics=metrics,
            scope_of=pc.list_parent_indices(metric_lists),
            points=tuple(points.values for points in point_lists),
            metric_of=tuple(pc.list_parent_indices(points) for points in point_lists),
        )


def _point_sizes(points: pa.StructArray) -> pa.Array:
    has_value = pc.or_(points.field("as_double").is_valid(), points.field("as_int").is_valid())
    return _sum(
        _where(pc.not_equal(points.field("start_time_unix_nano"), _NEVER), 9),
        _where(pc.not_equal(points.field("time_unix_nano"), _NEVER), 9),
        _where(has_value, 9),
        _scalar(points.field("flags").cast(_INT64)),
        *(
            _in_lists(points.field(name), _message(_length(points.field(name).values)))
            for name in ("attributes", "exemplars")
        ),
    )


def _sum(first: pa.Array, *others: pa.Array) -> pa.Array:
    for other in others:
        first = pc.add(first, other)
    return first


def _where(condition: pa.Array, size_bytes: int) -> pa.Array:
    return pc.multiply(condition.cast(_INT64), size_bytes)


def _length(texts: pa.Array) -> pa.Array:
    return pc.binary_length(texts).cast(_INT64)


def _varint(numbers: pa.Array) -> pa.Array:
    """Bytes of a number in base 128; right for what is below 2^32."""
    size: Any = pa.scalar(1, _INT64)
    if not len(numbers):
        return numbers
    largest = pc.max(numbers).as_py() or 0
    for limit in (1 << 7, 1 << 14, 1 << 21, 1 << 28):
        if largest >= limit:
            size = pc.add(size, pc.greater_equal(numbers, limit).cast(_INT64))
    return size


def _message(lengths: pa.Array) -> pa.Array:
    """Bytes of messages of these lengths as fields: one for the field's number, which is below 16, and the length."""
    return pc.add(pc.add(lengths, _varint(lengths)), 1)


def _optional(lengths: pa.Array) -> pa.Array:
    if lengths.null_count == len(lengths):
        return pa.scalar(0, _INT64)
    return pc.fill_null(_message(lengths), 0)


def _text(texts: pa.Array) -> pa.Array:
    """Bytes of text as a field, which an empty one is not written as."""
    lengths = _length(texts)
    return pc.if_else(pc.equal(lengths, 0), 0, _message(lengths))


def _scalar(numbers: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(numbers, 0), 0, pc.add(_varint(numbers), 1))


def _schema(messages: pa.StructArray) -> pa.Array:
    return _text(messages.field("schema_url"))


def _in_lists(lists: pa.ListArray, sizes: pa.Array) -> pa.Array:
    """For each list the sum of the sizes of what is in it."""
    if not len(sizes):
        return pc.multiply(pc.list_value_length(lists).cast(_INT64), 0)
    running = pa.concat_arrays([pa.array([0], _INT64), pc.cumulative_sum(sizes)])
    ends = running.take(lists.offsets)
    return pc.subtract(ends.slice(1), ends.slice(0, len(lists)))
