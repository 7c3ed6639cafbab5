"""``extensions: health_check``: an HTTP endpoint that answers while the collector serves.

Keys as upstream's healthcheckextension.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.collector.config.language import Endpoint, listen_address, option, text

if TYPE_CHECKING:
    from stepsize.collector.server.http import Request
    from stepsize.collector.server.otlp_http import Handler


@dataclass(frozen=True, slots=True)
class HealthCheckConfig:
    """Where it listens."""

    endpoint: Endpoint = option(listen_address, default=Endpoint("127.0.0.1", 13133))
    path: str = option(text, default="/")

    def validate(self) -> None:
        """Refuse what cannot work."""
        if not self.path.startswith("/"):
            raise ValueError("path must start with /")


def health_handler() -> Handler:
    """The handler of its path."""
    from stepsize.collector.server.http import Response  # noqa: PLC0415 - configurations are checked without a server

    async def answer(_request: Request) -> Response:
        return Response(200, b'{"status":"Server available"}', "application/json")

    return answer
