"""What a recording holds: samples of one attempt, and of its host, as records of 64-bit floats in two files.

What comes in: nothing. What goes out: the fields of a record in their order. The agent appends records, `stepsize.api`
reads them; neither asks the other anything. The files have no name: whoever wants a recording makes them and passes
them with the registration, so that they are gone with the last process that holds them, however that ends.

The first value of a record is its time in seconds since 1970; NaN is what could not be read. Sums count from where
the metric does (the attempt's registration, the host's boot). Standard library only, no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from stepsize import model

if TYPE_CHECKING:
    from stepsize.model import Metric

MAX_RECORDS = 7 * 86_400
"""A recording ends after so many, a week of one each second: about 200 MB in the two files."""
TIME = "time_s"
"""The field that every record begins with."""


class Fold(Enum):
    """How several points of one metric at one moment become one value."""

    TOTAL = "total"
    """Added up; a point that is a total already (one without ``hw.id`` beside ones with it) counts alone."""
    BUSY = "busy"
    """How many of them are above zero."""


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a record.

    Attributes:
        name: what it is called, its unit last.
        metric: whose points it is made of.
        where: attribute and values of the points that count; all of them where it is empty.
        fold: how several become one.
        slow: whether it is sampled now and then only, and holds until it is sampled again.
        apart: whether it is read at moments of its own, and is in the record of the sample that follows.
    """

    name: str
    metric: Metric
    where: tuple[str, tuple[str, ...]] | None = None
    fold: Fold = Fold.TOTAL
    slow: bool = False
    apart: bool = False


def _by(attribute: str, *values: str) -> tuple[str, tuple[str, ...]]:
    return attribute, values


TASK_FIELDS: tuple[Field, ...] = (
    Field("cpu_user_s", model.TASK_CPU_TIME, _by("cpu.mode", "user")),
    Field("cpu_system_s", model.TASK_CPU_TIME, _by("cpu.mode", "system")),
    Field("cpu_cores", model.TASK_CPU_USAGE),
    Field("memory_bytes", model.TASK_MEMORY_USAGE),
    Field("memory_peak_bytes", model.TASK_MEMORY_PEAK),
    Field("memory_peak_sampled_bytes", model.TASK_MEMORY_PEAK, _by(model.Attr.MEMORY_SOURCE, "samples")),
    Field("processes", model.TASK_PROCESS_COUNT),
    Field("threads", model.TASK_THREAD_COUNT),
    Field("disk_read_bytes", model.TASK_DISK_IO, _by("disk.io.direction", "read")),
    Field("disk_write_bytes", model.TASK_DISK_IO, _by("disk.io.direction", "write")),
    Field("disk_usage_bytes", model.TASK_DISK_USAGE),
    Field("gpu_utilization", model.TASK_GPU_UTILIZATION, apart=True),
    Field("gpu_memory_bytes", model.TASK_GPU_MEMORY_USAGE, apart=True),
    Field("gpu_memory_peak_bytes", model.TASK_GPU_MEMORY_PEAK, apart=True),
    Field("gpu_count", model.TASK_GPU_COUNT, apart=True),
    Field("throttled_s", model.CONTAINER_CPU_THROTTLED_TIME),
    Field("memory_limit_bytes", model.CONTAINER_MEMORY_LIMIT),
    Field("cpu_limit_cores", model.CONTAINER_CPU_LIMIT),
    Field("ended", model.TASK_END),
)
"""Of an attempt."""

HOST_FIELDS: tuple[Field, ...] = (
    Field("cpu_user_s", model.SYSTEM_CPU_TIME, _by("cpu.mode", "user", "nice")),
    Field("cpu_system_s", model.SYSTEM_CPU_TIME, _by("cpu.mode", "system")),
    Field("cpus", model.SYSTEM_CPU_LOGICAL_COUNT),
    Field("processes", model.SYSTEM_PROCESS_COUNT, slow=True),
    Field("memory_free_bytes", model.SYSTEM_MEMORY_USAGE, _by("system.memory.state", "free")),
    Field("memory_used_bytes", model.SYSTEM_MEMORY_USAGE, _by("system.memory.state", "used")),
    Field("memory_buffers_bytes", model.SYSTEM_MEMORY_USAGE, _by("system.memory.state", "buffers")),
    Field("memory_cached_bytes", model.SYSTEM_MEMORY_USAGE, _by("system.memory.state", "cached")),
    Field("memory_active_bytes", model.SYSTEM_MEMORY_USAGE, _by("system.memory.state", "active")),
    Field("memory_inactive_bytes", model.SYSTEM_MEMORY_USAGE, _by("system.memory.state", "inactive")),
    Field("memory_total_bytes", model.SYSTEM_MEMORY_LIMIT),
    Field("disk_read_bytes", model.SYSTEM_DISK_IO, _by("disk.io.direction", "read")),
    Field("disk_write_bytes", model.SYSTEM_DISK_IO, _by("disk.io.direction", "write")),
    Field("disk_used_bytes", model.SYSTEM_FILESYSTEM_USAGE, _by("system.filesystem.state", "used"), slow=True),
    Field("disk_free_bytes", model.SYSTEM_FILESYSTEM_USAGE, _by("system.filesystem.state", "free"), slow=True),
    Field("disk_total_bytes", model.SYSTEM_FILESYSTEM_LIMIT, slow=True),
    Field("net_received_bytes", model.SYSTEM_NETWORK_IO, _by("network.io.direction", "receive")),
    Field("net_sent_bytes", model.SYSTEM_NETWORK_IO, _by("network.io.direction", "transmit")),
    Field("gpu_utilization", model.HW_GPU_UTILIZATION, apart=True),
    Field("gpu_memory_bytes", model.HW_GPU_MEMORY_USAGE, apart=True),
    Field("gpu_memory_total_bytes", model.HW_GPU_MEMORY_LIMIT, apart=True),
    Field("gpus_busy", model.HW_GPU_UTILIZATION, fold=Fold.BUSY, apart=True),
)
"""Of the host."""


def record_bytes(fields: tuple[Field, ...]) -> int:
    """Size of a record of these fields: eight bytes for its time and for each of them."""
    return 8 * (1 + len(fields))
