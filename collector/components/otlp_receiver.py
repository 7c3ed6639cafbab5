"""``receivers: otlp``: OTLP over gRPC and HTTP.

Keys as upstream's otlpreceiver, configgrpc and confighttp. A protocol that is not named is not served. Ours alone are
``limits``, ``max_connections``, ``max_header_bytes``, gRPC's ``read_timeout`` and ``first_call_timeout``; times that
upstream leaves without a bound have one here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stepsize.collector.components.auth_settings import AuthConfig
from stepsize.collector.components.server_tls import ServerTlsConfig
from stepsize.collector.config.language import (
    Endpoint,
    Secret,
    Section,
    duration_s,
    flag,
    listen_address,
    names,
    option,
    secret_pairs,
    text,
    whole,
)
from stepsize.collector.limits import RequestLimits
from stepsize.listening.addresses import is_loopback

_MIB = 1 << 20
_MAX_MESSAGE_MIB = 1024
COMPRESSIONS = ("", "gzip", "zstd", "zlib", "snappy", "deflate", "lz4", "x-snappy-framed")
"""What bodies may be packed with; the empty name is none."""
_LIMITS = RequestLimits()
_IDLE_S = 75.0


def _compressions(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list of {', '.join(map(repr, COMPRESSIONS))}")
    for name in value:
        if name not in COMPRESSIONS:
            raise ValueError(f"compression {name!r} is not supported; known: {', '.join(map(repr, COMPRESSIONS))}")
    return tuple(value)


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """What one request, one sender and all of them together may bring. Ours alone; 0 is no bound."""

    max_in_flight_mib: int = option(
        whole,
        default=_LIMITS.in_flight_bytes // _MIB,
        says="requests that arrive, are checked and wait for the disk, together; beyond, they are refused for now",
    )
    max_points: int = option(whole, default=_LIMITS.points, says="points of one request")
    max_attributes: int = option(whole, default=_LIMITS.attributes, says="attributes of a resource, scope or point")
    max_attribute_bytes: int = option(
        whole, default=_LIMITS.attribute_bytes, says="one attribute, key and value as they are sent"
    )
    max_resources: int = option(
        whole, default=_LIMITS.resources, says="different resources in a window; points of further ones are refused"
    )
    max_series: int = option(
        whole,
        default=_LIMITS.series,
        says="different series of one resource in a window; points of further ones are refused",
    )
    window_s: float = option(
        duration_s, default=_LIMITS.window_s, key="window", says="after so long resources and series count anew"
    )

    def validate(self) -> None:
        """Refuse what cannot work."""
        if self.window_s <= 0:
            raise ValueError("window must be above 0")

    @property
    def limits(self) -> RequestLimits:
        """The bounds as the intake knows them."""
        return RequestLimits(
            in_flight_bytes=self.max_in_flight_mib * _MIB,
            points=self.max_points,
            attributes=self.max_attributes,
            attribute_bytes=self.max_attribute_bytes,
            resources=self.max_resources,
            series=self.max_series,
            window_s=self.window_s,
        )


@dataclass(frozen=True, slots=True)
class ServerParametersConfig:
    """When gRPC ends or asks after connections; 0 is what gRPC's own servers do (never; 2 h; 20 s)."""

    max_connection_idle_s: float = option(
        duration_s, default=0.0, key="max_connection_idle", says="a connection without calls ends after so long"
    )
    max_connection_age_s: float = option(
        duration_s, default=0.0, key="max_connection_age", says="a connection ends after so long, a tenth more or less"
    )
    max_connection_age_grace_s: float = option(
        duration_s, default=0.0, key="max_connection_age_grace", says="how much longer calls may run then"
    )
    time_s: float = option(duration_s, default=0.0, key="time", says="how long a silent connection is not pinged")
    timeout_s: float = option(duration_s, default=0.0, key="timeout", says="how long the answer to a ping may take")


@dataclass(frozen=True, slots=True)
class EnforcementPolicyConfig:
    """Which pings of clients are borne; connections of others end."""

    min_time_s: float = option(
        duration_s, default=0.0, key="min_time", says="least time between pings; 0 is gRPC's 5 minutes"
    )
    permit_without_stream: bool = option(flag, default=False, says="whether clients may ping while no call runs")


@dataclass(frozen=True, slots=True)
class KeepaliveConfig:
    """Pings and ages of connections."""

    server_parameters: ServerParametersConfig = option(Section(ServerParametersConfig), factory=ServerParametersConfig)
    enforcement_policy: EnforcementPolicyConfig = option(
        Section(EnforcementPolicyConfig), factory=EnforcementPolicyConfig
    )


def _tcp(value: Any) -> str:
    """Upstream's ``transport``, of which there is one here."""
    if value != "tcp":
        raise ValueError(f"expected tcp, found {value!r}; agents on this machine have a Unix socket anyhow")
    return str(value)


@dataclass(frozen=True, slots=True)
class HttpKeepaliveConfig:
    """Connections that serve several requests, in place of the two keys below."""

    enabled: bool = option(flag, default=True, says="whether there are any")
    idle_timeout_s: float = option(
        duration_s, default=_IDLE_S, key="idle_timeout", says="how long one may be without a request"
    )

    def validate(self) -> None:
        """Refuse what cannot work."""
        if self.idle_timeout_s <= 0:
            raise ValueError("idle_timeout must be above 0")


@dataclass(frozen=True, slots=True)
class GrpcConfig:
    """OTLP/gRPC."""

    endpoint: Endpoint = option(listen_address, default=Endpoint("127.0.0.1", 4317), says="where it listens")
    transport: str = option(_tcp, default="tcp", says="`tcp`")
    tls: ServerTlsConfig | None = option(Section(ServerTlsConfig), default=None, says="certificates")
    auth: AuthConfig | None = option(Section(AuthConfig), default=None, says="who may send")
    max_recv_msg_size_mib: int = option(whole, default=20, says="largest message, as it is sent and unpacked")
    max_concurrent_streams: int = option(whole, default=0, says="calls at once of one connection; 0 is 1,024")
    max_connections: int = option(whole, default=4096, says="connections at once; further ones are closed")
    read_timeout_s: float = option(
        duration_s, default=30.0, key="read_timeout", says="how long the message of a call may take to arrive"
    )
    first_call_timeout_s: float = option(
        duration_s,
        default=_IDLE_S,
        key="first_call_timeout",
        says="a connection on which no call has been let through ends after so long",
    )
    keepalive: KeepaliveConfig = option(Section(KeepaliveConfig), factory=KeepaliveConfig, says="pings and ages")

    def validate(self) -> None:
        """Refuse what cannot work."""
        if not 0 < self.max_recv_msg_size_mib <= _MAX_MESSAGE_MIB:
            raise ValueError(f"max_recv_msg_size_mib must be from 1 to {_MAX_MESSAGE_MIB}")
        if not self.max_connections or self.read_timeout_s <= 0 or self.first_call_timeout_s <= 0:
            raise ValueError("max_connections, read_timeout and first_call_timeout must be above 0")

    @property
    def max_message_bytes(self) -> int:
        """Largest request."""
        return self.max_recv_msg_size_mib * _MIB


@dataclass(frozen=True, slots=True)
class LivePageConfig:
    """A page of what runs, at `/live` (docs/live.md)."""

    enabled: bool = option(flag, default=True, says="whether it is served, where `endpoint` is of the loopback")
    any_user: bool = option(
        flag,
        default=False,
        says="whether all users of this machine may see it where there is no `auth`; else the collector's own and root",
    )
    beyond_loopback: bool = option(
        flag, default=False, says="whether it is served on other addresses too; that needs `tls` and `auth`"
    )
    allowed_hosts: tuple[str, ...] = option(
        names, default=(), says="names by which browsers may ask for it, besides addresses and `localhost`"
    )


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """OTLP/HTTP."""

    endpoint: Endpoint = option(listen_address, default=Endpoint("127.0.0.1", 4318), says="where it listens")
    transport: str = option(_tcp, default="tcp", says="`tcp`")
    tls: ServerTlsConfig | None = option(Section(ServerTlsConfig), default=None, says="certificates")
    auth: AuthConfig | None = option(Section(AuthConfig), default=None, says="who may send")
    max_request_body_size: int = option(
        whole, default=20 * _MIB, says="largest body in bytes, as it is sent and unpacked"
    )
    compression_algorithms: tuple[str, ...] = option(
        _compressions, default=COMPRESSIONS, says="what bodies may be packed with; the empty name is none"
    )
    metrics_url_path: str = option(text, default="/v1/metrics", says="where metrics are taken")
    response_headers: tuple[tuple[str, Secret], ...] = option(
        secret_pairs, default=(), says="headers that every answer carries"
    )
    read_timeout_s: float = option(
        duration_s, default=30.0, key="read_timeout", says="how long a request may take to arrive"
    )
    read_header_timeout_s: float = option(
        duration_s, default=0.0, key="read_header_timeout", says="the same for its headers; 0 is `read_timeout`"
    )
    write_timeout_s: float = option(
        duration_s, default=30.0, key="write_timeout", says="how long a client may take to read its answer"
    )
    keepalive: HttpKeepaliveConfig | None = option(Section(HttpKeepaliveConfig), default=None)
    idle_timeout_s: float = option(
        duration_s, default=_IDLE_S, key="idle_timeout", says="how long a connection may be without a request"
    )
    keep_alives_enabled: bool = option(flag, default=True, says="whether a connection serves several requests")
    max_connections: int = option(whole, default=4096, says="connections at once; further ones are told to come later")
    max_header_bytes: int = option(whole, default=32 << 10, says="largest headers of a request")
    live_page: LivePageConfig = option(Section(LivePageConfig), factory=LivePageConfig)

    def validate(self) -> None:
        """Refuse what cannot work."""
        if not 0 < self.max_request_body_size <= _MAX_MESSAGE_MIB * _MIB:
            raise ValueError(f"max_request_body_size must be from 1 to {_MAX_MESSAGE_MIB * _MIB} bytes")
        if not self.metrics_url_path.startswith("/"):
            raise ValueError("metrics_url_path must start with /")
        if self.read_timeout_s <= 0 or self.idle_timeout_s <= 0 or self.write_timeout_s <= 0:
            raise ValueError("read_timeout, write_timeout and idle_timeout must be above 0")
        if not self.max_connections or not self.max_header_bytes:
            raise ValueError("max_connections and max_header_bytes must be above 0")
        if self.serves_live_page and not self._is_on_loopback and not self._knows_clients:
            raise ValueError("live_page.beyond_loopback needs tls and auth, or tls with client_ca_file")

    @property
    def serves_live_page(self) -> bool:
        """Whether there is a live page."""
        page = self.live_page
        return page.enabled and (self._is_on_loopback or page.beyond_loopback)

    @property
    def shows_live_page_to_any_user(self) -> bool:
        """Whether whoever can connect, and has the credentials that are asked for, may see it."""
        has_credentials = self.auth is not None or self._knows_clients
        return has_credentials or self.live_page.any_user

    @property
    def _is_on_loopback(self) -> bool:
        return is_loopback(self.endpoint.host)

    @property
    def _knows_clients(self) -> bool:
        return self.tls is not None and (self.auth is not None or self.tls.client_ca_file is not None)

    @property
    def idle_s(self) -> float:
        """How long a connection may be without a request, whichever key says so."""
        return self.keepalive.idle_timeout_s if self.keepalive else self.idle_timeout_s

    @property
    def keeps_alive(self) -> bool:
        """Whether a connection serves several requests, whichever key says so."""
        return self.keepalive.enabled if self.keepalive else self.keep_alives_enabled


@dataclass(frozen=True, slots=True)
class ProtocolsConfig:
    """Which protocols are served."""

    grpc: GrpcConfig | None = option(Section(GrpcConfig), default=None, says="OTLP/gRPC")
    http: HttpConfig | None = option(Section(HttpConfig), default=None, says="OTLP/HTTP")

    def validate(self) -> None:
        """Refuse what cannot work."""
        if self.grpc is None and self.http is None:
            raise ValueError("name at least one of grpc and http")


@dataclass(frozen=True, slots=True)
class OtlpReceiverConfig:
    """The receiver."""

    protocols: ProtocolsConfig = option(Section(ProtocolsConfig), factory=ProtocolsConfig)
    limits: LimitsConfig = option(Section(LimitsConfig), factory=LimitsConfig, says="bounds of what is taken")

    def validate(self) -> None:
        """Refuse what cannot work."""
        self.protocols.validate()
