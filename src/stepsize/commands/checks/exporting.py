"""How the agent's exporters reach the endpoint: address, protocol, TLS, proxy, as OpenTelemetry's variables say.

What comes in: settings and environment variables. What goes out: a frozen :class:`Route`. Connects to nobody. Never
holds what is secret: of headers only their names, of an address no user or password.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from stepsize.commands.checks.listener import AddressError, Trust
from stepsize.instrumentation.agent.account import exporter_variable, parse_headers, without_login

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepsize.settings import Settings

_OTLP, _METRICS = "OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_METRICS_"
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Route:
    """How requests go.

    Attributes:
        variable: the variable that names the endpoint.
        shown: the endpoint, without what is secret.
        host: its host.
        port: its port.
        path: the path that requests go to; empty over gRPC.
        protocol: ``grpc``, ``http/protobuf`` or ``http/json``.
        is_tls: whether it is reached by TLS.
        trust: whom the exporter believes.
        header_names: names of the headers that it sends, in lower case.
        proxy: what stands between, without user and password; empty for nothing.
    """

    variable: str
    shown: str
    host: str
    port: int
    path: str
    protocol: str
    is_tls: bool
    trust: Trust
    header_names: frozenset[str]
    proxy: str

    @property
    def is_grpc(self) -> bool:
        """Whether it is gRPC, which is HTTP/2."""
        return self.protocol == "grpc"

    @property
    def is_loopback(self) -> bool:
        """Whether it ends on this machine, or in this container."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"


def route_of(settings: Settings, environ: Mapping[str, str]) -> Route:
    """The way of the metrics.

    Raises:
        AddressError: the endpoint is no address.
    """
    name = "METRICS_ENDPOINT" if settings.metrics_endpoint else "ENDPOINT"
    written = settings.metrics_endpoint or settings.endpoint or ""
    shown = without_login(written)[0]
    protocol = settings.metrics_protocol_in_use
    url = written if "://" in written or protocol != "grpc" else f"//{written}"  # gRPC goes without a scheme, too
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or (protocol != "grpc" and parts.scheme not in _DEFAULT_PORTS):
        example = f"http://{written}" if "://" not in written and "@" not in written else "http://HOST:4318"
        said = f"{_OTLP}{name}={shown} is no address of a collector"
        raise AddressError(said, f"write it as {example}")
    is_tls = _is_tls(parts.scheme, protocol, environ)
    path = parts.path if settings.metrics_endpoint else f"{parts.path.rstrip('/')}/v1/metrics"
    return Route(
        variable=f"{_OTLP}{name}",
        shown=shown,
        host=host,
        port=port or _DEFAULT_PORTS.get(parts.scheme, 443),
        path="" if protocol == "grpc" else path or "/",
        protocol=protocol,
        is_tls=is_tls,
        trust=_trust(protocol, environ),
        header_names=frozenset(parse_headers(exporter_variable("HEADERS", environ))),
        proxy=without_login(_proxy(written, protocol, host, environ))[0],
    )


def malformed_headers(environ: Mapping[str, str]) -> list[str]:
    """Variables that hold what is no ``NAME=VALUE``, and is left out by the exporters with a line that nobody sees."""
    return [
        name
        for name in (f"{_OTLP}HEADERS", f"{_METRICS}HEADERS")
        if any("=" not in each or not _is_token(each.partition("=")[0].strip()) for each in _split(environ, name))
    ]


def without_headers(text: str, environ: Mapping[str, str]) -> str:
    """A text on one line, without what the headers hold: libraries show them when they refuse them."""
    for value in parse_headers(exporter_variable("HEADERS", environ)).values():
        for written in (value, repr(value)[1:-1]):
            text = text.replace(written, "…") if written else text
    return " ".join(text.split())


def _split(environ: Mapping[str, str], name: str) -> list[str]:
    return [each for each in environ.get(name, "").split(",") if each.strip()]


def _is_token(name: str) -> bool:
    """Whether a text can be a header's name (RFC 9110, 5.6.2)."""
    return bool(name) and name.isascii() and all(char.isalnum() or char in "!#$%&'*+-.^_`|~" for char in name)


def _is_tls(scheme: str, protocol: str, environ: Mapping[str, str]) -> bool:
    """As OpenTelemetry's exporters decide it: over gRPC a variable may say that it goes without."""
    if scheme == "https":
        return True
    if protocol != "grpc":
        return False
    insecure = exporter_variable("INSECURE", environ)
    return insecure.lower() != "true" if insecure else scheme != "http"


def _trust(protocol: str, environ: Mapping[str, str]) -> Trust:
    def file(name: str) -> Path | None:
        named = exporter_variable(name, environ)
        return Path(named) if named else None

    authorities = file("CERTIFICATE")
    if authorities is None and protocol != "grpc":
        import certifi  # noqa: PLC0415 - what `requests` believes, which has it

        bundle = environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE")
        authorities = Path(bundle or certifi.where())
    elif authorities is None and (roots := environ.get("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH")):
        authorities = Path(roots)
    return Trust(authorities, file("CLIENT_CERTIFICATE"), file("CLIENT_KEY"))


def _proxy(url: str, protocol: str, host: str, environ: Mapping[str, str]) -> str:
    """The proxy that `requests` (its own rules) or gRPC (doc/environment_variables.md) would go through."""
    if protocol != "grpc":
        from requests.utils import get_environ_proxies, select_proxy  # noqa: PLC0415 - heavy

        return select_proxy(url, get_environ_proxies(url)) or ""
    exempt = environ.get("no_grpc_proxy") or environ.get("no_proxy") or ""
    if any(name.strip() and host.endswith(name.strip().lstrip("*")) for name in exempt.split(",")):
        return ""
    return next((environ[name] for name in ("grpc_proxy", "https_proxy", "http_proxy") if environ.get(name)), "")
