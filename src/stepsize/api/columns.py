"""The columns of ``metrics()``: their plain and human names, and what of a record they are made of.

What comes in: nothing. What goes out: two tables of columns. Units are in the plain names: MiB are 2^20 bytes, GB 10^9;
``cpu_usage`` is cores in use; ``gpu_usage`` is devices' worth of work, 0 to as many as there are.

Names and units are those that people know from resource-tracker (its ``ProcessTracker`` and ``SystemTracker``); null
is what could not be read, never zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from stepsize.sizes import MIB

GB = 10**9
TIMESTAMP, PID = "timestamp", "pid"
HUMAN_NAMES = {TIMESTAMP: "Timestamp", PID: "PID"}
"""Of the columns that are not made of fields: seconds since 1970, and the attempt's process."""


class Form(Enum):
    """How a column comes from a record's fields."""

    LEVEL = "level"
    """The field's value."""
    SINCE = "since"
    """By how much the field has grown since the row before."""
    RATE = "rate"
    """By how much the fields together have grown a second."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: plain name.
        human: human name.
        fields: of the record; more than one for a rate alone.
        form: how it is made of them.
        unit: what the value is divided by; ``_mib`` and ``_gb`` in plain names stand for it.
        less: what is taken off.
        whole: whether values are whole numbers.
    """

    name: str
    human: str
    fields: tuple[str, ...]
    form: Form = Form.LEVEL
    unit: int = 1
    less: int = 0
    whole: bool = False

    @property
    def name_in_bytes(self) -> str:
        """The plain name where the value is not divided by its unit."""
        return self.name if self.unit == 1 else f"{self.name.rpartition('_')[0]}_bytes"


def _level(name: str, human: str, field: str, *, unit: int = 1, less: int = 0) -> Column:
    return Column(name, human, (field,), unit=unit, less=less)


def _count(name: str, human: str, field: str, *, less: int = 0) -> Column:
    return Column(name, human, (field,), less=less, whole=True)


def _since(name: str, human: str, field: str, *, whole: bool = True) -> Column:
    return Column(name, human, (field,), Form.SINCE, whole=whole)


PROCESS_COLUMNS: tuple[Column, ...] = (
    _count("children", "children", "processes", less=1),
    _since("utime", "CPU time (user)", "cpu_user_s", whole=False),
    _since("stime", "CPU time (system)", "cpu_system_s", whole=False),
    _level("cpu_usage", "CPU usage", "cpu_cores"),
    _level("memory_mib", "memory usage", "memory_bytes", unit=MIB),
    _level("memory_peak_mib", "memory peak", "memory_peak_bytes", unit=MIB),
    _count("threads", "threads", "threads"),
    _since("disk_read_bytes", "disk read", "disk_read_bytes"),
    _since("disk_write_bytes", "disk write", "disk_write_bytes"),
    _level("gpu_usage", "GPU usage", "gpu_utilization"),
    _level("gpu_vram_mib", "VRAM used", "gpu_memory_bytes", unit=MIB),
    _level("gpu_vram_peak_mib", "VRAM peak", "gpu_memory_peak_bytes", unit=MIB),
    _count("gpu_utilized", "GPUs in use", "gpu_count"),
)
"""Of an attempt, after its ``pid``."""

SYSTEM_COLUMNS: tuple[Column, ...] = (
    _count("processes", "processes", "processes"),
    _since("utime", "CPU time (user)", "cpu_user_s", whole=False),
    _since("stime", "CPU time (system)", "cpu_system_s", whole=False),
    Column("cpu_usage", "CPU usage", ("cpu_user_s", "cpu_system_s"), Form.RATE),
    _count("cpus", "CPUs", "cpus"),
    _level("memory_free_mib", "free memory", "memory_free_bytes", unit=MIB),
    _level("memory_used_mib", "used memory", "memory_used_bytes", unit=MIB),
    _level("memory_buffers_mib", "memory buffers", "memory_buffers_bytes", unit=MIB),
    _level("memory_cached_mib", "memory page/file cached", "memory_cached_bytes", unit=MIB),
    _level("memory_active_mib", "active memory", "memory_active_bytes", unit=MIB),
    _level("memory_inactive_mib", "inactive memory", "memory_inactive_bytes", unit=MIB),
    _level("memory_total_mib", "memory total", "memory_total_bytes", unit=MIB),
    _since("disk_read_bytes", "disk read", "disk_read_bytes"),
    _since("disk_write_bytes", "disk write", "disk_write_bytes"),
    _level("disk_space_total_gb", "disk space total", "disk_total_bytes", unit=GB),
    _level("disk_space_used_gb", "disk space used", "disk_used_bytes", unit=GB),
    _level("disk_space_free_gb", "disk space free", "disk_free_bytes", unit=GB),
    _since("net_recv_bytes", "inbound network traffic", "net_received_bytes"),
    _since("net_sent_bytes", "outbound network traffic", "net_sent_bytes"),
    _level("gpu_usage", "GPU usage", "gpu_utilization"),
    _level("gpu_vram_mib", "VRAM used", "gpu_memory_bytes", unit=MIB),
    _level("gpu_vram_total_mib", "VRAM total", "gpu_memory_total_bytes", unit=MIB),
    _count("gpu_utilized", "GPUs in use", "gpus_busy"),
)
"""Of the host."""
