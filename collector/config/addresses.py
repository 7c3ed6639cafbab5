"""Which components of a configuration would listen on the same address.

What comes in: a configuration. What goes out: nothing, or a refusal that names both. Resolves no name, opens no
socket.

Two addresses are the same where the kernel would refuse the second: equal ones, and one port on a host and on every
host (``0.0.0.0``, ``::``). Port 0 is a free one each time.
"""

from __future__ import annotations

import ipaddress
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from stepsize.collector.config.language import Endpoint, PlacedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepsize.collector.config.service import CollectorConfig


def check_addresses(config: CollectorConfig) -> None:
    """Refuse two components that would listen on the same address.

    Raises:
        PlacedError: two would.
    """
    taken: list[tuple[Endpoint, str]] = []
    for endpoint, where in _listeners(config):
        for other, other_where in taken:
            if _collide(endpoint, other):
                raise PlacedError(f"{where}: {endpoint} is the address of {other_where} already", where)
        taken.append((endpoint, where))


def _listeners(config: CollectorConfig) -> Iterator[tuple[Endpoint, str]]:
    """Every address that is listened on, and the key that says so."""
    for section in ("receivers", "exporters", "extensions"):
        for name, component in getattr(config, section).items():
            yield from _endpoints(component, f"{section}.{name}")
    metrics = config.telemetry.metrics
    if metrics.level == "none":
        return
    for index, reader in enumerate(metrics.readers):
        if reader.pull is not None:
            own = reader.pull.exporter.prometheus
            where = f"service.telemetry.metrics.readers[{index}].pull.exporter.prometheus"
            yield Endpoint(own.host, own.port), where


def _endpoints(component: Any, where: str) -> Iterator[tuple[Endpoint, str]]:
    for row in fields(component):
        value, key = getattr(component, row.name), f"{where}.{row.metadata.get('key') or row.name}"
        if isinstance(value, Endpoint):
            yield value, key
        elif is_dataclass(value):
            yield from _endpoints(value, key)


def _collide(one: Endpoint, other: Endpoint) -> bool:
    if not one.port or one.port != other.port:
        return False
    hosts = _host(one), _host(other)
    return hosts[0] == hosts[1] or "" in hosts


def _host(endpoint: Endpoint) -> str:
    """A host as it can be compared; empty for every one there is."""
    host = "127.0.0.1" if endpoint.host.lower() == "localhost" else endpoint.host.lower()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return "" if address.is_unspecified else str(address)
