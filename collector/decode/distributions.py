"""Points of histograms, exponential histograms and summaries as rows of their tables; exemplars as JSON.

What comes in: messages of the full OTLP schema. What goes out: stored columns of one point, without those of its
series. Never drops a field: an absent ``sum``, ``min`` or ``max`` is None, not zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stepsize.collector.decode.values import attributes, json_number, json_text

if TYPE_CHECKING:
    from collections.abc import Iterable

INT64_MAX = 2**63 - 1


def histogram_row(point: Any) -> dict[str, Any]:
    """One ``HistogramDataPoint``."""
    return {
        **_common(point),
        **_optional(point),
        "count": point.count,
        "bucket_counts": list(point.bucket_counts),
        "explicit_bounds": list(point.explicit_bounds),
    }


def exponential_histogram_row(point: Any) -> dict[str, Any]:
    """One ``ExponentialHistogramDataPoint``."""
    return {
        **_common(point),
        **_optional(point),
        "count": point.count,
        "scale": point.scale,
        "zero_count": point.zero_count,
        "zero_threshold": point.zero_threshold,
        "positive_offset": point.positive.offset,
        "positive_bucket_counts": list(point.positive.bucket_counts),
        "negative_offset": point.negative.offset,
        "negative_bucket_counts": list(point.negative.bucket_counts),
    }


def summary_row(point: Any) -> dict[str, Any]:
    """One ``SummaryDataPoint``."""
    return {
        **_common(point),
        "count": point.count,
        "sum": point.sum,
        "quantiles": [quantile.quantile for quantile in point.quantile_values],
        "quantile_values": [quantile.value for quantile in point.quantile_values],
    }


def exemplar_text(exemplars: Iterable[Any]) -> str:
    """Exemplars as a JSON list; ids in hex, as OTLP's JSON has them."""
    return json_text([_exemplar(exemplar) for exemplar in exemplars])


def _common(point: Any) -> dict[str, Any]:
    exemplars = getattr(point, "exemplars", ())
    return {
        "time_unix_nano": min(point.time_unix_nano, INT64_MAX),
        "start_time_unix_nano": min(point.start_time_unix_nano, INT64_MAX),
        "flags": point.flags,
        "exemplars": exemplar_text(exemplars) if exemplars else None,
    }


def _optional(point: Any) -> dict[str, Any]:
    return {name: getattr(point, name) if point.HasField(name) else None for name in ("sum", "min", "max")}


def _exemplar(exemplar: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"time_unix_nano": exemplar.time_unix_nano}
    kind = exemplar.WhichOneof("value")
    if kind is not None:
        value = getattr(exemplar, kind)
        values[kind] = json_number(value) if kind == "as_double" else value
    if exemplar.trace_id:
        values["trace_id"] = exemplar.trace_id.hex()
    if exemplar.span_id:
        values["span_id"] = exemplar.span_id.hex()
    if exemplar.filtered_attributes:
        values["filtered_attributes"] = attributes(exemplar.filtered_attributes)
    return values
