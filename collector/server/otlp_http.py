"""OTLP/HTTP: what the paths of a receiver answer.

What comes in: HTTP requests. What goes out: HTTP responses after the specification: 200 once the points are durable,
400 for what will never be valid, 503 with ``Retry-After`` for what may be sent again, ``google.rpc.Status`` in the
request's encoding. Traces and logs are told so, clearly.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from stepsize.collector.otlp import answer
from stepsize.collector.server.content import TooLargeError, UnknownEncodingError, decoded
from stepsize.collector.server.http import Response
from stepsize.errors import DataError, RetryableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepsize.collector.server.http import Request
    from stepsize.collector.server.intake import Accepted, Intake

Handler = Callable[["Request"], Awaitable[Response]]
PROTOBUF, JSON = "application/x-protobuf", "application/json"
RETRY_AFTER_S = 1
_OTHER_SIGNALS = {"/v1/traces": "traces", "/v1/logs": "logs", "/v1development/profiles": "profiles"}


class OtlpHttp:
    """The handler of a metrics path."""

    def __init__(self, intake: Intake, max_body_bytes: int) -> None:
        self._intake = intake
        self._max_body_bytes = max_body_bytes

    async def __call__(self, request: Request) -> Response:
        """Take one metrics request."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if request.method != "POST":
            return refusal(kind, 405, answer.UNIMPLEMENTED, "use POST", ("allow", "POST"))
        if kind not in (PROTOBUF, JSON):
            return refusal(kind, 415, answer.INVALID_ARGUMENT, f"content-type {kind!r}: use {PROTOBUF} or {JSON}")
        try:
            content = decoded(request.body, request.headers.get("content-encoding", ""), self._max_body_bytes)
            accepted = await self._accept(kind, content)
        except (DataError, RetryableError) as error:
            return _refused(kind, error)
        if kind == JSON:
            return Response(200, answer.success_json(accepted.rejected_points, accepted.reason), JSON)
        body = answer.success(accepted.rejected_points, accepted.reason).SerializeToString()
        return Response(200, body, PROTOBUF)

    async def _accept(self, kind: str, content: bytes) -> Accepted:
        if kind == PROTOBUF:
            return await self._intake.accept(content)
        from stepsize.collector.otlp.json_request import parse_json  # noqa: PLC0415 - few clients send JSON

        return await self._intake.accept_message(parse_json(content))


def _refused(kind: str, error: DataError | RetryableError) -> Response:
    if isinstance(error, RetryableError):
        return refusal(kind, 503, answer.UNAVAILABLE, str(error), ("retry-after", str(RETRY_AFTER_S)))
    status = 415 if isinstance(error, UnknownEncodingError) else 413 if isinstance(error, TooLargeError) else 400
    return refusal(kind, status, answer.INVALID_ARGUMENT, str(error))


class Router:
    """Paths to handlers; what is on no path is told what there is."""

    def __init__(self, routes: Mapping[str, Handler]) -> None:
        self._routes = routes

    async def __call__(self, request: Request) -> Response:
        """Hand the request to the handler of its path."""
        handler = self._routes.get(request.path)
        if handler is not None:
            return await handler(request)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        signal = _OTHER_SIGNALS.get(request.path)
        message = (
            f"stepsize takes metrics only: {signal} are not supported; send them to another endpoint"
            if signal
            else f"nothing here; there is {', '.join(sorted(self._routes))}"
        )
        return refusal(kind, 404, answer.UNIMPLEMENTED, message)


def refusal(kind: str, status: int, code: int, message: str, *headers: tuple[str, str]) -> Response:
    """An error in the encoding of the request; in text where it has none that we know."""
    if kind == JSON:
        return Response(status, answer.status_json(code, message), JSON, headers)
    if kind == PROTOBUF:
        return Response(status, answer.status(code, message).SerializeToString(), PROTOBUF, headers)
    return Response(status, f"{message}\n".encode(), "text/plain", headers)
