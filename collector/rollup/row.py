"""An attempt's state as its row of ``tasks``.

What comes in: the state. What goes out: one value for each of
:data:`stepsize.model.TASK_COLUMNS`, None where nothing was measured. Never does I/O.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import TYPE_CHECKING, Any

from stepsize import model
from stepsize.collector.decode.values import json_text
from stepsize.collector.rollup.attempt import ALL_DEVICES
from stepsize.collector.rollup.bounds import EARLIEST_NS, MOST_CORES
from stepsize.model import cpu_quantile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stepsize.collector.rollup.attempt import Attempt, Level

_UTC = dt.timezone.utc
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=_UTC)
_INT64_MAX = 2**63 - 1


def task_row(attempt: Attempt) -> dict[str, Any]:
    """The row, and under ``state`` what the roll-up needs to go on with the attempt."""
    key, described = attempt.key, attempt.described
    started_ns = attempt.first_ns if attempt.first_ns >= EARLIEST_NS else 0
    ended_ns = max(attempt.ended_ns or attempt.last_ns, started_ns)
    duration_s = (ended_ns - started_ns) / 1e9 if started_ns else None
    notes, threads = described.get("annotations"), described.get("thread_limits")
    row = {
        "flow": key.flow,
        "run": key.run,
        "step": key.step,
        "task": key.task,
        "attempt": key.attempt,
        "started_at": _time(started_ns),
        "ended_at": _time(ended_ns),
        "duration_s": duration_s,
        "outcome": attempt.outcome,
        "exit_code": attempt.exit_code,
        "exit_signal": attempt.exit_signal,
        **described,
        "annotations": json_text(notes) if notes else None,
        "thread_limits": json_text(threads) if threads else None,
        **_cpu(attempt, duration_s),
        **_memory(attempt),
        **_gpu(attempt),
        **_traffic(attempt),
    }
    return {
        **{name: None if _is_nonsense(value) else value for name, value in row.items()},
        "state": json.dumps(attempt.to_json(), separators=(",", ":")),
    }


def _is_nonsense(value: Any) -> bool:
    """Whether it is a number that nothing measured can be: a state that an older collector wrote may hold some."""
    return isinstance(value, (int, float)) and not 0 <= value < math.inf


def _cpu(attempt: Attempt, duration_s: float | None) -> dict[str, Any]:
    usage = attempt.levels.get(model.TASK_CPU_USAGE.name)
    seconds = attempt.counted(model.TASK_CPU_TIME.name)
    if seconds is None and usage is not None:
        seconds = attempt.cpu.total
    throttled = attempt.counted(model.CONTAINER_CPU_THROTTLED_TIME.name)
    memory = attempt.levels.get(model.TASK_MEMORY_USAGE.name)
    return {
        "samples": max((level.count for level in (usage, memory) if level), default=0),
        "cpu_seconds": seconds,
        "cpu_mean": _cores(seconds, duration_s),
        "cpu_p95": _p95(attempt.cpu_histogram, usage.highest) if usage else None,
        "cpu_max": usage.highest if usage else None,
        "cpu_histogram": sorted(attempt.cpu_histogram.items()) if usage else None,
        "throttled_s": throttled,
        "cpu_limit": _highest(attempt, model.CONTAINER_CPU_LIMIT.name),
    }


def _cores(seconds: float | None, duration_s: float | None) -> float | None:
    """Cores in use on average, where they can be: a duration may be wrong by as much as two clocks are apart."""
    mean = seconds / duration_s if seconds is not None and duration_s else None
    return mean if mean is not None and mean <= MOST_CORES else None


def _p95(histogram: Mapping[int, float], highest: float) -> float:
    """The 95th percentile: at most the highest sample, which is also all there is to say where no time was seen."""
    cores = cpu_quantile(histogram, 0.95)
    return highest if cores is None else min(highest, cores)


def _memory(attempt: Attempt) -> dict[str, Any]:
    usage = attempt.levels.get(model.TASK_MEMORY_USAGE.name)
    kills = attempt.counted(model.CONTAINER_MEMORY_OOM_KILLS.name)
    return {
        "memory_peak_bytes": None if attempt.memory_source is None else _bytes(attempt.memory_peak),
        "memory_mean_bytes": usage.mean if usage else None,
        "memory_source": attempt.memory_source or None,
        "memory_limit_bytes": _bytes(attempt.memory_limit),
        "oom_kills": None if kills is None else round(kills),
    }


def _gpu(attempt: Attempt) -> dict[str, Any]:
    busy = list(_levels(attempt, model.TASK_GPU_UTILIZATION.name))
    memory = list(_levels(attempt, model.TASK_GPU_MEMORY_USAGE.name))
    peaks = [_sum(level.highest for level in memory), _highest(attempt, model.TASK_GPU_MEMORY_PEAK.name)]
    count = _highest(attempt, model.TASK_GPU_COUNT.name)
    return {
        "gpu_count": _devices(attempt) if count is None else count,
        "gpu_utilization_mean": _sum(level.mean for level in busy),
        "gpu_utilization_max": _sum(level.highest for level in busy),
        "gpu_memory_mean_bytes": _sum(level.mean for level in memory),
        "gpu_memory_peak_bytes": _bytes(max((peak for peak in peaks if peak is not None), default=None)),
    }


def _highest(attempt: Attempt, name: str) -> float | None:
    level = attempt.levels.get(name)
    return None if level is None else level.highest


def _devices(attempt: Attempt) -> float | None:
    """How many devices were in use at once, where use was sent by device."""
    at_once = _highest(attempt, f"{model.TASK_GPU_COUNT.name}{ALL_DEVICES}")
    if at_once is not None:
        return at_once
    used: dict[str, bool] = {}  # a state that an older collector wrote does not tell moments apart
    for metric in (model.TASK_GPU_UTILIZATION.name, model.TASK_GPU_MEMORY_USAGE.name):
        for name, level in attempt.levels.items():
            if name.startswith(f"{metric}|"):
                device = name.removeprefix(f"{metric}|")
                used[device] = used.get(device, False) or level.highest > 0
    return float(sum(used.values())) if used else None


def _traffic(attempt: Attempt) -> dict[str, Any]:
    disk, network = model.TASK_DISK_IO.name, model.TASK_NETWORK_IO_RATE.name
    scratch = attempt.levels.get(model.TASK_DISK_USAGE.name)
    received, sent = attempt.rates.get(f"{network}|receive"), attempt.rates.get(f"{network}|transmit")
    return {
        "disk_read_bytes": _bytes(attempt.counted(disk, "|read")),
        "disk_write_bytes": _bytes(attempt.counted(disk, "|write")),
        "disk_peak_bytes": _bytes(scratch.highest) if scratch else None,
        "net_received_bytes": _bytes(received.total) if received else None,
        "net_sent_bytes": _bytes(sent.total) if sent else None,
    }


def _levels(attempt: Attempt, metric: str) -> Iterator[Level]:
    """The level over all devices where it was sent, or could be summed by moment; else those of each device."""
    whole = attempt.levels.get(metric) or attempt.levels.get(f"{metric}{ALL_DEVICES}")
    if whole is not None:
        yield whole
        return
    for name, level in attempt.levels.items():
        if name.startswith(f"{metric}|"):
            yield level


def _sum(values: Iterator[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) if known else None


def _bytes(value: float | None) -> int | None:
    if value is None or not math.isfinite(value):
        return None
    return min(round(value), _INT64_MAX)


def _time(unix_nano: int) -> dt.datetime | None:
    if unix_nano < EARLIEST_NS:
        return None
    try:
        return _EPOCH + dt.timedelta(microseconds=unix_nano // 1000)
    except OverflowError:
        return None
