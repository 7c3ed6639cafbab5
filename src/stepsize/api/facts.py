"""What is known of a recorded attempt, as values: its facts, its numbers, where it ran.

What comes in: nothing. What goes out: frozen value classes. Never does I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepsize.identity import THREAD_VARIABLES, Attr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepsize.api.statistics import Statistic
    from stepsize.model import AttributeValue, Identity, Outcome


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an attempt beside its samples.

    Attributes:
        identity: which attempt it is, and what was said of it.
        pid: its process.
        started_s, ended_s: seconds since 1970; ``None`` where it still runs, or nothing was begun.
        outcome: how it ended; ``None`` while it runs.
        cpu_seconds, memory_peak_bytes: as the process itself told at its end; ``None`` where it did not.
        system_only: whether only the host was looked at.
        host: its host's resource attributes, as far as the agent knew them.
        threads: what its environment says of threads (`stepsize.identity.THREAD_VARIABLES`), by variable.
    """

    identity: Identity
    pid: int
    started_s: float | None = None
    ended_s: float | None = None
    outcome: Outcome | None = None
    cpu_seconds: float | None = None
    memory_peak_bytes: int | None = None
    system_only: bool = False
    host: Mapping[str, AttributeValue] = field(default_factory=dict)
    threads: Mapping[str, str] = field(default_factory=dict)


def threads_by_variable(attributes: Mapping[str, AttributeValue]) -> dict[str, str]:
    """Of resource attributes those of `stepsize.identity.thread_settings`, each under its variable's name."""
    named = ((name, attributes.get(Attr.ENVIRONMENT_PREFIX + name)) for name in THREAD_VARIABLES)
    return {name: str(value) for name, value in named if value is not None}


@dataclass(frozen=True, slots=True)
class Server:
    """Where an attempt ran; ``None`` where that is not known.

    Attributes:
        name, architecture, system: ``host.name``, ``host.arch`` and ``os.type`` of OpenTelemetry's conventions.
        cpus, memory_bytes: what the host has.
        gpu_memory_bytes: what its GPUs hold together.
        cloud_vendor, cloud_region, instance_type: ``cloud.provider``, ``cloud.region`` and ``host.type``.
        shared: whether something else than the attempt used a good part of it.
    """

    name: str | None
    architecture: str | None
    system: str | None
    cpus: int | None
    memory_bytes: int | None
    gpu_memory_bytes: int | None
    cloud_vendor: str | None
    cloud_region: str | None
    instance_type: str | None
    shared: bool | None


@dataclass(frozen=True, slots=True)
class Stats:
    """What an attempt used so far, in numbers; ``None`` where it could not be read.

    Attributes:
        samples: how many there are.
        duration_s: since it began, to its end or its last sample.
        cpu_seconds: exited children included.
        cpu_mean, cpu_p95, cpu_max: cores in use: CPU time by duration, enough for 95 % of the time, highest sample.
        memory_mean_bytes, memory_peak_bytes: the peak is the highest true one, not the highest sample.
        columns: every column of ``metrics()`` by its plain name, ``process_cpu_usage`` and so on.
    """

    samples: int
    duration_s: float
    cpu_seconds: float | None
    cpu_mean: float | None
    cpu_p95: float | None
    cpu_max: float | None
    memory_mean_bytes: float | None
    memory_peak_bytes: int | None
    disk_read_bytes: int | None
    disk_write_bytes: int | None
    gpu_utilization_mean: float | None
    gpu_memory_peak_bytes: int | None
    columns: Mapping[str, Statistic] = field(default_factory=dict)

    def __getitem__(self, column: str) -> Statistic:
        return self.columns[column]


@dataclass(frozen=True, slots=True)
class Seen:
    """A recording as evidence for advice: its numbers, and what only advice asks for; ``None`` where unknown."""

    stats: Stats
    outcome: Outcome | None
    started_at_s: float | None
    cpu_histogram: Mapping[int, float]
    memory_source: str | None
    memory_limit_bytes: int | None
    throttled_s: float | None
    cpu_limit: float | None
    threads: Mapping[str, str]
    disk_peak_bytes: int | None
    host_cpus: int | None
