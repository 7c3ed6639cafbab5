"""A wire-compatible projection of the OTLP metrics schema, made for reading many points quickly.

What comes in: nothing. What goes out: the descriptor of a message that reads `ExportMetricsServiceRequest` bytes.
Resource, scope, attributes and the rarer metric types are declared ``bytes`` in it, so that they come out raw: equal
bytes are looked up rather than decoded again. Never used to validate: it accepts garbage that the full schema refuses,
so only requests that were validated before may be read with it.

Field numbers are those of opentelemetry/proto/metrics/v1/metrics.proto.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "stepsize.projection"

# Message → fields as (label, type, name, number); a label that is a word names the oneof of the field. A oneof of one
# field tells one that is absent from one that is empty, which take a different number of bytes.
_MESSAGES: dict[str, tuple[tuple[str, str, str, int], ...]] = {
    "Request": (("*", "ResourceMetrics", "resource_metrics", 1),),
    "ResourceMetrics": (
        ("resource_or_none", "bytes", "resource", 1),
        ("*", "ScopeMetrics", "scope_metrics", 2),
        ("", "string", "schema_url", 3),
    ),
    "ScopeMetrics": (
        ("scope_or_none", "bytes", "scope", 1),
        ("*", "Metric", "metrics", 2),
        ("", "string", "schema_url", 3),
    ),
    "Metric": (
        ("", "string", "name", 1),
        ("", "string", "description", 2),
        ("", "string", "unit", 3),
        ("data", "Gauge", "gauge", 5),
        ("data", "Sum", "sum", 7),
        ("data", "bytes", "histogram", 9),
        ("data", "bytes", "exponential_histogram", 10),
        ("data", "bytes", "summary", 11),
        ("*", "bytes", "metadata", 12),
    ),
    "Gauge": (("*", "NumberDataPoint", "data_points", 1),),
    "Sum": (
        ("*", "NumberDataPoint", "data_points", 1),
        ("", "int32", "aggregation_temporality", 2),
        ("", "bool", "is_monotonic", 3),
    ),
    "NumberDataPoint": (
        ("", "fixed64", "start_time_unix_nano", 2),
        ("", "fixed64", "time_unix_nano", 3),
        ("value", "double", "as_double", 4),
        ("*", "bytes", "exemplars", 5),
        ("value", "sfixed64", "as_int", 6),
        ("*", "bytes", "attributes", 7),
        ("", "uint32", "flags", 8),
    ),
}


def projected_request() -> Any:
    """The descriptor of a projected ``ExportMetricsServiceRequest``."""
    file = descriptor_pb2.FileDescriptorProto(name="stepsize/projection.proto", package=_PACKAGE, syntax="proto3")
    for message, fields in _MESSAGES.items():
        descriptor = file.message_type.add(name=message)
        for label, kind, name, number in fields:
            _add_field(descriptor, label, kind, name, number)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool.FindMessageTypeByName(f"{_PACKAGE}.Request")


def _add_field(descriptor: Any, label: str, kind: str, name: str, number: int) -> None:
    repeated = label == "*"
    added = descriptor.field.add(
        name=name, number=number, label=_Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    )
    if kind in _MESSAGES:
        added.type = _Field.TYPE_MESSAGE
        added.type_name = f".{_PACKAGE}.{kind}"
    else:
        added.type = getattr(_Field, f"TYPE_{kind.upper()}")
    if label and not repeated:
        names = [oneof.name for oneof in descriptor.oneof_decl]
        if label not in names:
            descriptor.oneof_decl.add(name=label)
            names.append(label)
        added.oneof_index = names.index(label)
