"""Network bytes: of an attempt's own network namespace, else of the host.

What comes in: a pid and the roots of /proc and /sys. What goes out: bytes received and sent. Reads
``/proc/<pid>/net/dev`` and which interfaces are devices; attempts of one namespace share a reading. Never counts the
loopback, and counts no byte twice where virtual interfaces sit upon devices.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from stepsize import model
from stepsize.instrumentation import procfs
from stepsize.instrumentation.agent.probes.kept import KeptFiles
from stepsize.instrumentation.agent.probes.observation import Observation

_MIN_WINDOW_S = 0.1
_ROUND_S = 0.05
"""One reading serves everybody in a namespace for so long."""
_MOST_NAMESPACES = 256
_MOST_NAMES = 4096
_INTERFACES = re.compile(rb"^ *([^:\n]+): *(\d+)(?: +\d+){7} +(\d+)", re.MULTILINE)
"""Name, bytes received, bytes sent (``net/core/net-procfs.c``)."""
_RECEIVE, _TRANSMIT = ((("network.io.direction", direction),) for direction in ("receive", "transmit"))
_HOST = ((model.Attr.SCOPE, "host"),)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes since the interfaces came up."""

    received: int
    sent: int


class Networks:
    """The network namespaces of the host, each read once a round."""

    def __init__(self, proc: str = "/proc", sys: str = "/sys") -> None:
        self._proc, self._sys = proc, sys
        self.own = self.namespace("self")
        """Number of the agent's own namespace; ``None`` where unreadable."""
        self._readings: dict[int | None, tuple[float, Traffic | None]] = {}
        self._names: set[bytes] = set()
        self._devices: set[bytes] = set()
        self._files = KeptFiles()

    def namespace(self, process: str) -> int | None:
        """Number of the network namespace of a process (a pid, or ``self``); ``None`` where unreadable."""
        return procfs.namespace(self._proc, process, "net")

    def traffic(self, process: str, namespace: int | None, monotonic_s: float) -> Traffic | None:
        """Bytes of the namespace that a process is in, now or a moment ago; ``None`` where unreadable."""
        read_s, found = self._readings.get(namespace, (float("-inf"), None))
        if namespace is None or monotonic_s - read_s >= _ROUND_S:
            found = self._parse(self._content(process, namespace))
            if len(self._readings) >= _MOST_NAMESPACES:
                self._readings.clear()
            self._readings[namespace] = monotonic_s, found
        return found

    def _content(self, process: str, namespace: int | None) -> bytes:
        if namespace is not None and namespace == self.own:
            return self._files.read_whole(f"{self._proc}/self/net/dev")
        # Not kept: an open one keeps its namespace, and whatever is in there.
        return procfs.read_whole(f"{self._proc}/{process}/net/dev")

    def _parse(self, content: bytes) -> Traffic | None:
        rows = [row for row in _INTERFACES.findall(content) if row[0] != b"lo"]
        if not rows:
            return None
        self._look_for_devices({row[0] for row in rows})
        received = sent = 0
        for _, more_received, more_sent in [row for row in rows if row[0] in self._devices] or rows:
            received += int(more_received)
            sent += int(more_sent)
        return Traffic(received, sent)

    def _look_for_devices(self, names: set[bytes]) -> None:
        """Which interfaces are devices, looked up when there is one with a name that was not there before."""
        if not names <= self._names:
            new = names - self._names
            if len(self._names) >= _MOST_NAMES:
                self._names, self._devices, new = set(), set(), names
            self._names |= new
            exists = os.path.exists  # pathlib costs ten times as much
            self._devices |= {name for name in new if exists(f"{self._sys}/class/net/{os.fsdecode(name)}/device")}


class NetworkProbe:
    """Rates of one attempt's network. Where its namespace is the agent's, they are the host's and say so."""

    def __init__(self, pid: int, networks: Networks) -> None:
        self._pid, self._networks = str(pid), networks
        self._namespace = networks.namespace(self._pid)
        is_own = self._namespace is not None and self._namespace != networks.own
        self._attributes = (_RECEIVE, _TRANSMIT) if is_own else (_RECEIVE + _HOST, _TRANSMIT + _HOST)
        self._previous: tuple[float, Traffic] | None = None

    def sample(self, monotonic_s: float) -> list[Observation]:
        """Bytes a second since the sample before."""
        now = self._networks.traffic(self._pid, self._namespace, monotonic_s)
        previous = self._previous
        if now is None or (previous is not None and monotonic_s - previous[0] < _MIN_WINDOW_S):
            return []
        self._previous = monotonic_s, now
        if previous is None:
            return []
        elapsed_s = monotonic_s - previous[0]
        received, sent = now.received - previous[1].received, now.sent - previous[1].sent
        receive, transmit = self._attributes
        return [
            Observation(model.TASK_NETWORK_IO_RATE, max(0, received) / elapsed_s, receive),
            Observation(model.TASK_NETWORK_IO_RATE, max(0, sent) / elapsed_s, transmit),
        ]
