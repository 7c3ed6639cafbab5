"""What resource-tracker (Spare Cores) has recorded of a process and its children.

What comes in: a snapshot as its ``ResourceTracker.snapshot()`` makes it, in a file (``dump``, JSON, gzip) or a Metaflow
artifact. What goes out: `Figures`, or an `Attempt` of a file. Of the machine's own columns nothing is taken. Pure but
for reading files.

It samples: a peak between two samples, and children that began and ended between them, are not in it. Its
``memory_mib`` is PSS in units of 2^20 bytes; ``utime`` and ``stime`` are seconds since the sample before.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from stepsize.collector.imports.attempts import Attempt, Figures
from stepsize.collector.imports.lines import opened
from stepsize.errors import DataError
from stepsize.model import Outcome, cpu_bucket

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from stepsize.collector.imports.labels import Labels
    from stepsize.collector.imports.reading import Reading

SOURCE = "resource-tracker"
ARTIFACT = "resource_tracker_data"
"""What its Metaflow decorator calls its artifact, unless told otherwise."""
_MIB = 1 << 20
_LARGEST_FILE = 256 << 20
_GZIP = b"\x1f\x8b"


def figures(snapshot: Any) -> Figures | None:
    """What ``snapshot`` tells; None where it is none, or holds no sample of the process."""
    samples = snapshot.get("process_metrics") if isinstance(snapshot, dict) else None
    if not isinstance(samples, list) or not samples or not all(isinstance(one, dict) for one in samples):
        return None
    about = {name: found if isinstance(found := snapshot.get(name), dict) else {} for name in _ABOUT}
    memory, cores = _column(samples, "memory_mib"), _column(samples, "cpu_usage")
    times = _column(samples, "utime"), _column(samples, "stime")
    vram, busy, devices = (_column(samples, name) for name in ("gpu_vram_mib", "gpu_usage", "gpu_utilized"))
    has_gpu = max(devices, default=0) > 0 or max(vram, default=0) > 0
    peak_mib = max(memory, default=0.0)
    return Figures(
        started_at_s=_number(about["metadata"].get("start_time")),
        duration_s=_number(about["metadata"].get("duration")),
        samples=len(samples),
        cpu_seconds=math.fsum(map(math.fsum, times)) if any(times) else None,
        cpu_max=max(cores, default=None),
        cpu_histogram=_histogram(cores, _number(about["metadata"].get("interval"))),
        memory_peak_bytes=math.ceil(peak_mib * _MIB) or None,
        memory_source=SOURCE if peak_mib else None,
        memory_mean_bytes=math.fsum(memory) / len(memory) * _MIB if memory else None,
        # Without a GPU it says zero, and so it does where it cannot see one.
        gpu_count=max(devices, default=None) if has_gpu else None,
        gpu_utilization_mean=math.fsum(busy) / len(busy) if has_gpu and busy else None,
        gpu_utilization_max=max(busy, default=None) if has_gpu else None,
        gpu_memory_peak_bytes=math.ceil(max(vram) * _MIB) if has_gpu and vram else None,
        host_cpus=_whole(about["server_info"].get("vcpus")),
        cloud_vendor=_text(about["cloud_info"].get("vendor")),
        cloud_region=_text(about["cloud_info"].get("region")),
        instance_type=_text(about["cloud_info"].get("instance_type")),
    )


def read(paths: Iterable[str], labels: Labels, step: str, reading: Reading) -> Iterator[Attempt]:
    """An attempt of ``step`` for each file. How it ended no file says: its samples are those of one that ended.

    Raises:
        UsageError: a file cannot be opened.
        DataError: one is damaged.
    """
    for path in paths:
        reading.read += 1
        seen = figures(_content(path))
        if seen is None:
            reading.wrong(path, 0, "no snapshot of resource-tracker with a sample of a process")
            continue
        # Microseconds tell processes apart that were started at once.
        named = f"{seen.started_at_s:.6f}" if seen.started_at_s is not None else path
        yield Attempt(
            flow=labels.flow,
            run=labels.run or named,
            step=step,
            task=named,
            native=named,
            outcome=Outcome.OK,
            **seen.known(),
            **labels.known(),
        )


def _content(path: str) -> Any:
    """The document in a file; None where it is no JSON."""
    with opened(path) as file:
        held = file.read(_LARGEST_FILE + 1)
    if held.startswith(_GZIP):
        import gzip  # noqa: PLC0415 - its own files are packed whatever their name

        try:
            held = gzip.decompress(held)
        except (OSError, EOFError) as error:
            raise DataError(f"{path} is damaged: {error}") from None
    try:
        return json.loads(held) if len(held) <= _LARGEST_FILE else None
    except (ValueError, RecursionError):
        return None


def _histogram(cores: Iterable[float], interval_s: float | None) -> Mapping[int, float] | None:
    """Seconds spent in each bucket of cores; None where nobody says how far samples are apart."""
    if not interval_s:
        return None
    counted = Counter(map(cpu_bucket, cores))
    return {bucket: count * interval_s for bucket, count in sorted(counted.items())} or None


_ABOUT = ("metadata", "server_info", "cloud_info")


def _column(samples: Iterable[Mapping[str, Any]], name: str) -> list[float]:
    return [value for one in samples if (value := _number(one.get(name))) is not None]


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e18:
        return None
    return float(value)


def _whole(value: Any) -> int | None:
    found = _number(value)
    return None if found is None else int(found)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value and value != "unknown" else None
