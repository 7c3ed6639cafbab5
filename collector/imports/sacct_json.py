"""What ``sacct --json`` prints.

What comes in: files with SLURM's document (data parser 0.0.39 and later). What goes out: an `Attempt` for each job that
ended. Keys and units are those of ``src/plugins/data_parser``: memory of a job in MB of 2^20 bytes, that of a step's
tasks in bytes (``tres/requested/max``), limits in minutes, times in seconds since 1970.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from stepsize.collector.imports.attempts import LAST_ATTEMPT
from stepsize.collector.imports.json_items import items
from stepsize.collector.imports.lines import opened
from stepsize.collector.imports.slurm import Job, JobStep, attempt_of, gpus

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Iterator

    from stepsize.collector.imports.attempts import Attempt
    from stepsize.collector.imports.labels import Labels
    from stepsize.collector.imports.reading import Reading

_MIB = 1 << 20


def read(
    paths: Iterable[str], labels: Labels, step_pattern: re.Pattern[str] | None, reading: Reading
) -> Iterator[Attempt]:
    """The jobs that ended, file after file.

    Raises:
        UsageError: a file cannot be opened.
        DataError: it is no such document, or was cut off.
    """
    for path in paths:
        with opened(path) as file:
            for number, content in enumerate(items(file, "jobs", path), start=1):
                reading.read += 1
                job = _job(content) if isinstance(content, dict) else None
                if job is None:
                    reading.wrong(path, 0, f"job {number} of the document has no job_id or no state")
                    continue
                found = attempt_of(job, labels, step_pattern)
                if isinstance(found, str):
                    reading.pass_over(found)
                else:
                    yield found


def _job(content: dict[str, Any]) -> Job | None:
    job_id, state = _number(content.get("job_id")), _state(_at(content, "state", "current"))
    if job_id is None or not state:
        return None
    array_id, index = _number(_at(content, "array", "job_id")), _number(_at(content, "array", "task_id"))
    het_id = _number(_at(content, "het", "job_id"))
    asked, given = _tres(_at(content, "tres", "requested")), _tres(_at(content, "tres", "allocated"))
    limit_min = _number(_at(content, "time", "limit"))
    memory_mib = asked.get("mem") or given.get("mem")
    nodes = content.get("nodes")
    return Job(
        job_id=_name(content, job_id),
        state=state,
        name=_text(content.get("name")) or "",
        array_id=f"{array_id:.0f}" if array_id and index is not None else None,
        index=None if index is None or not array_id else f"{index:.0f}",
        het_id=f"{het_id:.0f}" if het_id else None,
        restarts=min(int(_number(content.get("restart_cnt")) or 0), LAST_ATTEMPT),
        user=_text(content.get("user")) or _text(_at(content, "association", "user")),
        exit_code=_whole(_at(content, "exit_code", "return_code")),
        exit_signal=_whole(_at(content, "exit_code", "signal", "id"))
        or _whole(_at(content, "exit_code", "signal", "signal_id")),
        started_at_s=_number(_at(content, "time", "start")) or None,
        ended_at_s=_number(_at(content, "time", "end")) or None,
        elapsed_s=_number(_at(content, "time", "elapsed")),
        timelimit_s=None if limit_min is None else limit_min * 60,
        cpu_seconds=_cpu_seconds(content),
        nodes=int(_number(content.get("allocation_nodes")) or given.get("node") or 1),
        node_list=nodes if isinstance(nodes, str) and nodes != "None assigned" else None,
        requested_cpus=asked.get("cpu") or _number(_at(content, "required", "CPUs")) or given.get("cpu"),
        requested_memory_bytes=None if memory_mib is None else round(memory_mib * _MIB),
        requested_gpus=next((found for one in (asked, given) if (found := gpus(one)) is not None), None),
        steps=tuple(_step(step) for step in content.get("steps") or () if isinstance(step, dict)),
    )


def _name(content: dict[str, Any], job_id: float) -> str:
    """A job as sacct prints it: of an array ``7_2``, of a heterogeneous job ``7+1``."""
    for kind, within, mark in (("array", "task_id", "_"), ("het", "job_offset", "+")):
        whole, part = _number(_at(content, kind, "job_id")), _number(_at(content, kind, within))
        if whole and part is not None:
            return f"{whole:.0f}{mark}{part:.0f}"
    return f"{job_id:.0f}"


def _step(content: dict[str, Any]) -> JobStep:
    peak = _tres(_at(content, "tres", "requested", "max")).get("mem")
    return JobStep(
        state=_state(content.get("state")),
        started_at_s=_number(_at(content, "time", "start")) or None,
        ended_at_s=_number(_at(content, "time", "end")) or None,
        tasks=int(_number(_at(content, "tasks", "count")) or 1),
        nodes=int(_number(_at(content, "nodes", "count")) or 1),
        max_rss_bytes=None if peak is None else int(peak),
    )


def _cpu_seconds(content: dict[str, Any]) -> float | None:
    seconds = _number(_at(content, "time", "total", "seconds"))
    micro = _number(_at(content, "time", "total", "microseconds")) or 0.0
    return None if seconds is None else seconds + micro / 1e6


def _tres(content: Any) -> dict[str, float]:
    """Counts by SLURM's own names of resources: ``cpu``, ``mem``, ``gres/gpu``."""
    found: dict[str, float] = {}
    for one in content if isinstance(content, list) else ():
        count = _number(one.get("count")) if isinstance(one, dict) else None
        if count is not None:
            name = one.get("name")
            found[f"{one.get('type')}/{name}" if name else str(one.get("type"))] = count
    return found


def _state(content: Any) -> str:
    """The state; newer versions have flags of it in a list behind it."""
    first = content[0] if isinstance(content, list) and content else content
    return first if isinstance(first, str) else ""


def _at(content: Any, *keys: str) -> Any:
    for key in keys:
        if not isinstance(content, dict):
            return None
        content = content.get(key)
    return content


def _number(content: Any) -> float | None:
    """A number, bare or with whether it is set; None where it is not, is infinite or negative."""
    if isinstance(content, dict):
        content = None if content.get("infinite") or content.get("set") is False else content.get("number")
    if isinstance(content, bool) or not isinstance(content, (int, float)) or not 0 <= content < math.inf:
        return None
    return float(content) if content <= 10**18 else None


def _whole(content: Any) -> int | None:
    found = _number(content)
    return None if found is None else int(found)


def _text(content: Any) -> str | None:
    return content if isinstance(content, str) and content else None
