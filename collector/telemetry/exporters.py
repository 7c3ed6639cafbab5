"""What exporters that send have done, as metrics under the OpenTelemetry Collector's names.

What comes in: a registry, the streams. What goes out: metrics, read when they are asked for. Never changes either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.collector.pipelines.outcome import FAILED, SENT
from stepsize.collector.telemetry.registry import GAUGE, SUM

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.collector.pipelines.streams import Streams
    from stepsize.collector.telemetry.registry import Registry

_COUNTED = (
    ("otelcol_exporter_sent_metric_points", SENT, "Points that were sent and taken."),
    ("otelcol_exporter_send_failed_metric_points", FAILED, "Points that were given up, or will never be taken."),
)


def observe_exporters(registry: Registry, streams: Streams) -> None:
    """Register the metrics of the exporters that there are now."""
    for exporter, backlog in streams.backlogs():
        for name, what, description in _COUNTED:
            registry.observe(name, SUM, "{datapoint}", description, _points(streams, what, exporter), exporter=exporter)
        registry.observe(
            "otelcol_exporter_queue_size", GAUGE, "By", "Bytes of the log that wait for it.", backlog, exporter=exporter
        )


def _points(streams: Streams, what: str, exporter: str) -> Callable[[], float]:
    return lambda: streams.points(what, exporter)
