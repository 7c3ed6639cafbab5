"""Asks the collector that serves a data directory to flush, to stop or to say how it does, over its Unix socket.

What comes in: settings. What goes out: whether a collector lives there, and whether it did so. Never starts one.
Standard library only: commands call this at their start.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import time
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from stepsize.discovery import read_address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepsize.discovery import CollectorAddress
    from stepsize.settings import Settings

_POLL_S = 0.02
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


class Answer(Enum):
    """What became of a request to a collector."""

    DONE = "done"
    LATE = "late"
    """One lives, but did not do it in time, or would not."""
    NOBODY = "nobody"
    """None lives here, or the one that did ended before it answered."""


def flush(settings: Settings, timeout_s: float) -> Answer:
    """Have the collector of ``settings.data`` make everything it has acknowledged visible in the views.

    Returns:
        Whether it did so within ``timeout_s``.
    """
    address = read_address(settings)
    return Answer.NOBODY if address is None else _post(address, "/control/flush", timeout_s)


def stop(settings: Settings, timeout_s: float) -> bool:
    """Have the collector of ``settings.data`` finish what it has acknowledged and end.

    Returns:
        Whether it ended within ``timeout_s``; False where none lives.
    """
    address = read_address(settings)
    if address is None:
        return False
    deadline_s = time.monotonic() + timeout_s
    if _post(address, "/control/stop", timeout_s) is not Answer.DONE:
        return False
    while read_address(settings) == address and _is_alive(address.pid):
        if time.monotonic() >= deadline_s:
            return False
        time.sleep(_POLL_S)
    return True


@dataclass(frozen=True, slots=True)
class Reading:
    """One series of a collector's own metrics, as it is now."""

    name: str
    labels: Mapping[str, str]
    value: float


def metrics(settings: Settings, timeout_s: float) -> list[Reading] | None:
    """What the collector of ``settings.data`` says of itself; None where none lives or it does not answer in time."""
    address = read_address(settings)
    if address is None:
        return None
    connection = _UnixConnection(address.socket, timeout_s)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/metrics", headers={"authorization": f"Bearer {address.token}"})
            answer = connection.getresponse()
            text = answer.read().decode() if answer.status == http.client.OK else None
        except (OSError, http.client.HTTPException, UnicodeDecodeError):
            return None
    return None if text is None else [_reading(line) for line in text.splitlines() if line and not line.startswith("#")]


def _reading(line: str) -> Reading:
    """A line of the exposition format 0.0.4, as :mod:`stepsize.collector.telemetry.prometheus` writes it."""
    series, _, value = line.rpartition(" ")
    name, _, labels = series.partition("{")
    pairs = {label: _ESCAPED.sub(_unescaped, text) for label, text in _LABEL.findall(labels)}
    return Reading(name, pairs, float(value))


def _unescaped(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]


def _post(address: CollectorAddress, path: str, timeout_s: float) -> Answer:
    connection = _UnixConnection(address.socket, timeout_s)
    with contextlib.closing(connection):
        try:
            connection.request("POST", path, headers={"authorization": f"Bearer {address.token}"})
            return Answer.DONE if connection.getresponse().status == http.client.OK else Answer.LATE
        except (FileNotFoundError, ConnectionError):
            return Answer.NOBODY
        except (OSError, http.client.HTTPException):
            return Answer.LATE


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
