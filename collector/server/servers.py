"""Everything that a configuration has listen, composed: receivers, health checks, the collector's own metrics.

What comes in: a configuration, once; intakes, once there are logs. What goes out: addresses that are served. All that
can be wrong with an address, a certificate or a file of credentials is found by :meth:`Servers.bind`, before anybody
who serves the directory now is asked to end.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, NamedTuple

from stepsize.collector.components.basicauth_extension import BasicAuthConfig, password_authenticator
from stepsize.collector.components.bearertokenauth_extension import BearerTokenAuthConfig, token_authenticator
from stepsize.collector.components.health_check_extension import HealthCheckConfig, health_routes
from stepsize.collector.components.otlp_receiver import HttpConfig, OtlpReceiverConfig
from stepsize.collector.components.postgres_wire_extension import PostgresWireConfig, check_users
from stepsize.collector.config.language import Endpoint
from stepsize.collector.live.paths import ROOT as LIVE
from stepsize.collector.live.route import BELOW, LiveRoute
from stepsize.collector.otlp.guard import Guard
from stepsize.collector.server.frontends import Frontends
from stepsize.collector.server.http import HttpServerState
from stepsize.collector.server.http_messages import HttpLimits
from stepsize.collector.server.metrics_http import metrics_route
from stepsize.collector.server.otlp_http import Admission, OtlpHttp, Router, server_refusal
from stepsize.collector.server.reception import Reception
from stepsize.collector.telemetry.reception import ReceptionMetrics
from stepsize.collector.telemetry.registry import GAUGE
from stepsize.collector.telemetry.storage import observe_sql
from stepsize.errors import ConfigError
from stepsize.listening.addresses import is_loopback
from stepsize.listening.tls import WatchedTls

if TYPE_CHECKING:
    import contextlib
    import socket
    from collections.abc import Callable

    from stepsize.collector.access.authenticator import Authenticator
    from stepsize.collector.components.auth_settings import AuthConfig
    from stepsize.collector.components.otlp_receiver import GrpcConfig
    from stepsize.collector.components.server_tls import ServerTlsConfig
    from stepsize.collector.config.service import CollectorConfig
    from stepsize.collector.limits import RequestLimits
    from stepsize.collector.server.grpc_connection import GrpcServerState
    from stepsize.collector.server.in_flight import InFlight
    from stepsize.collector.server.intake import Intake
    from stepsize.collector.server.lake_here import LakeHere
    from stepsize.collector.server.listeners import Sockets
    from stepsize.collector.server.otlp_http import Handler
    from stepsize.collector.telemetry.health import Health
    from stepsize.collector.telemetry.log import Log
    from stepsize.collector.telemetry.registry import Registry


class _Bound(NamedTuple):
    """A server to be: its socket and certificates."""

    listener: socket.socket
    tls: WatchedTls | None

    @property
    def address(self) -> str:
        """Where it listens, as one writes it."""
        return str(Endpoint(*self.listener.getsockname()[:2]))


class Servers:
    """What listens in one collector.

    Args:
        config: the configuration.
        registry: takes the metrics of what is served.
        log: takes lines for the operator.
        in_flight: the room of all requests.
        sockets: gives out listening sockets.
        lake: for those that show it; None where there is none.
    """

    def __init__(
        self,
        config: CollectorConfig,
        registry: Registry,
        log: Log,
        in_flight: InFlight,
        sockets: Sockets,
        lake: LakeHere | None = None,
    ) -> None:
        self._config = config
        self._registry = registry
        self._log = log
        self._in_flight = in_flight
        self._sockets = sockets
        self._lake = lake
        self.endpoints: set[Endpoint] = set()
        """Where it listens."""
        registry.observe(
            "stepsize_in_flight_bytes",
            GAUGE,
            "By",
            "Requests that arrive, are checked or wait for the disk.",
            lambda: in_flight.used_bytes,
        )
        self._bound: dict[str, _Bound] = {}
        self._authenticators: dict[str, Authenticator] = {}
        self.frontends = Frontends(log)

    # before anything is served

    def check(self) -> None:
        """Read certificates and credentials as :meth:`bind` does, and listen nowhere.

        Raises:
            ConfigError: one of them cannot be used.
        """
        for name, receiver in self._receivers().items():
            for protocol, one in (("grpc", receiver.protocols.grpc), ("http", receiver.protocols.http)):
                if one is not None:
                    _watched(one.tls, f"receivers.{name}.protocols.{protocol}.tls", protocol)
                    self._prepare(one.auth, f"receivers.{name}.protocols.{protocol}.auth")
        for name, extension in self._config.extensions.items():
            if isinstance(extension, HealthCheckConfig):
                _watched(extension.tls, f"extensions.{name}.tls")
            if isinstance(extension, PostgresWireConfig):
                _watched(extension.tls, f"extensions.{name}.tls", "postgres")
                check_users(extension, f"extensions.{name}")

    def bind(self, end: contextlib.ExitStack) -> None:
        """Bind every address and read certificates and credentials; ``end`` closes the sockets.

        Raises:
            UnavailableError: an address cannot be listened on.
            ConfigError: a certificate, or a file of credentials, cannot be used.
        """
        for name, receiver in self._receivers().items():
            for protocol, one in (("grpc", receiver.protocols.grpc), ("http", receiver.protocols.http)):
                if one is not None:
                    where = f"receivers.{name}.protocols.{protocol}"
                    tls = _watched(one.tls, f"{where}.tls", protocol)
                    self._bind(f"{name} {protocol}", where, one.endpoint, tls, end)
                    self._prepare(one.auth, f"{where}.auth")
                    self._warn_if_open(where, one.endpoint.host, one.tls, one.auth)
        for name, extension in self._config.extensions.items():
            if isinstance(extension, HealthCheckConfig):
                where = f"extensions.{name}"
                self._bind(name, where, extension.endpoint, _watched(extension.tls, f"{where}.tls"), end)
            if isinstance(extension, PostgresWireConfig):
                where = f"extensions.{name}"
                tls = _watched(extension.tls, f"{where}.tls", "postgres")  # its process reads it again
                check_users(extension, where)
                self._bind(name, where, extension.endpoint, tls, end)
        for reader in self._readers():
            self._bind(str(reader), "service.telemetry.metrics.readers", reader, None, end)

    def _receivers(self) -> dict[str, OtlpReceiverConfig]:
        return {name: one for name, one in self._config.receivers.items() if isinstance(one, OtlpReceiverConfig)}

    def _readers(self) -> list[Endpoint]:
        metrics = self._config.telemetry.metrics
        pulls = [reader.pull for reader in metrics.readers if reader.pull is not None and metrics.level != "none"]
        return [Endpoint(pull.exporter.prometheus.host, pull.exporter.prometheus.port) for pull in pulls]

    def _bind(
        self, name: str, where: str, endpoint: Endpoint, tls: WatchedTls | None, end: contextlib.ExitStack
    ) -> None:
        listener = self._sockets.listen(endpoint, f"{where}.endpoint")
        self.endpoints.add(endpoint)
        end.callback(listener.close)
        self._bound[name] = _Bound(listener, tls)

    def _prepare(self, auth: AuthConfig | None, where: str) -> None:
        if auth is None or auth.authenticator in self._authenticators:
            return
        extension = self._config.extensions.get(auth.authenticator)
        name = f"extensions.{auth.authenticator}"
        if isinstance(extension, BearerTokenAuthConfig):
            self._authenticators[auth.authenticator] = token_authenticator(extension, name, self._log.error)
        elif isinstance(extension, BasicAuthConfig) and extension.htpasswd is not None:
            self._authenticators[auth.authenticator] = password_authenticator(extension.htpasswd, name, self._log.error)
        else:
            raise ConfigError(
                f"{where}.authenticator: {auth.authenticator!r} is no extension in service.extensions that knows who "
                "may send; there are bearertokenauth, and basicauth with htpasswd"
            )

    def _warn_if_open(self, where: str, host: str, tls: ServerTlsConfig | None, auth: AuthConfig | None) -> None:
        missing = [name for name, section in (("tls", tls), ("auth", auth)) if section is None]
        if tls is not None and tls.client_ca_file is not None:
            missing = []  # who has a certificate of ours is known
        if missing and not is_loopback(host):
            self._log.warn(f"{where} listens on {host} without {' and '.join(missing)}: see docs/security.md")

    # serving

    async def serve(self, intake: Callable[[str], Intake], health: Health) -> list[str]:
        """Serve what was bound; ``intake`` gives the way in of a receiver. Returns who listens where."""
        addresses = []
        for name, receiver in self._receivers().items():
            limits = receiver.limits.limits
            guard = self.guard(name, limits)
            way_in = intake(name)
            grpc, http = receiver.protocols.grpc, receiver.protocols.http
            if grpc is not None:
                reception = self.reception(name, "grpc", way_in, limits, guard)
                await self._serve_grpc(name, grpc, reception)
                addresses.append(f"OTLP/gRPC on {self._bound[f'{name} grpc'].address}")
            if http is not None:
                reception = self.reception(name, "http", way_in, limits, guard)
                await self._serve_otlp(name, http, reception)
                address = self._bound[f"{name} http"].address
                addresses.append(f"OTLP/HTTP on {address}")
                if self._live_route(http):
                    addresses.append(f"live page on http{'s' if http.tls else ''}://{address}{LIVE}")
        for name, extension in self._config.extensions.items():
            if isinstance(extension, HealthCheckConfig):
                bound = self._bound[name]
                routes = health_routes(extension, health)
                await self.frontends.serve_http(HttpServerState(Router(routes), HttpLimits()), *bound)
                addresses.append(f"health check on {bound.address}")
            if isinstance(extension, PostgresWireConfig) and self._lake:
                self._begin_sql(name, extension, self._lake, health)
                addresses.append(f"SQL on postgresql://{self._bound[name].address}/stepsize")
        self._send_metrics()
        for reader in self._readers():
            bound = self._bound[str(reader)]
            state = HttpServerState(Router({"/metrics": metrics_route(self._registry)}), HttpLimits())
            await self.frontends.serve_http(state, *bound)
            addresses.append(f"metrics on {bound.address}")
        return addresses

    def _send_metrics(self) -> None:
        metrics = self._config.telemetry.metrics
        periodic = [reader.periodic for reader in metrics.readers if reader.periodic and metrics.level != "none"]
        if not periodic:
            return
        # Only who asks for it pays for the client's libraries.
        from stepsize.collector.telemetry.push import Pusher  # noqa: PLC0415

        instance = str(uuid.uuid4())
        for reader in periodic:
            self.frontends.run_beside(Pusher(reader, self._registry, instance, self._log).run())

    async def _serve_otlp(self, name: str, http: HttpConfig, reception: Reception) -> None:
        authenticator = self._who(http.auth)
        metrics = OtlpHttp(reception, http.max_request_body_size, http.compression_algorithms)
        live = self._live_route(http)
        routes: dict[str, Handler] = {LIVE: live} if live else {}
        state = HttpServerState(
            Router({**routes, http.metrics_url_path: metrics}, reception.metrics, {BELOW: live} if live else None),
            _http_limits(http),
            admit=Admission(authenticator, reception.metrics) if authenticator else None,
            refuse=server_refusal(reception.metrics),
            in_flight=self._in_flight,
            headers=tuple((key, value.reveal()) for key, value in http.response_headers),
        )
        self._show_connections(state, name, "http")
        await self.frontends.serve_http(state, *self._bound[f"{name} http"])

    async def _serve_grpc(self, name: str, grpc: GrpcConfig, reception: Reception) -> None:
        # An embedded collector has no gRPC and does not pay for what serves it.
        from stepsize.collector.server.grpc_connection import GrpcServerState  # noqa: PLC0415
        from stepsize.collector.server.otlp_grpc import OtlpGrpc, grpc_limits  # noqa: PLC0415

        service = OtlpGrpc(reception, grpc.max_message_bytes, self._who(grpc.auth))
        state = GrpcServerState(service, grpc_limits(grpc), self._in_flight)
        self._show_connections(state, name, "grpc")
        await self.frontends.serve_grpc(state, *self._bound[f"{name} grpc"])

    def _begin_sql(self, name: str, config: PostgresWireConfig, lake: LakeHere, health: Health) -> None:
        where = f"extensions.{name}"
        process = lake.sql(config, where, self._bound[name].listener, self._log.error)
        observe_sql(self._registry, process, name)
        health.add_aside(where, process.problem)
        self.frontends.close_with(process.stop)
        self.frontends.close_with(health.forgetting(where))
        process.begin()
        if lake.store:
            self._log(f"{where} serves what this collector brings to {lake.store}, and nothing that others do")

    def _live_route(self, http: HttpConfig) -> LiveRoute | None:
        if not http.serves_live_page or self._lake is None:
            return None
        names = (*http.live_page.allowed_hosts, http.endpoint.host)
        return LiveRoute(self._lake.renderer, names, any_user=http.shows_live_page_to_any_user)

    def _show_connections(self, state: HttpServerState | GrpcServerState, receiver: str, transport: str) -> None:
        self._registry.observe(
            "stepsize_receiver_connections",
            GAUGE,
            "{connection}",
            "Connections that are open.",
            lambda: len(state.connections),
            receiver=receiver,
            transport=transport,
        )

    def _who(self, auth: AuthConfig | None) -> Authenticator | None:
        return None if auth is None else self._authenticators[auth.authenticator]

    def guard(self, receiver: str, limits: RequestLimits) -> Guard:
        """The bounds on what a receiver's senders bring, shown in the metrics."""
        guard = Guard(limits)
        show = self._registry.observe
        show(
            "stepsize_receiver_resources",
            GAUGE,
            "{resource}",
            "Different resources of the current window.",
            lambda: guard.resources,
            receiver=receiver,
        )
        show(
            "stepsize_receiver_series",
            GAUGE,
            "{series}",
            "Different series of the current window, as far as requests were looked at.",
            lambda: guard.series,
            receiver=receiver,
        )
        return guard

    def reception(
        self, receiver: str, transport: str, intake: Intake, limits: RequestLimits, guard: Guard
    ) -> Reception:
        """What takes the requests of one protocol of a receiver."""
        metrics = ReceptionMetrics(self._registry, receiver, transport)
        return Reception(intake, limits, guard, self._in_flight, metrics)


def _watched(tls: ServerTlsConfig | None, where: str, protocol: str = "http") -> WatchedTls | None:
    return None if tls is None else WatchedTls(tls, where, protocol)


def _http_limits(config: HttpConfig) -> HttpLimits:
    return HttpLimits(
        max_header_bytes=config.max_header_bytes,
        max_body_bytes=config.max_request_body_size,
        read_timeout_s=config.read_timeout_s,
        read_header_timeout_s=config.read_header_timeout_s,
        write_timeout_s=config.write_timeout_s,
        idle_timeout_s=config.idle_s,
        max_connections=config.max_connections,
        keep_alive=config.keeps_alive,
    )
