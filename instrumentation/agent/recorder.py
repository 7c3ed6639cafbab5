"""Turns live attempts and the host into batches: whose points are whose, and what their resources say.

What comes in: observations of attempts and of the host. What goes out: sealed batches. Never samples, never sends.
"""

from __future__ import annotations

import platform
import socket
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.discovery import machine_id
from stepsize.instrumentation.agent.points import Batch, ResourcePoints
from stepsize.instrumentation.agent.recording import Recordings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stepsize.instrumentation.agent.attempt import Attempt
    from stepsize.instrumentation.agent.probes.observation import Observation
    from stepsize.model import AttributeValue

_OWN = "agent"
"""No attempt's name, which are UUIDs."""
_MACHINE_ID = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


@dataclass(slots=True)
class Recorder:
    """Gathers points until they are sealed.

    Attributes:
        host: attributes of the host's own resource.
        common: attributes of every resource: the SDK's. What a user says belongs to the user's attempts alone, since
            one agent serves many.
        boot_unix_nano: since when the host's sums have counted.
        instance_id: which agent tells of the host, on its resource: see `agent_instance`.
        recordings: what is seen of attempts at once, beside being sent.
    """

    host: Mapping[str, AttributeValue]
    common: Mapping[str, AttributeValue]
    boot_unix_nano: int
    instance_id: str
    points: int = 0
    recordings: Recordings = field(default_factory=Recordings)
    _open: dict[str, ResourcePoints] = field(default_factory=dict)
    _begun_unix_nano: int = field(default_factory=time.time_ns)
    _attempts: dict[str, Attempt] = field(default_factory=dict)

    def record(self, attempt: Attempt, time_unix_nano: int, observations: Sequence[Observation]) -> None:
        """Take one sample of an attempt."""
        self.recordings.add(attempt.instance_id, time_unix_nano, observations)
        if not attempt.is_sent:
            return
        resource = self._open.get(attempt.instance_id)
        if resource is None:
            resource = self._open[attempt.instance_id] = ResourcePoints({}, attempt.start_unix_nano)
        self._attempts[attempt.instance_id] = attempt
        self.points += resource.add(time_unix_nano, observations)

    def record_host(self, time_unix_nano: int, observations: Sequence[Observation]) -> None:
        """Take one sample of the host."""
        self.recordings.add_host(time_unix_nano, observations)
        resource = self._open.get("")
        if resource is None:
            resource = self._open[""] = ResourcePoints(self._of_host(), self.boot_unix_nano)
        self.points += resource.add(time_unix_nano, observations)

    def record_own(self, time_unix_nano: int, observations: Sequence[Observation]) -> None:
        """Take what the agent says of itself, on the host's resource: its sums count since it began."""
        if observations:
            resource = self._open.get(_OWN)
            if resource is None:
                resource = self._open[_OWN] = ResourcePoints(self._of_host(), self._begun_unix_nano)
            self.points += resource.add(time_unix_nano, observations)

    def learn(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Take what has become known of the host into every resource from now on; may be called from any thread."""
        self.host = {**self.host, **attributes}

    def snapshot(self) -> list[ResourcePoints]:
        """What has been gathered so far."""
        for instance_id, attempt in self._attempts.items():
            resource = self._open[instance_id]
            if not resource.resource:
                resource.resource = self._resource(attempt)
        return list(self._open.values())

    def seal(self) -> Batch | None:
        """What has been gathered, to be sent; ``None`` where nothing has."""
        if not self.points:
            return None
        for instance_id, attempt in self._attempts.items():
            self._open[instance_id].resource = self._resource(attempt)
        if "" in self._open:  # more may have become known of the host since
            self._open[""].resource = self._of_host()
        batch = Batch(list(self._open.values()), self.points)
        self._open, self._attempts, self.points = {}, {}, 0
        return batch

    def _of_host(self) -> dict[str, AttributeValue]:
        return {**self.common, **self.host, "service.instance.id": self.instance_id}

    def _resource(self, attempt: Attempt) -> dict[str, AttributeValue]:
        """Anew for each batch: the user may have said more of the attempt since."""
        return {
            **self.common,
            **self.host,
            "process.pid": attempt.pid,
            **({} if attempt.container is None else attempt.container.container.attributes),
            **attempt.identity.attributes(),
        }


def host_attributes() -> dict[str, AttributeValue]:
    """``host.*`` and ``os.*`` of this machine, as OpenTelemetry's conventions name them."""
    found: dict[str, AttributeValue] = {
        "host.name": socket.gethostname(),
        "host.arch": platform.machine(),
        "os.type": platform.system().lower(),
    }
    for path in _MACHINE_ID:
        try:
            identifier = path.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            continue
        if identifier:
            found["host.id"] = identifier
            break
    return found


def agent_instance(socket_path: Path) -> str:
    """``service.instance.id`` of the agent at a socket, and of those that follow it there.

    Agents of several users or destinations tell of one host: what each says is series of its own to backends that know
    a series by its labels, and take no second value of one moment.
    """
    name = f"stepsize-agent:{socket.gethostname()}:{machine_id()}:{socket_path}"
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name.encode("utf-8", "replace").decode()))


def common_attributes() -> dict[str, AttributeValue]:
    """The SDK's attributes."""
    return {
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": _sdk_version(),
    }


def _sdk_version() -> str:
    from importlib import metadata  # noqa: PLC0415 - cheaper than importing the SDK

    try:
        return metadata.version("opentelemetry-sdk")
    except metadata.PackageNotFoundError:
        return "unknown"
