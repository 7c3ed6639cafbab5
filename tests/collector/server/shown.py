"""What a running collector tells of itself."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
from typing import TYPE_CHECKING

from stepsize.discovery import read_address
from tests.collector.running import DEADLINE_S

if TYPE_CHECKING:
    from tests.collector.running import Place

_LINE = re.compile(r"([a-zA-Z_:][\w:]*(?:\{.*\})?) (\S+)")


def metrics_of(place: Place) -> dict[str, float]:
    """The collector's own metrics, from its Unix socket."""
    address = read_address(place.settings)
    assert address is not None
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(DEADLINE_S)
    connection.sock.connect(address.socket)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics", headers={"authorization": f"Bearer {address.token}"})
        response = connection.getresponse()
        assert response.status == 200
        return parsed(response.read().decode())


def parsed(text: str) -> dict[str, float]:
    """Series and values of a Prometheus exposition."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            match = _LINE.fullmatch(line)
            assert match, line
            found[match[1]] = float(match[2])
    return found
