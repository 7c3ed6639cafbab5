"""``extensions: health_check``: an HTTP endpoint that says whether the collector lives, and whether to send to it.

Keys as upstream's healthcheckextension; ``readiness_path`` and ``max_sink_lag`` are ours. ``path`` answers 200 while
the collector serves. ``readiness_path`` answers 200 while it can also keep what it is sent: its disk takes requests,
the sink lives and is not behind by more than ``max_sink_lag``; else 503 with what is wrong. Either way it tells,
``beside``, what is wrong with parts that take no points.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.collector.components.server_tls import ServerTlsConfig
from stepsize.collector.config.language import Endpoint, Section, duration_s, listen_address, option, text

if TYPE_CHECKING:
    from stepsize.collector.server.http_messages import Request, Response
    from stepsize.collector.server.otlp_http import Handler
    from stepsize.collector.telemetry.health import Health


@dataclass(frozen=True, slots=True)
class HealthCheckConfig:
    """Where it listens, and what counts as healthy."""

    endpoint: Endpoint = option(listen_address, default=Endpoint("127.0.0.1", 13133), says="where it listens")
    tls: ServerTlsConfig | None = option(Section(ServerTlsConfig), default=None, says="certificates")
    path: str = option(text, default="/", says="where it says whether the collector lives")
    response_body: str = option(text, default="", says="what it says there while it does, in place of its own words")
    readiness_path: str = option(text, default="/ready", says="where it says whether to send to it")
    max_sink_lag_s: float = option(
        duration_s, default=300.0, key="max_sink_lag", says="how old points may be that are not stored yet"
    )

    def validate(self) -> None:
        """Refuse what cannot work."""
        if not self.path.startswith("/") or not self.readiness_path.startswith("/"):
            raise ValueError("path and readiness_path must start with /")
        if self.path == self.readiness_path:
            raise ValueError("path and readiness_path must not be the same")


def health_routes(config: HealthCheckConfig, health: Health) -> dict[str, Handler]:
    """The handlers of its paths."""
    from stepsize.collector.server.http_messages import Response  # noqa: PLC0415 - configurations are checked without a server

    async def alive(_request: Request) -> Response:
        if not health.is_alive:
            return Response(503, b'{"status":"Server not available"}', "application/json")
        if config.response_body:
            return Response(200, config.response_body.encode())
        return Response(200, b'{"status":"Server available"}', "application/json")

    async def ready(_request: Request) -> Response:
        problems = health.problems(config.max_sink_lag_s)
        status = "not ready" if problems else "ready"
        told = {"problems": problems, "beside": health.asides}
        body = json.dumps({"status": status, **{name: said for name, said in told.items() if said}}).encode()
        return Response(503 if problems else 200, body, "application/json")

    return {config.path: alive, config.readiness_path: ready}
