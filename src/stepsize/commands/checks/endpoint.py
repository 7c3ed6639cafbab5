"""The OTLP endpoint, where one is set: whether it takes metrics from us, and what is in the way where it does not.

What comes in: settings, environment variables. What goes out: findings. Sends one request without any point, as the
agent would; where that is not taken, looks at what lies between: the address, who listens there, certificates, a proxy.
"""

from __future__ import annotations

import logging
import os
import re
from typing import TYPE_CHECKING

from stepsize.collector import control
from stepsize.commands.checks.exporting import malformed_headers, route_of, without_headers
from stepsize.commands.checks.finding import Finding, Level
from stepsize.commands.checks.listener import AddressError, Protocol, look_at
from stepsize.instrumentation.agent.delivery import Delivery, Encoding, Request
from stepsize.store.layout import MANIFESTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepsize.commands.checks.exporting import Route
    from stepsize.commands.checks.listener import Listener
    from stepsize.instrumentation.agent.delivery import Answer
    from stepsize.settings import Settings

_PART = "endpoint"
_PATIENCE_S = 2.0
_REQUESTS = "otelcol_receiver_requests"
_STATUS = re.compile(r"(?:HTTP (\d{3})|gRPC ([A-Z_]+))\b")
_CREDENTIALS, _FORBIDDEN, _NOT_THERE, _BUSY, _BROKEN = "credentials", "forbidden", "not there", "busy", "broken"
_KINDS = {
    **dict.fromkeys(("401", "UNAUTHENTICATED"), _CREDENTIALS),
    **dict.fromkeys(("403", "PERMISSION_DENIED"), _FORBIDDEN),
    **dict.fromkeys(("404", "405", "501", "UNIMPLEMENTED"), _NOT_THERE),
    **dict.fromkeys(("429", "503", "RESOURCE_EXHAUSTED"), _BUSY),
    **dict.fromkeys(("500", "502", "504", "INTERNAL", "UNKNOWN"), _BROKEN),
}


def check_endpoint(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """What the endpoint answers; nothing where none is set."""
    if not settings.has_endpoint:
        return []
    found = [
        Finding(
            _PART, Level.FAULT, f"{name} holds what is no header", "write NAME=VALUE,NAME=VALUE, with %20 for a space"
        )
        for name in malformed_headers(environ)
    ]
    try:
        route = route_of(settings, environ)
        taken_before = _taken_here(settings)
        answer = _answer(settings)
        if answer.delivery is not Delivery.TAKEN:
            return [*found, _proxy_fault(route, answer) if route.proxy else _fault(route, answer)]
        well = Finding(_PART, Level.WELL, f"{route.shown} takes metrics over {route.protocol}")
        return [*found, well, *_by_proxy(route), *_elsewhere(settings, route, taken_before)]
    except AddressError as error:
        return [*found, Finding(_PART, Level.FAULT, str(error), error.remedy)]


def _taken_here(settings: Settings) -> float | None:
    """How many requests the collector of the data directory has taken; None where none serves it."""
    readings = control.metrics(settings, _PATIENCE_S)
    if readings is None:
        return None
    return sum(one.value for one in readings if one.name == _REQUESTS and one.labels.get("outcome") == "success")


def _elsewhere(settings: Settings, route: Route, taken_before: float | None) -> list[Finding]:
    """Whether the lake that is read here is another one than that of who has just taken a request."""
    is_here = taken_before is not None and _taken_here(settings) != taken_before
    if is_here or not os.path.isdir(settings.data / MANIFESTS):  # noqa: PTH112 - false where this user may not look
        return []
    said = f"points go to {route.shown}, and what is read here is another lake: {settings.data}"
    return [Finding(_PART, Level.NOTE, said, f"read that collector's lake (--data), or unset {route.variable}")]


def _answer(settings: Settings) -> Answer:
    # What the exporters log may hold a header; gRPC reads its variable once, when it is imported.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    logging.disable(logging.CRITICAL)
    try:
        return _send(settings)
    finally:
        logging.disable(logging.NOTSET)


def _send(settings: Settings) -> Answer:
    from stepsize.instrumentation.agent import destination  # noqa: PLC0415 - imports the SDK: 200 ms

    request = Request(b"", 0)
    if settings.metrics_protocol_in_use == "http/json":
        request = Request(b"{}", 0, Encoding.JSON)
    try:
        endpoint = destination.Endpoint(settings)
        try:
            return endpoint.send(request)
        finally:
            endpoint.close()
    except Exception as error:  # noqa: BLE001 - the exporters raise whatever comes of variables that they do not understand
        words = without_headers(f"{error}", os.environ)
        raise AddressError(f"the exporter cannot start: {words}", "correct OTEL_EXPORTER_OTLP_*") from None


def _by_proxy(route: Route) -> list[Finding]:
    if not (route.proxy and route.is_loopback):
        return []
    said = f"{route.host} is reached through the proxy {route.proxy}"
    return [Finding(_PART, Level.NOTE, said, f"add {route.host} to NO_PROXY (no_proxy for gRPC)")]


def _proxy_fault(route: Route, answer: Answer) -> Finding:
    if _STATUS.match(answer.reason):
        said = f"{route.shown} does not take metrics through the proxy {route.proxy}: {answer.reason}"
        if not route.is_loopback:
            return Finding(_PART, Level.FAULT, said, _remedy(route, answer))
    else:
        said = f"{route.shown} cannot be reached through the proxy {route.proxy}"
    return Finding(_PART, Level.FAULT, said, f"add {route.host} to NO_PROXY (no_proxy for gRPC), or mend the proxy")


def _fault(route: Route, answer: Answer) -> Finding:
    """What is in the way: the network and the protocol first, of which an exporter's words say little."""
    trust = route.trust if route.is_tls else None
    try:
        there = look_at(route.host, route.port, trust, wants_http2=route.is_grpc)
    except AddressError as error:
        remedy = error.remedy
        if route.is_loopback and "refused" in str(error):
            remedy += f"; in a container or pod {route.host} is that container, not its host"
        return Finding(_PART, Level.FAULT, f"{route.shown} does not take metrics: {error}", remedy)
    said, remedy = _wrong_protocol(route, there, answer) or (_words(there, answer), _remedy(route, answer))
    return Finding(_PART, Level.FAULT, f"{route.shown} does not take metrics: {said}", remedy)


def _wrong_protocol(route: Route, there: Listener, answer: Answer) -> tuple[str, str] | None:
    """What is wrong with the protocol, and what to do, if that is what it is."""
    if there.is_tls and not route.is_tls:
        return "it speaks TLS, and is spoken to without", f"write https:// in {route.variable}"
    if route.is_tls and not there.is_tls and there.speaks is not Protocol.UNKNOWN:
        return (
            "it speaks no TLS, and is spoken to with it",
            f"write http:// in {route.variable}, or give it a certificate",
        )
    speaks_http = answer.reason.startswith("HTTP ")  # it has answered so, whatever else it speaks
    if there.speaks is Protocol.HTTP2 and not route.is_grpc and not speaks_http:
        remedy = "use its port for HTTP (usually 4318), or set OTEL_EXPORTER_OTLP_PROTOCOL=grpc"
        return f"gRPC listens there, and is spoken to as {route.protocol}", remedy
    if there.speaks is Protocol.HTTP1 and route.is_grpc:
        remedy = "use its port for gRPC (usually 4317), or set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
        return "HTTP listens there, and is spoken to as gRPC", remedy
    return None


def _words(there: Listener, answer: Answer) -> str:
    """What was answered; where nothing was, the exporters' libraries have no words for people."""
    if _STATUS.match(answer.reason):
        return answer.reason
    if there.speaks is Protocol.UNKNOWN:
        return "it takes the connection and does not answer"
    return "it breaks the connection off"


def _remedy(route: Route, answer: Answer) -> str:
    """What to do about an answer, by its status."""
    status = _STATUS.match(answer.reason)
    kind = _KINDS.get(status[1] or status[2]) if status else None
    if kind == _CREDENTIALS:
        if "authorization" in route.header_names:
            return "correct the token or password in OTEL_EXPORTER_OTLP_HEADERS: it is not one that is known there"
        return "it asks who sends: set OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20TOKEN"
    if kind == _NOT_THERE and not route.is_grpc:
        return _path_remedy(route)
    return {
        _FORBIDDEN: "who sends is known there and may not: have its owner allow it",
        _NOT_THERE: "it is no collector of metrics: correct the address, or have it serve OTLP metrics",
        _BUSY: "it is there and full: the points wait and are sent again; see its log and metrics",
        _BROKEN: "it is there and fails: see its log",
    }.get(kind or "", "see its log: it takes no metrics as OTLP has them")


def _path_remedy(route: Route) -> str:
    if route.variable.endswith("_METRICS_ENDPOINT"):
        return f"{route.variable} is used as it is: end it in /v1/metrics"
    if route.path.count("/v1/metrics") > 1:
        return f"/v1/metrics is added to {route.variable}: leave it away there"
    return f"nothing takes metrics at {route.path}: correct the path in {route.variable}, to which /v1/metrics is added"
