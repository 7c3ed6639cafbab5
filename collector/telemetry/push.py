"""Sends the collector's own metrics over OTLP now and then.

What comes in: a registry, where to send. What goes out: ``ExportMetricsServiceRequest`` messages. Never waits for room,
keeps nothing that could not be sent: sums are cumulative, the next sending has them too. Never delays a receiver: it
sends from a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE

from stepsize import __version__
from stepsize.collector.pipelines.http_sender import HttpSender
from stepsize.collector.pipelines.outcome import Verdict
from stepsize.collector.telemetry.registry import SUM

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stepsize.collector.config.telemetry import PeriodicReaderConfig
    from stepsize.collector.telemetry.log import Log
    from stepsize.collector.telemetry.registry import Family, Registry

_SERVICE = "stepsize-collector"


def as_request(
    families: Iterable[Family], resource: Mapping[str, str], start_unix_nano: int, now_unix_nano: int
) -> Any:
    """The families as OTLP, of one resource; sums count since ``start_unix_nano``."""
    request = ExportMetricsServiceRequest()
    one = request.resource_metrics.add()
    for key, text in resource.items():
        one.resource.attributes.add(key=key).value.string_value = text
    scope = one.scope_metrics.add()
    scope.scope.name = "stepsize.collector"
    for family in families:
        metric = scope.metrics.add(name=family.name, unit=family.unit, description=family.description)
        if family.kind == SUM:
            metric.sum.is_monotonic = True
            metric.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
        data = metric.sum if family.kind == SUM else metric.gauge
        for labels, value in family.samples:
            point = data.data_points.add(time_unix_nano=now_unix_nano)
            if family.kind == SUM:
                point.start_time_unix_nano = start_unix_nano
            for key, text in labels:
                point.attributes.add(key=key).value.string_value = text
            if isinstance(value, int):
                point.as_int = value
            else:
                point.as_double = value
    return request


class Pusher:
    """One reader that sends.

    Args:
        config: where to, how often.
        registry: what is sent.
        instance: tells this collector from others (``service.instance.id``).
        log: takes lines for the operator.

    Raises:
        ConfigError: a file of authorities cannot be used.
    """

    def __init__(self, config: PeriodicReaderConfig, registry: Registry, instance: str, log: Log) -> None:
        self._sender = HttpSender(config.exporter_config)
        self._interval_s = config.interval_ms / 1000
        self._registry = registry
        self._resource = {
            "service.name": _SERVICE,
            "service.instance.id": instance,
            "service.version": __version__,
        }
        self._log = log
        self._start_unix_nano = time.time_ns()

    async def run(self) -> None:
        """Send every interval, until cancelled; then once more."""
        try:
            while True:
                await asyncio.sleep(self._interval_s)
                await self._send()
        except asyncio.CancelledError:
            with contextlib.suppress(asyncio.CancelledError):
                await self._send()
            raise
        finally:
            self._sender.close()

    async def _send(self) -> None:
        request = as_request(self._registry.collect(), self._resource, self._start_unix_nano, time.time_ns())
        outcome = await asyncio.to_thread(self._sender.send, request.SerializeToString())
        if outcome.verdict is not Verdict.TAKEN:
            self._log.warn("own metrics could not be sent", reason=outcome.reason)
