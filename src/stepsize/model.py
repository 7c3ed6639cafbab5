"""The names everything agrees on: metrics and attributes on the wire, columns in the lake, outcomes.

What comes in: nothing. What goes out: constants and frozen values, those of `identity` (attributes, outcomes, who an
attempt is) among them. Never does I/O, never imports anything but the standard library and `identity`. Each metric and
column is declared here once; probes, the collector, the SQL and the documentation are checked against these tables.
"""

import math
from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from stepsize.identity import BYTES_PER_MB as BYTES_PER_MB
from stepsize.identity import METAFLOW_DEFAULT_CPU as METAFLOW_DEFAULT_CPU
from stepsize.identity import METAFLOW_DEFAULT_MEMORY_MB as METAFLOW_DEFAULT_MEMORY_MB
from stepsize.identity import Attr as Attr
from stepsize.identity import AttributeValue as AttributeValue
from stepsize.identity import Identity as Identity
from stepsize.identity import Outcome as Outcome
from stepsize.identity import Request as Request

SCOPE_NAME = "stepsize"
"""Instrumentation scope of every metric that the agent sends."""


class Kind(Enum):
    """How a metric's points behave, in OpenTelemetry's terms."""

    GAUGE = "gauge"
    SUM = "sum"
    """Monotonic and cumulative from its start time."""


class Metric(NamedTuple):
    """One metric on the wire: its name, kind, UCUM unit and the attributes of its points."""

    name: str
    kind: Kind
    unit: str
    description: str
    attributes: tuple[str, ...] = ()


_G, _S = Kind.GAUGE, Kind.SUM

TASK_CPU_USAGE = Metric("stepsize.task.cpu.usage", _G, "{cpu}", "Cores in use by the task's process tree.")
TASK_CPU_TIME = Metric("stepsize.task.cpu.time", _S, "s", "CPU time, exited children included.", ("cpu.mode",))
TASK_MEMORY_USAGE = Metric("stepsize.task.memory.usage", _G, "By", "Memory of the process tree now.")
TASK_MEMORY_PEAK = Metric("stepsize.task.memory.peak", _G, "By", "Highest true peak so far (VmHWM, cgroup peak).")
TASK_PROCESS_COUNT = Metric("stepsize.task.process.count", _G, "1", "Processes in the tree.")
TASK_THREAD_COUNT = Metric("stepsize.task.thread.count", _G, "1", "Threads in the tree.")
TASK_DISK_IO = Metric(
    "stepsize.task.disk.io", _S, "By", "Bytes read from and written to storage.", ("disk.io.direction",)
)
TASK_DISK_IO_RATE = Metric("stepsize.task.disk.io.rate", _G, "By/s", "Storage bytes a second.", ("disk.io.direction",))
TASK_NETWORK_IO_RATE = Metric(
    "stepsize.task.network.io.rate",
    _G,
    "By/s",
    "Network bytes a second: of the task's own network namespace, else of the host and marked so.",
    ("network.io.direction", "stepsize.scope"),
)
TASK_DISK_USAGE = Metric("stepsize.task.disk.usage", _G, "By", "Scratch written and still held, or ephemeral storage.")
TASK_GPU_UTILIZATION = Metric(
    "stepsize.task.gpu.utilization", _G, "1", "0…N, summed over the task's devices.", ("hw.id", "stepsize.scope")
)
TASK_GPU_MEMORY_USAGE = Metric(
    "stepsize.task.gpu.memory.usage", _G, "By", "GPU memory of the task.", ("hw.id", "stepsize.scope")
)
TASK_GPU_MEMORY_PEAK = Metric(
    "stepsize.task.gpu.memory.peak",
    _G,
    "By",
    "Highest true peak of GPU memory so far, where the driver keeps accounts.",
    ("stepsize.memory.source",),
)
TASK_GPU_COUNT = Metric("stepsize.task.gpu.count", _G, "1", "Devices that processes of the task are on.")
TASK_END = Metric(
    "stepsize.task.end",
    _G,
    "1",
    "Sent once, when an attempt has ended.",
    ("stepsize.outcome", "process.exit.code", "process.exit.signal"),
)
CONTAINER_CPU_USAGE = Metric("container.cpu.usage", _G, "{cpu}", "Cores in use by the container.")
CONTAINER_CPU_TIME = Metric("container.cpu.time", _S, "s", "CPU time of the container.", ("cpu.mode",))
CONTAINER_CPU_THROTTLED_TIME = Metric(
    "container.cpu.throttled.time", _S, "s", "Time the container was held back by its CPU quota."
)
CONTAINER_CPU_LIMIT = Metric("container.cpu.limit", _G, "{cpu}", "Cores that the container's CPU quota amounts to.")
CONTAINER_CPU_PRESSURE_TIME = Metric(
    "container.cpu.pressure.time",
    _S,
    "s",
    "Time in which some or all of the container's work stood still for want of CPU (PSI).",
    ("stepsize.pressure",),
)
CONTAINER_MEMORY_USAGE = Metric(
    "container.memory.usage", _G, "By", "Memory charged to the container, page cache included."
)
CONTAINER_MEMORY_WORKING_SET = Metric(
    "container.memory.working_set", _G, "By", "Memory of the container less inactive page cache."
)
CONTAINER_MEMORY_RSS = Metric("container.memory.rss", _G, "By", "Memory that the container's processes alone hold.")
CONTAINER_MEMORY_SHARED = Metric(
    "container.memory.shared", _G, "By", "tmpfs such as /dev/shm, and shared anonymous memory, of the container."
)
CONTAINER_MEMORY_CACHE = Metric(
    "container.memory.cache", _G, "By", "Page cache of the container's files, which the kernel takes back at need."
)
CONTAINER_MEMORY_PEAK = Metric(
    "container.memory.peak", _G, "By", "The most ever charged to the container at once, page cache included."
)
CONTAINER_MEMORY_LIMIT = Metric("container.memory.limit", _G, "By", "Memory at which the container is killed.")
CONTAINER_MEMORY_OOM_KILLS = Metric(
    "container.memory.oom_kills", _S, "1", "Processes of the container killed for memory."
)
CONTAINER_MEMORY_PRESSURE_TIME = Metric(
    "container.memory.pressure.time", _S, "s", "As container.cpu.pressure.time, of memory.", ("stepsize.pressure",)
)
CONTAINER_IO_PRESSURE_TIME = Metric(
    "container.io.pressure.time", _S, "s", "As container.cpu.pressure.time, of storage.", ("stepsize.pressure",)
)
SYSTEM_CPU_UTILIZATION = Metric("system.cpu.utilization", _G, "1", "Share of the host's CPU time.", ("cpu.mode",))
SYSTEM_CPU_TIME = Metric("system.cpu.time", _S, "s", "CPU time of the host.", ("cpu.mode",))
SYSTEM_CPU_LOGICAL_COUNT = Metric("system.cpu.logical.count", _G, "{cpu}", "Logical CPUs of the host.")
SYSTEM_CPU_PRESSURE_TIME = Metric(
    "system.cpu.pressure.time",
    _S,
    "s",
    "Time in which some or all of the host's work stood still for want of CPU (PSI).",
    ("stepsize.pressure",),
)
SYSTEM_PROCESS_COUNT = Metric("system.process.count", _G, "{process}", "Processes on the host.")
SYSTEM_MEMORY_USAGE = Metric("system.memory.usage", _G, "By", "Memory of the host by state.", ("system.memory.state",))
SYSTEM_MEMORY_LIMIT = Metric("system.memory.limit", _G, "By", "Memory that the host has.")
SYSTEM_MEMORY_PRESSURE_TIME = Metric(
    "system.memory.pressure.time", _S, "s", "As system.cpu.pressure.time, of memory.", ("stepsize.pressure",)
)
SYSTEM_IO_PRESSURE_TIME = Metric(
    "system.io.pressure.time", _S, "s", "As system.cpu.pressure.time, of storage.", ("stepsize.pressure",)
)
SYSTEM_DISK_IO = Metric("system.disk.io", _S, "By", "Storage bytes of the host.", ("disk.io.direction",))
SYSTEM_NETWORK_IO = Metric("system.network.io", _S, "By", "Network bytes of the host.", ("network.io.direction",))
SYSTEM_FILESYSTEM_USAGE = Metric(
    "system.filesystem.usage",
    _G,
    "By",
    "Space of a file system by state.",
    ("system.filesystem.mountpoint", "system.filesystem.state"),
)
SYSTEM_FILESYSTEM_LIMIT = Metric(
    "system.filesystem.limit", _G, "By", "Size of a file system.", ("system.filesystem.mountpoint",)
)
_GPU = ("hw.id", "hw.name", "hw.vendor", "hw.parent")
HW_GPU_UTILIZATION = Metric("hw.gpu.utilization", _G, "1", "Share of time the GPU was busy.", _GPU)
HW_GPU_MEMORY_USAGE = Metric("hw.gpu.memory.usage", _G, "By", "GPU memory in use.", _GPU)
HW_GPU_MEMORY_LIMIT = Metric("hw.gpu.memory.limit", _G, "By", "GPU memory there is.", _GPU)

AGENT_POINTS_LOST = Metric(
    "stepsize.agent.points.lost",
    _S,
    "{point}",
    "Points that the agent gave up, refused by the collector, beyond the bounds of memory or spool, or damaged.",
    ("stepsize.loss.reason",),
)
AGENT_POINTS_WAITING = Metric(
    "stepsize.agent.points.waiting",
    _G,
    "{point}",
    "Points that nobody has taken yet, where there are any in the spool.",
    ("stepsize.waiting.place",),
)

METRICS: Mapping[str, Metric] = {m.name: m for m in list(globals().values()) if isinstance(m, Metric)}
"""Every metric by its name: the constants above, so that none can be left out."""


class Column(NamedTuple):
    """One column of a view: its name, DuckDB type and meaning (units are in the name or here)."""

    name: str
    type: str
    description: str


TASK_COLUMNS: tuple[Column, ...] = (
    Column("flow", "VARCHAR", "Flow."),
    Column("run", "VARCHAR", "Run."),
    Column("step", "VARCHAR", "Step."),
    Column("task", "VARCHAR", "Task."),
    Column("attempt", "INTEGER", "Attempt, from 0."),
    Column("item", "VARCHAR", "Foreach index or item, if any."),
    Column("started_at", "TIMESTAMPTZ", "First evidence of the attempt."),
    Column("ended_at", "TIMESTAMPTZ", "Last evidence of the attempt."),
    Column("duration_s", "DOUBLE", "Seconds from start to end."),
    Column("outcome", "VARCHAR", "ok, failed, killed, oom, lost, unknown; NULL while it runs."),
    Column("exit_code", "INTEGER", "The process's exit code, where known."),
    Column("exit_signal", "INTEGER", "The signal that ended it, where known."),
    Column("samples", "BIGINT", "Samples of cpu or memory use."),
    Column("cpu_seconds", "DOUBLE", "CPU time, exited children included."),
    Column("cpu_mean", "DOUBLE", "Cores in use, mean over the duration."),
    Column("cpu_p95", "DOUBLE", "Cores in use, 95th percentile over time."),
    Column("cpu_max", "DOUBLE", "Cores in use, highest sample."),
    Column("cpu_histogram", "MAP(SMALLINT, DOUBLE)", "Seconds spent in each bucket of cores (see cpu_bucket)."),
    Column("memory_peak_bytes", "BIGINT", "Highest true peak."),
    Column("memory_mean_bytes", "DOUBLE", "Mean of the samples."),
    Column(
        "memory_source",
        "VARCHAR",
        "Where the peak comes from: vmhwm, cgroup, rusage, samples; or what recorded it (docs/import.md).",
    ),
    Column("memory_limit_bytes", "BIGINT", "The container's limit, where there is one."),
    Column("gpu_count", "DOUBLE", "GPUs in use, the most at once."),
    Column("gpu_utilization_mean", "DOUBLE", "GPUs busy, mean."),
    Column("gpu_utilization_max", "DOUBLE", "GPUs busy, highest sample."),
    Column("gpu_memory_mean_bytes", "DOUBLE", "GPU memory, mean."),
    Column("gpu_memory_peak_bytes", "BIGINT", "GPU memory, highest sample, or true peak where accounts are kept."),
    Column("disk_read_bytes", "BIGINT", "Bytes read from storage."),
    Column("disk_write_bytes", "BIGINT", "Bytes written to storage."),
    Column("disk_peak_bytes", "BIGINT", "Scratch space, highest sample."),
    Column("net_received_bytes", "BIGINT", "Network bytes received."),
    Column("net_sent_bytes", "BIGINT", "Network bytes sent."),
    Column("throttled_s", "DOUBLE", "Time held back by a CPU quota."),
    Column("oom_kills", "BIGINT", "Processes killed for memory."),
    Column("requested_cpu", "DOUBLE", "Cores asked for."),
    Column("requested_memory_bytes", "BIGINT", "Memory asked for."),
    Column("requested_gpu", "DOUBLE", "GPUs asked for."),
    Column("requested_disk_bytes", "BIGINT", "Disk asked for."),
    Column("requested_timeout_s", "DOUBLE", "Time that the attempt was given, where that is known."),
    Column("target", "VARCHAR", "What ran it and gave it its resources, where that is known; see docs/targets.md."),
    Column("project", "VARCHAR", "Project."),
    Column("branch", "VARCHAR", "Branch of the project."),
    Column("user", "VARCHAR", "Who ran it."),
    Column("code_version", "VARCHAR", "Version of the flow's code."),
    Column("run_origin", "VARCHAR", "adhoc, schedule, event, upstream run."),
    Column("annotations", "JSON", "What the user said of the task."),
    Column("host", "VARCHAR", "Host name."),
    Column("host_cpus", "INTEGER", "Logical CPUs of the host."),
    Column("host_memory_bytes", "BIGINT", "Memory of the host."),
    Column("cloud_vendor", "VARCHAR", "Cloud provider."),
    Column("cloud_region", "VARCHAR", "Cloud region."),
    Column("instance_type", "VARCHAR", "Cloud server type."),
    Column("instance_spot", "BOOLEAN", "Whether the cloud may take the server away at short notice."),
    Column("instance_dedicated", "BOOLEAN", "Whether the physical machine is one customer's alone."),
    Column("cpu_limit", "DOUBLE", "Cores that the container's quota amounts to, where there is one."),
    Column("thread_limits", "JSON", "Environment variables that say how many threads libraries start."),
)

SAMPLED_SOURCES = frozenset({"samples", "nextflow", "snakemake", "slurm", "prometheus", "resource-tracker"})
"""Values of ``memory_source`` of peaks that a short spike between two samples may have exceeded."""

POINT_COLUMNS: tuple[Column, ...] = (
    Column("time", "TIMESTAMPTZ", "When the value was true."),
    Column("day", "DATE", "Day of the time, UTC; of the arrival where the sender's clock is far off."),
    Column("start_time", "TIMESTAMPTZ", "Since when a sum has been counting."),
    Column("metric", "VARCHAR", "Metric name."),
    Column("unit", "VARCHAR", "UCUM unit."),
    Column("kind", "VARCHAR", "gauge or sum."),
    Column("value", "DOUBLE", "The value, integers too."),
    Column("value_int", "BIGINT", "The exact integer, where it was sent as one."),
    Column("flow", "VARCHAR", "Flow."),
    Column("run", "VARCHAR", "Run."),
    Column("step", "VARCHAR", "Step."),
    Column("task", "VARCHAR", "Task."),
    Column("attempt", "INTEGER", "Attempt, from 0."),
    Column("host", "VARCHAR", "host.name."),
    Column("service", "VARCHAR", "service.name."),
    Column("attributes", "JSON", "Attributes of the point."),
    Column("resource", "JSON", "Attributes of the resource."),
    Column("received_at", "TIMESTAMPTZ", "When the collector took it."),
)

CPU_BUCKETS_PER_OCTAVE = 16
"""Buckets of ``cpu_histogram`` for each doubling of cores: each is 4.4 % wide."""
CPU_BUCKET_MIN, CPU_BUCKET_MAX = -128, 192
"""Everything up to 2^-8 cores falls in the first bucket, everything above 2^12 in the last."""


def cpu_bucket(cores: float) -> int:
    """Index of the bucket of ``cpu_histogram`` that holds ``cores``: (2^((i-1)/16), 2^(i/16)]."""
    if cores <= 2 ** (CPU_BUCKET_MIN / CPU_BUCKETS_PER_OCTAVE):
        return CPU_BUCKET_MIN
    return min(CPU_BUCKET_MAX, math.ceil(math.log2(cores) * CPU_BUCKETS_PER_OCTAVE))


def cpu_bucket_upper(index: int) -> float:
    """Cores at the upper edge of bucket ``index``: no sample in the bucket used more."""
    return float(2 ** (index / CPU_BUCKETS_PER_OCTAVE))


def cpu_quantile(histogram: Mapping[int, float], q: float) -> float | None:
    """Cores that were enough for the share ``q`` (0 to 1) of the time; None where no time was seen.

    Args:
        histogram: seconds by bucket, as in ``cpu_histogram``; buckets without any time count for nothing.
        q: the share; at 1, no sample used more than the answer.

    The answer is the upper edge of a bucket: never below the true quantile and at most 4.4 % above it, the two
    outermost buckets aside.
    """
    total_s = math.fsum(seconds for seconds in histogram.values() if seconds > 0)
    # Shares are compared but for the rounding of a sum of some hundred buckets, which is below 1e-13.
    enough_s = q * total_s * (1 - 1e-12)
    passed_s = 0.0
    for bucket, seconds in sorted(histogram.items()):
        if seconds > 0:
            passed_s += seconds
            if passed_s >= enough_s:
                return cpu_bucket_upper(bucket)
    return None


CLOUD_VENDORS: Mapping[str, str] = {"alibaba_cloud": "alicloud", "hetzner": "hcloud"}
"""Clouds that the catalogue names otherwise than OpenTelemetry's ``cloud.provider``; the others are the same."""
