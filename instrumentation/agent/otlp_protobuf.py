"""Points as an OTLP request in protobuf, by OpenTelemetry's own encoder.

What comes in: the points of resources. What goes out: the bytes of an `ExportMetricsServiceRequest`. Never sends
anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.instrumentation.agent.points import to_metrics_data

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepsize.instrumentation.agent.points import ResourcePoints


def encode(resources: Iterable[ResourcePoints], *, point_attributes: bool) -> bytes:
    """The request; ``point_attributes`` copies flow, run and step onto each point."""
    # The SDK takes 100 ms to import: the agent samples while its sender does.
    from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics  # noqa: PLC0415

    content: bytes = encode_metrics(to_metrics_data(resources, point_attributes=point_attributes)).SerializeToString()
    return content
