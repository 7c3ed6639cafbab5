"""``exporters: otlphttp``: sends what a pipeline took to another collector or backend over OTLP/HTTP.

Keys and defaults as upstream's otlphttpexporter and confighttp ``ClientConfig``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from stepsize.collector.components.auth_settings import AuthConfig
from stepsize.collector.components.client_tls import HttpClientTlsConfig
from stepsize.collector.components.sending import QueueConfig, RetryConfig
from stepsize.collector.config.language import Secret, Section, choice, duration_s, option, secret_pairs, text

_METRICS_PATH = "/v1/metrics"


def url(value: Any) -> str:
    """``http://`` or ``https://`` and a host."""
    written = text(value)
    try:
        parts = urlsplit(written)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        known = False
    if not known:
        raise ValueError(f"expected http://HOST:PORT or https://HOST:PORT, found {_without_user(written)!r}")
    if parts.username or parts.password:
        raise ValueError("a URL with a user or password is shown in logs; give headers: {authorization: …}")
    return written


def _without_user(written: str) -> str:
    head, at, tail = written.rpartition("@")
    return f"…@{tail}" if at and head else written


@dataclass(frozen=True, slots=True)
class OtlpHttpExporterConfig:
    """Where to, and how."""

    endpoint: str = option(url, default="", says="URL to which `/v1/metrics` is added")
    metrics_endpoint: str = option(url, default="", says="the whole URL, in place of `endpoint`")
    tls: HttpClientTlsConfig = option(Section(HttpClientTlsConfig), factory=HttpClientTlsConfig, says="TLS")
    headers: tuple[tuple[str, Secret], ...] = option(
        secret_pairs, default=(), says="headers of each request, a token say; never shown"
    )
    auth: AuthConfig | None = option(
        Section(AuthConfig),
        default=None,
        says="an extension that signs requests: `bearertokenauth`, or `basicauth` with `client_auth`",
    )
    encoding: str = option(choice("proto", "json"), default="proto", says="`proto` or `json`")
    compression: str = option(
        choice("gzip", "deflate", "zlib", "none", ""), default="gzip", says="`gzip`, `deflate`, `zlib` or `none`"
    )
    timeout_s: float = option(duration_s, default=30.0, key="timeout", says="of each attempt")
    proxy_url: str = option(url, default="", says="a proxy's URL")
    sending_queue: QueueConfig = option(Section(QueueConfig), factory=QueueConfig, says="what may wait")
    retry_on_failure: RetryConfig = option(Section(RetryConfig), factory=RetryConfig, says="when it is tried again")

    def validate(self) -> None:
        """Refuse what cannot work."""
        if not self.endpoint and not self.metrics_endpoint:
            raise ValueError("endpoint or metrics_endpoint is needed")
        if self.timeout_s <= 0:
            raise ValueError("timeout must be above 0")
        for name, value in self.headers:
            written = name + value.reveal()
            if not name or not (written.isascii() and written.isprintable()):
                raise ValueError(f"header {name!r} cannot be sent over HTTP")

    @property
    def metrics_url(self) -> str:
        """Where requests go."""
        return self.metrics_endpoint or self.endpoint.rstrip("/") + _METRICS_PATH
