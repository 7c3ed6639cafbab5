"""An OTLP/HTTP endpoint for an agent whose interpreter has no OpenTelemetry.

What comes in: the `OTEL_EXPORTER_OTLP_*` variables, requests. What goes out: what the endpoint answered. The variables
mean what they mean to OpenTelemetry's Python exporter: those of the metrics signal go before the general ones, the
general endpoint is completed with ``/v1/metrics``, headers are percent-encoded pairs, a timeout is in seconds, and
proxies are those of the environment. Blocks no longer than the timeout at a time; called from the sender's thread.
Standard library only.
"""

from __future__ import annotations

import base64
import http.client
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from stepsize import __version__
from stepsize.errors import ConfigError
from stepsize.instrumentation.agent.account import exporter_variable, parse_headers, without_login
from stepsize.instrumentation.agent.delivery import COMPRESSIONS, Answer, Delivery, of_http
from stepsize.otlp_answers import said_in_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepsize.instrumentation.agent.delivery import Request
    from stepsize.settings import Settings

_PATH = "v1/metrics"
_TIMEOUT_S = 10.0
_MAX_ANSWER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Exporter:
    """What the variables say of an export.

    Attributes:
        url: of the metrics signal, without credentials.
        headers: names in lower case.
        timeout_s: seconds that one request may take.
        compression: ``gzip``, ``deflate`` or ``none``.
        certificate, client_certificate, client_key: files in PEM, empty for the system's own.
    """

    url: str
    headers: Mapping[str, str] = field(repr=False)
    timeout_s: float
    compression: str
    certificate: str
    client_certificate: str
    client_key: str


def exporter(settings: Settings, environ: Mapping[str, str]) -> Exporter:
    """What `settings` and the other variables say.

    Raises:
        ConfigError: there is no endpoint, it speaks gRPC, which the standard library does not, or is no URL of HTTP.
    """

    said = partial(exporter_variable, environ=environ)
    if not settings.has_endpoint:
        raise ConfigError("set OTEL_EXPORTER_OTLP_ENDPOINT: this interpreter has no collector to bring")
    if settings.metrics_protocol_in_use == "grpc":
        raise ConfigError(
            "OTEL_EXPORTER_OTLP_PROTOCOL=grpc needs the package opentelemetry-exporter-otlp, which this interpreter "
            "lacks; install it, or set http/protobuf and the endpoint's HTTP port (usually 4318)"
        )
    endpoint = settings.metrics_endpoint or f"{(settings.endpoint or '').rstrip('/')}/{_PATH}"
    url, credentials = _without_credentials(endpoint)
    return Exporter(
        url=url,
        headers={**credentials, **parse_headers(said("HEADERS"))},
        timeout_s=_seconds(said("TIMEOUT")),
        compression=said("COMPRESSION").strip().lower(),
        certificate=said("CERTIFICATE"),
        client_certificate=said("CLIENT_CERTIFICATE"),
        client_key=said("CLIENT_KEY"),
    )


class HttpEndpoint:
    """Sends requests with ``urllib``; each is a connection of its own.

    Raises:
        ConfigError: a certificate cannot be read.
    """

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter
        self._compress = COMPRESSIONS.get(exporter.compression)
        try:
            handler = urllib.request.HTTPSHandler(context=_context(exporter))
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"cannot read the certificates of OTEL_EXPORTER_OTLP_*: {error}") from None
        self._opener = urllib.request.build_opener(handler, _NoRedirect)

    def send(self, request: Request) -> Answer:
        """Send once; never raises, never tries again by itself."""
        headers = {**self._exporter.headers, "content-type": request.encoding.value}
        headers.setdefault("user-agent", f"stepsize/{__version__}")
        body = request.body
        if self._compress is not None:
            body, headers["content-encoding"] = self._compress(body), self._exporter.compression
        try:
            message = urllib.request.Request(  # noqa: S310 - `exporter` takes URLs of HTTP alone
                self._exporter.url, body, headers, method="POST"
            )
            with self._opener.open(message, timeout=self._exporter.timeout_s) as response:
                return _answer(response.status, response.headers["Retry-After"], response.read(_MAX_ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error.code, error.headers["Retry-After"], _body(error))
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Answer(Delivery.LATER, f"{type(error).__name__}: {error}")

    def close(self) -> None:
        """Let go of nothing: no connection outlives its request."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would become a GET, and headers with secrets would follow it to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _context(exporter: Exporter) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=exporter.certificate or None)
    if exporter.client_certificate:
        context.load_cert_chain(exporter.client_certificate, exporter.client_key or None)
    return context


def _body(error: urllib.error.HTTPError) -> bytes:
    try:
        return error.read(_MAX_ANSWER_BYTES)
    except (OSError, http.client.HTTPException):
        return b""


def _answer(status: int, retry_after: str | None, body: bytes) -> Answer:
    rejected, reason = said_in_json(body)
    now_s = time.time()
    return of_http(status, retry_after=retry_after, now_unix_s=now_s, rejected_points=rejected, reason=reason)


def _without_credentials(endpoint: str) -> tuple[str, dict[str, str]]:
    """The URL without the user and password in it, and the header that says them, as ``requests`` makes it."""
    try:
        parts = urlsplit(endpoint)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError("OTEL_EXPORTER_OTLP_ENDPOINT is no URL that begins with http:// or https://")
    url, login = without_login(endpoint)
    if login is None:
        return url, {}
    secret = base64.b64encode(":".join(login).encode()).decode()
    return url, {"authorization": f"Basic {secret}"}


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return _TIMEOUT_S
    return value if value > 0 else _TIMEOUT_S
