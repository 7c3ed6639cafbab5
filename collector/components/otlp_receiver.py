"""``receivers: otlp``: OTLP over gRPC and HTTP.

Keys as upstream's otlpreceiver. A protocol that is not named is not served.
"""

from __future__ import annotations

from dataclasses import dataclass

from stepsize.collector.config.language import Endpoint, Section, duration_s, listen_address, option, text, whole

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class GrpcConfig:
    """OTLP/gRPC."""

    endpoint: Endpoint = option(listen_address, default=Endpoint("127.0.0.1", 4317))
    max_recv_msg_size_mib: int = option(whole, default=20)
    max_concurrent_streams: int = option(whole, default=0)

    def validate(self) -> None:
        """Refuse what cannot work."""
        if not 0 < self.max_recv_msg_size_mib <= 1024:
            raise ValueError("max_recv_msg_size_mib must be from 1 to 1024")

    @property
    def max_message_bytes(self) -> int:
        """Largest request."""
        return self.max_recv_msg_size_mib * _MIB


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """OTLP/HTTP. ``max_request_body_size`` (bytes) bounds the body as it is sent and as it unpacks."""

    endpoint: Endpoint = option(listen_address, default=Endpoint("127.0.0.1", 4318))
    max_request_body_size: int = option(whole, default=20 * _MIB)
    metrics_url_path: str = option(text, default="/v1/metrics")
    read_timeout_s: float = option(duration_s, default=30.0, key="read_timeout")
    idle_timeout_s: float = option(duration_s, default=75.0, key="idle_timeout")

    def validate(self) -> None:
        """Refuse what cannot work."""
        if not 0 < self.max_request_body_size <= 1024 * _MIB:
            raise ValueError("max_request_body_size must be from 1 to 1073741824 bytes")
        if not self.metrics_url_path.startswith("/"):
            raise ValueError("metrics_url_path must start with /")
        if self.read_timeout_s <= 0 or self.idle_timeout_s <= 0:
            raise ValueError("read_timeout and idle_timeout must be above 0")


@dataclass(frozen=True, slots=True)
class ProtocolsConfig:
    """Which protocols are served."""

    grpc: GrpcConfig | None = option(Section(GrpcConfig), default=None)
    http: HttpConfig | None = option(Section(HttpConfig), default=None)

    def validate(self) -> None:
        """Refuse what cannot work."""
        if self.grpc is None and self.http is None:
            raise ValueError("name at least one of grpc and http")


@dataclass(frozen=True, slots=True)
class OtlpReceiverConfig:
    """The receiver."""

    protocols: ProtocolsConfig = option(Section(ProtocolsConfig), factory=ProtocolsConfig)

    def validate(self) -> None:
        """Refuse what cannot work."""
        self.protocols.validate()
