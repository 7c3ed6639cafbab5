"""The OTLP endpoint, where one is set: whether it takes metrics from us.

What comes in: settings. What goes out: findings. Sends one request without any point, as the agent would.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.commands.checks.finding import Finding, Level
from stepsize.instrumentation.agent.delivery import Delivery, Encoding, Request

if TYPE_CHECKING:
    from stepsize.settings import Settings

_PART = "endpoint"
_REMEDIES = {
    Delivery.LATER: "start it, or correct OTEL_EXPORTER_OTLP_ENDPOINT (usually port 4318 over HTTP, 4317 over gRPC)",
    Delivery.BARRED: "correct OTEL_EXPORTER_OTLP_HEADERS, or the path of OTEL_EXPORTER_OTLP_ENDPOINT",
}
_OTHERWISE = "see its log: it takes no metrics as OTLP has them"


def check_endpoint(settings: Settings) -> list[Finding]:
    """What the endpoint answers; nothing where none is set."""
    if not settings.has_endpoint:
        return []
    from stepsize.instrumentation.agent import destination  # noqa: PLC0415 - imports the SDK: 200 ms

    where = settings.metrics_endpoint or settings.endpoint
    request = Request(b"", 0)
    if settings.metrics_protocol_in_use == "http/json":
        request = Request(b"{}", 0, Encoding.JSON)
    endpoint = destination.Endpoint(settings)
    answer = endpoint.send(request)
    endpoint.close()
    if answer.delivery is Delivery.TAKEN:
        return [Finding(_PART, Level.WELL, f"{where} takes metrics over {settings.metrics_protocol_in_use}")]
    remedy = _REMEDIES.get(answer.delivery, _OTHERWISE)
    return [Finding(_PART, Level.FAULT, f"{where} does not take metrics: {answer.reason}", remedy)]
