"""Network bytes: of an attempt's own network namespace, else of the host.

What comes in: a pid and the roots of /proc and /sys. What goes out: bytes received and sent. Reads
``/proc/<pid>/net/dev`` and which interfaces are devices. Never counts the loopback, and counts no byte twice where
virtual interfaces sit upon devices.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from stepsize import model
from stepsize.instrumentation import procfs
from stepsize.instrumentation.agent.probes.observation import Observation

_MIN_WINDOW_S = 0.1


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes since the interfaces came up."""

    received: int
    sent: int


def traffic(proc: str, process: str, sys: str = "/sys") -> Traffic | None:
    """Bytes of the network namespace of ``process`` (a pid, or ``self``); ``None`` where unreadable."""
    rows: dict[str, tuple[int, int]] = {}
    for line in procfs.read_whole(f"{proc}/{process}/net/dev").decode("ascii", "replace").splitlines()[2:]:
        name, _, counts = line.partition(":")
        fields = counts.split()
        if len(fields) >= 9 and name.strip() != "lo":
            rows[name.strip()] = int(fields[0]), int(fields[8])
    if not rows:
        return None
    devices = [name for name in rows if os.path.exists(f"{sys}/class/net/{name}/device")]  # noqa: PTH110 - each sample
    counted = [rows[name] for name in devices or rows]
    return Traffic(sum(row[0] for row in counted), sum(row[1] for row in counted))


def namespace(proc: str, process: str) -> int | None:
    """Number of a process's network namespace; ``None`` where unreadable."""
    try:
        return os.stat(f"{proc}/{process}/ns/net").st_ino  # noqa: PTH116 - pathlib would follow the same link
    except OSError:
        return None


class NetworkProbe:
    """Rates of one attempt's network. Where its namespace is the agent's, they are the host's and say so."""

    def __init__(self, pid: int, proc: str = "/proc", sys: str = "/sys") -> None:
        self._pid, self._proc, self._sys = str(pid), proc, sys
        own = namespace(proc, self._pid)
        self._is_own = own is not None and own != namespace(proc, "self")
        self._previous: tuple[float, Traffic] | None = None

    def sample(self, monotonic_s: float) -> list[Observation]:
        """Bytes a second since the sample before."""
        now = traffic(self._proc, self._pid, self._sys)
        previous = self._previous
        if now is None or (previous is not None and monotonic_s - previous[0] < _MIN_WINDOW_S):
            return []
        self._previous = monotonic_s, now
        if previous is None:
            return []
        elapsed_s = monotonic_s - previous[0]
        scope = () if self._is_own else ((model.Attr.SCOPE, "host"),)
        pairs = (("receive", now.received - previous[1].received), ("transmit", now.sent - previous[1].sent))
        return [
            Observation(
                model.TASK_NETWORK_IO_RATE, max(0, count) / elapsed_s, (("network.io.direction", direction), *scope)
            )
            for direction, count in pairs
        ]
