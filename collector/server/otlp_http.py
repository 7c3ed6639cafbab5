"""OTLP/HTTP: what the paths of a receiver answer.

What comes in: HTTP requests. What goes out: HTTP responses after the specification: 200 once the points are durable,
400 for what will never be valid, 503 with ``Retry-After`` for what may be sent again, ``google.rpc.Status`` in the
request's encoding. Traces and logs are told so, clearly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from stepsize.collector.components.otlp_receiver import COMPRESSIONS
from stepsize.collector.otlp import answer
from stepsize.collector.server.content import LARGE_BYTES, unpacked
from stepsize.collector.server.http_messages import Response
from stepsize.collector.server.refusals import CREDENTIALS, ENCODING, INVALID, SIGNAL
from stepsize.errors import StepsizeError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from stepsize.collector.access.authenticator import Authenticator
    from stepsize.collector.server.http_messages import Request
    from stepsize.collector.server.reception import Accepted, Reception
    from stepsize.collector.telemetry.reception import ReceptionMetrics

Handler = Callable[["Request"], Awaitable[Response]]
PROTOBUF, JSON = "application/x-protobuf", "application/json"
_OTHER_SIGNALS = {"/v1/traces": "traces", "/v1/logs": "logs", "/v1development/profiles": "profiles"}


class OtlpHttp:
    """The handler of a metrics path."""

    def __init__(self, reception: Reception, max_body_bytes: int, compressions: Collection[str] = COMPRESSIONS) -> None:
        self._reception = reception
        self._max_body_bytes = max_body_bytes
        self._compressions = compressions

    async def __call__(self, request: Request) -> Response:
        """Take one metrics request."""
        kind = content_kind(request.headers)
        if request.method != "POST":
            self._reception.metrics.refused(INVALID)
            return refusal(kind, 405, answer.UNIMPLEMENTED, "use POST", ("allow", "POST"))
        if kind not in (PROTOBUF, JSON):
            self._reception.metrics.refused(ENCODING)
            return refusal(kind, 415, answer.INVALID_ARGUMENT, f"content-type {kind!r}: use {PROTOBUF} or {JSON}")
        try:
            self._reception.check()
            accepted = await self._accept(kind, request)
        except StepsizeError as error:
            turned = self._reception.turn_away(error)
            return refusal(kind, turned.http, turned.grpc, turned.message, retry_after_s=turned.retry_after_s)
        if kind == JSON:
            return Response(200, answer.success_json(accepted.rejected_points, accepted.reason), JSON)
        body = answer.success(accepted.rejected_points, accepted.reason).SerializeToString()
        return Response(200, body, PROTOBUF)

    async def _accept(self, kind: str, request: Request) -> Accepted:
        encoding = request.headers.get("content-encoding")
        if not encoding:
            return await self._accept_unpacked(kind, request.body)
        content = await unpacked(request.body, encoding, self._max_body_bytes, self._compressions)
        with self._reception.in_flight.held(len(content)):
            return await self._accept_unpacked(kind, content)

    async def _accept_unpacked(self, kind: str, content: bytes) -> Accepted:
        if kind == PROTOBUF:
            return await self._reception.accept(content)
        from stepsize.collector.otlp.json_request import parse_json  # noqa: PLC0415 - few clients send JSON

        large = len(content) > LARGE_BYTES
        message = await asyncio.to_thread(parse_json, content) if large else parse_json(content)
        # As bytes: what is kept has to be what protobuf's parser takes, whatever JSON could say.
        return await self._reception.accept(message.SerializeToString())


class Router:
    """Paths to handlers; what is on no path is told what there is, and counted where ``metrics`` are given.

    ``below`` has handlers of all paths that begin so, where ``routes`` have none.
    """

    def __init__(
        self,
        routes: Mapping[str, Handler],
        metrics: ReceptionMetrics | None = None,
        below: Mapping[str, Handler] | None = None,
    ) -> None:
        self._routes = routes
        self._metrics = metrics
        self._below = below or {}

    async def __call__(self, request: Request) -> Response:
        """Hand the request to the handler of its path."""
        handler = self._routes.get(request.path)
        if handler is None and self._below:
            handler = next((one for start, one in self._below.items() if request.path.startswith(start)), None)
        if handler is not None:
            return await handler(request)
        signal = _OTHER_SIGNALS.get(request.path)
        if self._metrics is not None:
            self._metrics.refused(SIGNAL if signal else INVALID)
        message = (
            f"stepsize takes metrics only: {signal} are not supported; send them to another endpoint"
            if signal
            else f"nothing here; there is {', '.join(sorted(self._routes))}"
        )
        return refusal(content_kind(request.headers), 404, answer.UNIMPLEMENTED, message)


class Admission:
    """Who may send, for an HTTP server to ask before it reads a body."""

    def __init__(self, authenticator: Authenticator, metrics: ReceptionMetrics) -> None:
        self._authenticator = authenticator
        self._metrics = metrics

    async def __call__(self, headers: Mapping[str, str]) -> Response | None:
        """Why the sender of ``headers`` is turned away; None where it may go on."""
        kind, authenticator = content_kind(headers), self._authenticator
        try:
            if await authenticator.admits(headers.get(authenticator.header, "")):
                return None
        except StepsizeError as error:  # too many are being checked, or nobody knows who may
            self._metrics.refused(CREDENTIALS)
            return refusal(kind, 503, answer.UNAVAILABLE, str(error), retry_after_s=1)
        self._metrics.refused(CREDENTIALS)
        message = f"the credentials in {authenticator.header} are missing or not good"
        challenge = ("www-authenticate", authenticator.challenge)
        return refusal(kind, 401, answer.UNAUTHENTICATED, message, challenge)


def server_refusal(metrics: ReceptionMetrics) -> Callable[[Mapping[str, str], int, str, str], Response]:
    """What a server answers where it turns a request away itself: counted, and in the request's encoding."""
    codes = {413: answer.RESOURCE_EXHAUSTED, 431: answer.RESOURCE_EXHAUSTED, 503: answer.UNAVAILABLE}

    def refuse(headers: Mapping[str, str], status: int, bound: str, reason: str) -> Response:
        metrics.refused(bound)
        code = codes.get(status, answer.INVALID_ARGUMENT)
        return refusal(content_kind(headers), status, code, reason, retry_after_s=1 if status == 503 else None)

    return refuse


def content_kind(headers: Mapping[str, str]) -> str:
    """The media type of a request, without its parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def refusal(
    kind: str, status: int, code: int, message: str, *headers: tuple[str, str], retry_after_s: int | None = None
) -> Response:
    """An error in the encoding of the request; in text where it has none that we know."""
    if retry_after_s is not None:
        headers = (*headers, ("retry-after", str(retry_after_s)))
    if kind == JSON:
        return Response(status, answer.status_json(code, message, retry_after_s), JSON, headers)
    if kind == PROTOBUF:
        return Response(status, answer.status(code, message, retry_after_s).SerializeToString(), PROTOBUF, headers)
    return Response(status, f"{message}\n".encode(), "text/plain", headers)
