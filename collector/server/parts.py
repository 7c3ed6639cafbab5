"""What listens in a collector, in parts that can be changed one by one while it runs.

What comes in: a configuration, later another one. What goes out: servers. A part that is configured as before is left
alone, connections and all. One that is not is replaced; where its address is the same, the listening socket stays, so
that nobody who connects meanwhile is turned away.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from stepsize.collector.components.health_check_extension import HealthCheckConfig
from stepsize.collector.components.postgres_wire_extension import PostgresWireConfig
from stepsize.collector.config.telemetry import TelemetryConfig
from stepsize.collector.server.listeners import Sockets
from stepsize.collector.server.servers import Servers
from stepsize.errors import StepsizeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.collector.config.service import CollectorConfig
    from stepsize.collector.server.in_flight import InFlight
    from stepsize.collector.server.intake import Intake
    from stepsize.collector.server.lake_here import LakeHere
    from stepsize.collector.telemetry.health import Health
    from stepsize.collector.telemetry.log import Log
    from stepsize.collector.telemetry.registry import Registry

_GRACE_S = 5.0


class Parts:
    """All servers of one collector.

    Args:
        registry: takes the metrics of what is served.
        log: takes lines for the operator.
        in_flight: the room of all requests.
        lake: for those that show it; None where there is none.
    """

    def __init__(self, registry: Registry, log: Log, in_flight: InFlight, lake: LakeHere | None = None) -> None:
        self._registry = registry
        self._log = log
        self._in_flight = in_flight
        self._lake = lake
        self._sockets = Sockets()
        self._made: dict[str, Servers] = {}
        self._unserved = contextlib.ExitStack()
        self._wanted: dict[str, CollectorConfig] = {}
        self._configs: dict[str, CollectorConfig] = {}
        self._parts: dict[str, Servers] = {}
        self._addresses: dict[str, list[str]] = {}

    @property
    def addresses(self) -> list[str]:
        """Who listens where."""
        return [address for addresses in self._addresses.values() for address in addresses]

    def bind(self, config: CollectorConfig) -> None:
        """Bind what ``config`` has listen, and read its certificates and credentials, before anything is served.

        Raises:
            UnavailableError: an address cannot be listened on; nothing has changed then.
            ConfigError: a certificate, or a file of credentials, cannot be used; as above.
        """
        wanted = _divided(config)
        changed = {name: one for name, one in wanted.items() if self._configs.get(name) != one}
        made: dict[str, Servers] = {}
        try:
            with contextlib.ExitStack() as end:
                for name, one in changed.items():
                    made[name] = self._servers(one)
                    made[name].bind(end)
                self._unserved = end.pop_all()
        except StepsizeError:
            self._keep_sockets()
            raise
        self._made, self._wanted = made, wanted

    def _servers(self, config: CollectorConfig) -> Servers:
        return Servers(config, self._registry, self._log, self._in_flight, self._sockets, self._lake)

    def unbind(self) -> None:
        """Let go of what :meth:`bind` has bound last."""
        self._made.clear()
        self._unserved.close()
        self._keep_sockets()

    async def serve(self, intake: Callable[[str], Intake], health: Health) -> None:
        """Serve what :meth:`bind` has bound last, in place of what was served until now.

        Raises:
            UnavailableError: gRPC cannot listen on its address; all else is served.
        """
        gone = [name for name in self._parts if name in self._made or name not in self._wanted]
        await asyncio.gather(*(self._parts.pop(name).frontends.close(_GRACE_S) for name in gone))
        for name in gone:
            self._configs.pop(name)
            self._addresses.pop(name)
        self._unserved.pop_all()  # who serves a socket closes it
        failure: StepsizeError | None = None
        for name in list(self._made):
            servers = self._made.pop(name)
            try:
                addresses = await servers.serve(intake, health)
            except StepsizeError as error:
                failure = error
                await servers.frontends.close(0)
            else:
                self._parts[name], self._configs[name], self._addresses[name] = servers, self._wanted[name], addresses
        self._keep_sockets()
        if failure is not None:
            raise failure

    async def close(self) -> None:
        """Let requests that have arrived be answered; those that would come now find nobody."""
        self._sockets.keep(set())
        await asyncio.gather(*(servers.frontends.close(_GRACE_S) for servers in self._parts.values()))

    def _keep_sockets(self) -> None:
        self._sockets.keep({endpoint for servers in self._parts.values() for endpoint in servers.endpoints})


def _divided(config: CollectorConfig) -> dict[str, CollectorConfig]:
    """A configuration in parts that listen by themselves, each with what it depends on and nothing else."""
    empty = replace(
        config, pipelines={}, receivers={}, processors={}, exporters={}, extensions={}, telemetry=TelemetryConfig()
    )
    parts = {}
    for name, receiver in config.receivers.items():
        protocols = receiver.protocols
        wanted = {one.auth.authenticator for one in (protocols.grpc, protocols.http) if one and one.auth}
        extensions = {key: one for key, one in config.extensions.items() if key in wanted}
        parts[f"receivers.{name}"] = replace(empty, receivers={name: receiver}, extensions=extensions)
    for name, extension in config.extensions.items():
        if isinstance(extension, (HealthCheckConfig, PostgresWireConfig)):
            parts[f"extensions.{name}"] = replace(empty, extensions={name: extension})
    metrics = replace(config.telemetry, logs=TelemetryConfig().logs)
    parts["service.telemetry"] = replace(empty, telemetry=metrics)
    return parts
