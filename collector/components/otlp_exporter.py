"""``exporters: otlp``: sends what a pipeline took to another collector or backend over OTLP/gRPC.

Keys and defaults as upstream's otlpexporter and configgrpc ``ClientConfig``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stepsize.collector.components.auth_settings import AuthConfig
from stepsize.collector.components.client_tls import GrpcClientTlsConfig
from stepsize.collector.components.sending import QueueConfig, RetryConfig
from stepsize.collector.config.language import (
    Secret,
    Section,
    choice,
    duration_s,
    option,
    required_text,
    secret_pairs,
    text,
)


def grpc_target(value: Any) -> str:
    """``HOST:PORT`` or a target of gRPC's, ``http://`` and ``https://`` before it allowed."""
    written = required_text(value)
    bare = written.removeprefix("http://").removeprefix("https://").rstrip("/")
    if not bare or (":" not in bare):
        raise ValueError(f"expected HOST:PORT, found {value!r}")
    return written.rstrip("/")


@dataclass(frozen=True, slots=True)
class OtlpExporterConfig:
    """Where to, and how."""

    endpoint: str = option(grpc_target, says="`HOST:PORT`; `http://` before it goes without TLS")
    tls: GrpcClientTlsConfig = option(Section(GrpcClientTlsConfig), factory=GrpcClientTlsConfig, says="TLS")
    headers: tuple[tuple[str, Secret], ...] = option(
        secret_pairs, default=(), says="metadata of each call, a token say; never shown"
    )
    auth: AuthConfig | None = option(
        Section(AuthConfig),
        default=None,
        says="an extension that signs requests: `bearertokenauth`, or `basicauth` with `client_auth`",
    )
    authority: str = option(text, default="", says="what is sent as `:authority`")
    compression: str = option(choice("gzip", "none", ""), default="gzip", says="`gzip` or `none`")
    timeout_s: float = option(duration_s, default=5.0, key="timeout", says="of each attempt")
    sending_queue: QueueConfig = option(Section(QueueConfig), factory=QueueConfig, says="what may wait")
    retry_on_failure: RetryConfig = option(Section(RetryConfig), factory=RetryConfig, says="when it is tried again")

    def validate(self) -> None:
        """Refuse what cannot work."""
        if self.timeout_s <= 0:
            raise ValueError("timeout must be above 0")
        for name, value in self.headers:
            written = name + value.reveal()
            if not name or name.lower().startswith("grpc-") or not (written.isascii() and written.isprintable()):
                raise ValueError(f"header {name!r} cannot be sent over gRPC")

    @property
    def target(self) -> str:
        """The endpoint as gRPC names it."""
        return self.endpoint.removeprefix("http://").removeprefix("https://")

    @property
    def plaintext(self) -> bool:
        """Whether it goes without TLS."""
        if self.endpoint.startswith("https://"):
            return False
        return self.tls.insecure or self.endpoint.startswith("http://")
