"""The control paths of the collector's Unix socket, and the token that all of its paths ask for.

What comes in: HTTP requests. What goes out: 200 when everything acknowledged before can be seen (``/control/flush``),
when the collector is going to end (``/control/stop``), or while it serves (``/healthz``); 401 without the token, which
is compared in constant time.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from stepsize.collector.otlp import answer
from stepsize.collector.server.http_messages import Response
from stepsize.collector.server.otlp_http import refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from stepsize.collector.server.http_messages import Request
    from stepsize.collector.server.otlp_http import Handler

_FLUSH_PATH, _STOP_PATH, _HEALTH_PATH = "/control/flush", "/control/stop", "/healthz"


def control_routes(flush: Callable[[], Awaitable[None]], stop: Callable[[], None]) -> dict[str, Handler]:
    """Paths to handlers; ``flush`` returns when everything acknowledged is visible, ``stop`` at once."""

    async def on_flush(_request: Request) -> Response:
        await flush()
        return Response(200, b"flushed\n")

    async def on_stop(_request: Request) -> Response:
        stop()
        return Response(200, b"stopping\n")

    async def on_health(_request: Request) -> Response:
        return Response(200, b"ok\n")

    return {
        _FLUSH_PATH: _only("POST", on_flush),
        _STOP_PATH: _only("POST", on_stop),
        _HEALTH_PATH: _only("GET", on_health),
    }


def with_token(token: str, handler: Handler) -> Handler:
    """``handler`` for those who send ``Authorization: Bearer TOKEN``."""
    expected = f"Bearer {token}".encode()

    async def check(request: Request) -> Response:
        sent = request.headers.get("authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(sent, expected):
            kind = request.headers.get("content-type", "")
            message = "the token in the data directory's collector.json is needed here"
            return refusal(kind, 401, answer.UNAUTHENTICATED, message, ("www-authenticate", "Bearer"))
        return await handler(request)

    return check


def _only(method: str, handler: Handler) -> Handler:
    async def check(request: Request) -> Response:
        if request.method != method:
            return refusal("", 405, answer.UNIMPLEMENTED, f"use {method}", ("allow", method))
        return await handler(request)

    return check
