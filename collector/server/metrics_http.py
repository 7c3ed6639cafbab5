"""``GET /metrics``: the collector's own metrics, for Prometheus.

What comes in: requests. What goes out: the text of the exposition format. Never changes anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.collector.otlp import answer
from stepsize.collector.server.http_messages import Response
from stepsize.collector.server.otlp_http import refusal
from stepsize.collector.telemetry.prometheus import CONTENT_TYPE, exposition

if TYPE_CHECKING:
    from stepsize.collector.server.http_messages import Request
    from stepsize.collector.server.otlp_http import Handler
    from stepsize.collector.telemetry.registry import Registry


def metrics_route(registry: Registry) -> Handler:
    """The handler."""

    async def show(request: Request) -> Response:
        if request.method != "GET":
            return refusal("", 405, answer.UNIMPLEMENTED, "use GET", ("allow", "GET"))
        return Response(200, exposition(registry.collect()).encode(), CONTENT_TYPE)

    return show
