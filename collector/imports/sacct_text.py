"""What ``sacct --parsable2`` (or ``--parsable``) prints.

What comes in: files with its header. What goes out: an `Attempt` for each job that ended; a job's steps are the rows
after it, as sacct prints them. Fields, units and the forms of older versions are those of sacct(1) and
``src/sacct/print.c``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stepsize.collector.imports import quantities
from stepsize.collector.imports.attempts import LAST_ATTEMPT
from stepsize.collector.imports.lines import rows
from stepsize.collector.imports.quantities import QuantityError
from stepsize.collector.imports.slurm import Job, JobStep, attempt_of, gpus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from stepsize.collector.imports.attempts import Attempt
    from stepsize.collector.imports.labels import Labels
    from stepsize.collector.imports.lines import Row
    from stepsize.collector.imports.reading import Reading

_ARRAY = re.compile(r"(\d+)_(\d+)", re.ASCII)
_TRES = re.compile(r"([^=,]+)=([^,]*)")
_HET = re.compile(r"(\d+)\+\d+", re.ASCII)


def read(
    paths: Iterable[str], labels: Labels, step_pattern: re.Pattern[str] | None, reading: Reading
) -> Iterator[Attempt]:
    """The jobs that ended, file after file.

    Raises:
        UsageError: a file cannot be opened, or does not begin with sacct's header.
    """
    for path in paths:
        restarts: tuple[str, str, int] = ("", "", 0)
        for job_row, steps in _jobs(path, reading):
            try:
                restarts = _restarts(job_row, restarts)
                job = _job(job_row, steps, restarts[2], labels)
            except QuantityError as error:
                reading.wrong(job_row.file, job_row.line, str(error))
                continue
            found = attempt_of(job, labels, step_pattern)
            if isinstance(found, str):
                reading.pass_over(found)
            else:
                yield found


def _is_sacct(columns: frozenset[str]) -> bool:
    return {"jobid", "state"} <= columns and bool(columns & {"elapsed", "elapsedraw"})


def _jobs(path: str, reading: Reading) -> Iterator[tuple[Row, list[Row]]]:
    """Each job's row with those of its steps."""
    job: Row | None = None
    steps: list[Row] = []
    for row in rows(path, "|", str.lower, _is_sacct, reading):
        base, is_step, _ = row.get("jobid").strip().partition(".")
        if not is_step:
            if job is not None:
                yield job, steps
            job, steps = row, []
        elif job is not None and job.get("jobid").strip() == base:
            steps.append(row)
        else:
            reading.wrong(row.file, row.line, f"a step without its job {base} before it")
    if job is not None:
        yield job, steps


def _restarts(row: Row, before: tuple[str, str, int]) -> tuple[str, str, int]:
    """Job, start and number of restarts of a row: what sacct says, else one more than the same job's before it."""
    job_id, start = row.get("jobid").strip(), row.get("start").strip()
    told = quantities.whole(row.get("restarts"))
    if told is not None and told > LAST_ATTEMPT:
        raise QuantityError(f"{told} is no number of restarts")
    if told is not None:
        return job_id, start, told
    if before[0] != job_id:
        return job_id, start, 0
    return job_id, start, before[2] + (before[1] != start)


def _job(row: Row, steps: Iterable[Row], restarts: int, labels: Labels) -> Job:
    asked, given = _tres(row.get("reqtres")), _tres(row.get("alloctres"))
    cpus = _first(_count(asked.get("cpu", "")), _count(row.get("reqcpus")), _count(row.get("alloccpus")))
    nodes = _first(_count(row.get("nnodes")), _count(row.get("allocnodes")), _count(given.get("node", ""))) or 1
    code, _, signal = row.get("exitcode").partition(":")
    array, het = (known.fullmatch(row.get("jobid").strip()) for known in (_ARRAY, _HET))
    elapsed = row.get("elapsedraw") or row.get("elapsed")
    minutes = quantities.number(row.get("timelimitraw")) if row.get("timelimitraw").strip().isdigit() else None
    return Job(
        job_id=row.get("jobid").strip(),
        state=row.get("state"),
        name=row.get("jobname").strip(),
        array_id=array[1] if array else None,
        index=array[2] if array else None,
        het_id=het[1] if het else None,
        restarts=restarts,
        user=_known(row.get("user")),
        exit_code=quantities.whole(code),
        exit_signal=quantities.whole(signal),
        started_at_s=quantities.instant_s(row.get("start"), labels.zone),
        ended_at_s=quantities.instant_s(row.get("end"), labels.zone),
        elapsed_s=quantities.clock_s(elapsed),
        timelimit_s=_limit_s(row.get("timelimit")) if minutes is None else minutes * 60,
        cpu_seconds=quantities.clock_s(row.get("totalcpu")),
        nodes=int(nodes),
        node_list=_known(row.get("nodelist")),
        requested_cpus=cpus,
        requested_memory_bytes=_memory(row, asked, cpus, nodes) or quantities.binary_bytes(given.get("mem", "")),
        requested_gpus=_first(_gpus(asked), _gpus(given)),
        steps=tuple(_step(step, labels) for step in steps),
    )


def _step(row: Row, labels: Labels) -> JobStep:
    return JobStep(
        state=row.get("state"),
        started_at_s=quantities.instant_s(row.get("start"), labels.zone),
        ended_at_s=quantities.instant_s(row.get("end"), labels.zone),
        tasks=int(_count(row.get("ntasks")) or 1),
        nodes=int(_count(row.get("nnodes")) or 1),
        max_rss_bytes=quantities.binary_bytes(row.get("maxrss"), upper=True),
    )


def _memory(row: Row, asked: dict[str, str], cpus: float | None, nodes: float) -> int | None:
    """What the whole job asked for. Before SLURM 21.08 ``ReqMem`` was of a node (``4000Mn``) or of a core (``2Gc``)."""
    if "mem" in asked:
        return quantities.binary_bytes(asked["mem"])
    text = row.get("reqmem").strip()
    each = {"n": nodes, "c": cpus}.get(text[-1:]) if text[-1:] in ("n", "c") else 1.0
    size = quantities.binary_bytes(text.removesuffix("n").removesuffix("c"))
    return None if size is None or each is None else round(size * each)


def _tres(text: str) -> dict[str, str]:
    """``cpu=4,mem=16G,gres/gpu=2`` by name."""
    return {name.strip(): value for name, value in _TRES.findall(text)}


def _gpus(tres: Mapping[str, str]) -> float | None:
    counts = {name: _count(value) for name, value in tres.items() if name.startswith("gres/")}
    return gpus({name: count for name, count in counts.items() if count is not None})


def _limit_s(text: str) -> float | None:
    return None if text.strip().upper() in ("UNLIMITED", "PARTITION_LIMIT") else quantities.clock_s(text)


def _count(text: str) -> float | None:
    return quantities.number(text)


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _known(text: str) -> str | None:
    return None if quantities.is_unknown(text) or text.strip() == "None assigned" else text.strip()
