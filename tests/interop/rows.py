"""The rows that a request is to become, read naively from the published schema, and the rows that a lake holds.

What comes in: messages as OpenTelemetry's schema reads them, or a lake. What goes out: comparable rows, table by table,
with every stored column in them; :func:`assert_equal` says which differ. Shares no code with the collector's decoder.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import struct
from collections import Counter
from typing import TYPE_CHECKING, Any

from stepsize.store.lake import Lake

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Row = dict[str, Any]
VIEWS = {
    "gauge": "exact_points",
    "sum": "exact_points",
    "histogram": "histograms",
    "exponential_histogram": "exponential_histograms",
    "summary": "summaries",
}
"""Type of a metric → the view with its points."""
_TAGS = {
    "flow": "stepsize.flow.name",
    "run": "stepsize.run.id",
    "step": "stepsize.step.name",
    "task": "stepsize.task.id",
    "attempt": "stepsize.task.attempt",
}
_JSON_COLUMNS = ("attributes", "resource", "scope", "metadata", "exemplars")
_INT64_MAX = 2**63 - 1


def wanted(messages: Iterable[Any]) -> dict[str, list[Row]]:
    """View → the rows of all points of these requests."""
    rows: dict[str, list[Row]] = {view: [] for view in VIEWS.values()}
    for message in messages:
        for resource_metrics in message.resource_metrics:
            for scope_metrics in resource_metrics.scope_metrics:
                for metric in scope_metrics.metrics:
                    kind = metric.WhichOneof("data")
                    rows[VIEWS[kind]] += _rows(resource_metrics, scope_metrics, metric, kind)
    return rows


def points_in(messages: Iterable[Any]) -> int:
    """How many points these requests have."""
    return sum(map(len, wanted(messages).values()))


def stored(data: Path) -> dict[str, list[Row]]:
    """View → the rows of a lake. ``received_at_unix_nano`` is left out: no client can know it."""
    rows: dict[str, list[Row]] = {}
    with Lake(data).connect() as connection:
        for view in sorted(set(VIEWS.values())):
            table = connection.sql(f"SELECT * EXCLUDE received_at_unix_nano FROM {view}").to_arrow_table()
            rows[view] = table.to_pylist()
    for row in (row for each in rows.values() for row in each):
        for name in _JSON_COLUMNS:
            row[name] = None if row[name] is None else json.loads(row[name])
    return rows


def assert_equal(found: dict[str, list[Row]], expected: dict[str, list[Row]]) -> None:
    """Every row of the one is in the other, as often."""
    for view in sorted(set(VIEWS.values())):
        here, there = Counter(map(_comparable, found[view])), Counter(map(_comparable, expected[view]))
        surplus, missing = sorted((here - there).elements()), sorted((there - here).elements())
        assert not [*surplus, *missing], (
            f"{view}: {len(surplus)} rows too many, {len(missing)} missing; {_difference(surplus, missing)}"
        )


def _difference(surplus: list[tuple[tuple[str, str], ...]], missing: list[tuple[tuple[str, str], ...]]) -> str:
    """Of the first rows, the columns that differ, from where they do."""
    if not surplus or not missing:
        return f"the first is {str((surplus or missing)[0])[:2000]}"
    differences = []
    for (name, here), (_, there) in zip(surplus[0], missing[0], strict=True):
        if here != there:
            same = next((i for i, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), 0)
            start = max(same - 40, 0)
            differences.append(
                f"{name}: ...{here[start : start + 200]}... where wanted is ...{there[start : start + 200]}..."
            )
    return "; ".join(differences)


def _comparable(row: Row) -> tuple[tuple[str, str], ...]:
    """A row as text, column by column, that tells 1 from 1.0 from true, and every double from every other."""
    return tuple(sorted((name, repr(_exact(value))) for name, value in row.items()))


def _exact(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((key, _exact(inner)) for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return [_exact(inner) for inner in value]
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else f"{value!r} {struct.pack('>d', value).hex()}"
    return value


def _rows(resource_metrics: Any, scope_metrics: Any, metric: Any, kind: str) -> Iterator[Row]:
    data = getattr(metric, kind)
    resource = plain_attributes(resource_metrics.resource.attributes)
    common = {
        "metric": metric.name,
        "unit": metric.unit,
        "kind": kind,
        "temporality": _temporality(data) if kind not in ("gauge", "summary") else None,
        "monotonic": data.is_monotonic if kind == "sum" else None,
        "description": metric.description,
        "metadata": plain_attributes(metric.metadata) or None,
        "resource": resource,
        "scope": _scope(resource_metrics, scope_metrics),
        "host": _text(resource.get("host.name")),
        "service": _text(resource.get("service.name")),
    }
    for point in data.data_points:
        attributes = plain_attributes(point.attributes)
        exemplars = [_exemplar(exemplar) for exemplar in getattr(point, "exemplars", ())]
        yield {
            **common,
            **_tags(resource, attributes),
            "attributes": attributes,
            "day": dt.date(1970, 1, 1) + dt.timedelta(days=point.time_unix_nano // (86_400 * 10**9)),
            "time_unix_nano": min(point.time_unix_nano, _INT64_MAX),
            "start_time_unix_nano": min(point.start_time_unix_nano, _INT64_MAX),
            "flags": point.flags,
            "exemplars": exemplars or None,
            **_values(kind, point),
        }


def _temporality(data: Any) -> str:
    return ("unspecified", "delta", "cumulative")[data.aggregation_temporality]


def _scope(resource_metrics: Any, scope_metrics: Any) -> Row:
    scope = scope_metrics.scope
    said = {
        "name": scope.name,
        "version": scope.version,
        "attributes": plain_attributes(scope.attributes),
        "dropped_attributes_count": scope.dropped_attributes_count,
        "schema_url": scope_metrics.schema_url,
        "resource_schema_url": resource_metrics.schema_url,
        "resource_dropped_attributes_count": resource_metrics.resource.dropped_attributes_count,
        "resource_entity_refs": [_entity(reference) for reference in resource_metrics.resource.entity_refs],
    }
    return {name: value for name, value in said.items() if value}


def _entity(reference: Any) -> Row:
    said = {
        "type": reference.type,
        "schema_url": reference.schema_url,
        "id_keys": list(reference.id_keys),
        "description_keys": list(reference.description_keys),
    }
    return {name: value for name, value in said.items() if value}


def _values(kind: str, point: Any) -> Row:
    if kind in ("gauge", "sum"):
        chosen = point.WhichOneof("value")
        return {
            "value_double": point.as_double if chosen == "as_double" else None,
            "value_int": point.as_int if chosen == "as_int" else None,
        }
    if kind == "summary":
        return {
            "count": point.count,
            "sum": point.sum,
            "quantiles": [value.quantile for value in point.quantile_values],
            "quantile_values": [value.value for value in point.quantile_values],
        }
    values: Row = {name: getattr(point, name) if point.HasField(name) else None for name in ("sum", "min", "max")}
    values["count"] = point.count
    if kind == "histogram":
        return {
            **values,
            "bucket_counts": list(point.bucket_counts),
            "explicit_bounds": list(point.explicit_bounds),
        }
    return {
        **values,
        "scale": point.scale,
        "zero_count": point.zero_count,
        "zero_threshold": point.zero_threshold,
        "positive_offset": point.positive.offset,
        "positive_bucket_counts": list(point.positive.bucket_counts),
        "negative_offset": point.negative.offset,
        "negative_bucket_counts": list(point.negative.bucket_counts),
    }


def _tags(resource: Row, attributes: Row) -> Row:
    """What the lake takes out of a resource or a point: the full name before the short one, the resource first."""
    tags: Row = {}
    for short, full in _TAGS.items():
        found = [place[name] for name in (full, short) for place in (resource, attributes) if name in place]
        value = next((each for each in found if each is not None), None)
        tags[short] = value if short == "attempt" else _text(value)
    return tags


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _exemplar(exemplar: Any) -> Row:
    chosen = exemplar.WhichOneof("value")
    said = {
        "time_unix_nano": exemplar.time_unix_nano,
        "trace_id": exemplar.trace_id.hex() or None,
        "span_id": exemplar.span_id.hex() or None,
        "filtered_attributes": plain_attributes(exemplar.filtered_attributes) or None,
    }
    said = {name: value for name, value in said.items() if value is not None}
    return said if chosen is None else {**said, chosen: _plain_number(getattr(exemplar, chosen))}


def plain_attributes(pairs: Any) -> Row:
    """Attributes as JSON can hold them: bytes in base64, numbers that JSON has none for by name."""
    return {pair.key: _plain(pair.value) for pair in pairs}


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_plain(inner) for inner in value.array_value.values]
    if kind == "kvlist_value":
        return plain_attributes(value.kvlist_value.values)
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    return _plain_number(getattr(value, kind))


def _plain_number(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
