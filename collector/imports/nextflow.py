"""Nextflow's trace files.

What comes in: files as ``trace.enabled`` leaves them (``-with-trace``), with whatever fields and separator, printed or
``trace.raw``. What goes out: an `Attempt` for each task that ended. Only what a trace says is taken: the fields and
their forms are those of Nextflow's ``TraceRecord.groovy``.

A task that was taken from the cache ran in another run and is passed over. A trace does not name its run: where the
user does not either, the run is named after the first task of the file that ran in it, which stays the first while the
file grows.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from stepsize.collector.imports import quantities
from stepsize.collector.imports.attempts import LAST_ATTEMPT, Attempt
from stepsize.collector.imports.lines import rows
from stepsize.collector.imports.quantities import QuantityError
from stepsize.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stepsize.collector.imports.labels import Labels
    from stepsize.collector.imports.lines import Row
    from stepsize.collector.imports.reading import Reading

SOURCE = "nextflow"
_SEPARATORS = "\t,;|"
_COMMA = re.compile(r"(\d+),(\d)(?!\d)", re.ASCII)
"""A decimal as Nextflow wrote it before 21.04 where its locale has a comma: ``98,7%``, ``1,2 GB``."""
_NAME = re.compile(r"(?P<process>.+?)(?: \((?P<tag>.*)\))?", re.DOTALL)
_KILLED = 128
_LAST_SIGNAL = 64
_RUNNING = frozenset({"NEW", "SUBMITTED", "RUNNING", "PENDING"})


def read(paths: Iterable[str], labels: Labels, reading: Reading) -> Iterator[Attempt]:
    """The attempts that ended, file after file.

    Raises:
        UsageError: a file cannot be opened, or is no trace.
    """
    for path in paths:
        run = labels.run
        for row in rows(path, _SEPARATORS, str, _is_trace, reading):
            if _is_cached(row):
                reading.pass_over("taken from the cache: ran in another run")
                continue
            run = run or _run(row)
            try:
                attempt = _attempt(row, run, labels, reading)
            except QuantityError as error:
                reading.wrong(row.file, row.line, str(error))
                continue
            if attempt is not None:
                yield attempt


def _is_trace(columns: frozenset[str]) -> bool:
    return {"status"} <= columns and bool(columns & {"name", "process"}) and bool(columns & {"task_id", "hash"})


def _is_cached(row: Row) -> bool:
    return row.get("status").strip().upper() == "CACHED"


def _run(first: Row) -> str:
    """A name for the run: when its first task was submitted, where that is told, and a digest of that task's row."""
    digest = hashlib.sha256(first.text.encode("utf-8", "replace")).hexdigest()[:8]
    submitted = first.get("submit") or first.get("start")
    return digest if quantities.is_unknown(submitted) else f"{submitted.partition('.')[0].replace(' ', 'T')}-{digest}"


def _attempt(row: Row, run: str, labels: Labels, reading: Reading) -> Attempt | None:
    status = row.get("status").strip().upper()
    if status in _RUNNING:
        reading.pass_over("had not ended")
        return None
    exit_code = _exit_code(row)
    outcome = _outcome(status, exit_code, labels)
    process, tag, name = _names(row)
    realtime_s = quantities.spans_s(row.get("realtime"))
    started_s, ended_s = _times(row, realtime_s, labels)
    is_signal = exit_code is not None and _KILLED < exit_code <= _KILLED + _LAST_SIGNAL and outcome is not Outcome.OK
    peak_bytes = _peak_bytes(row)
    share = quantities.percent(_decimal(row, "%cpu"))
    return Attempt(
        flow=labels.flow,
        run=run,
        step=process,
        task=name,
        native=row.get("hash").strip() or row.get("task_id").strip(),
        attempt=_number(row),
        item=tag,
        outcome=outcome,
        exit_code=None if is_signal else exit_code,
        exit_signal=exit_code - _KILLED if is_signal and exit_code else None,
        started_at_s=started_s,
        ended_at_s=ended_s,
        duration_s=realtime_s,
        cpu_seconds=None if share is None or realtime_s is None else share / 100 * realtime_s,
        memory_peak_bytes=peak_bytes,
        memory_source=SOURCE if peak_bytes else None,
        disk_read_bytes=quantities.binary_bytes(_decimal(row, "read_bytes")),
        disk_write_bytes=quantities.binary_bytes(_decimal(row, "write_bytes")),
        requested_cpu=quantities.number(row.get("cpus")),
        requested_memory_bytes=quantities.binary_bytes(_decimal(row, "memory")) or None,
        requested_gpu=quantities.number(row.get("accelerator")),
        requested_disk_bytes=quantities.binary_bytes(_decimal(row, "disk")) or None,
        requested_timeout_s=quantities.spans_s(row.get("time")) or None,
        host=_known(row.get("hostname")),
        **labels.known(),
    )


def _names(row: Row) -> tuple[str, str | None, str]:
    """Process, tag and name of a task."""
    name, process, tag = (_known(row.get(column)) for column in ("name", "process", "tag"))
    if name is None:
        name = process if tag is None else f"{process} ({tag})"
    if not name:
        raise QuantityError("the task has no name")
    parts = _NAME.fullmatch(name)
    if process is None:
        process = parts["process"] if parts else name
    return process, tag or (parts["tag"] if parts else None), name


def _peak_bytes(row: Row) -> int | None:
    """The most that was held; before 19.02 a trace has ``rss`` alone, which is the largest of its samples too.

    No process holds nothing: zero is not known.
    """
    found = (quantities.binary_bytes(_decimal(row, column), upper=True) for column in ("peak_rss", "rss"))
    return next((size for size in found if size), None)


def _number(row: Row) -> int:
    """Which attempt it is, from 0."""
    counted = quantities.whole(row.get("attempt"))
    if counted is not None and counted > LAST_ATTEMPT:
        raise QuantityError(f"{row.get('attempt')!r} is no number of an attempt")
    return max((counted or 1) - 1, 0)


def _decimal(row: Row, column: str) -> str:
    return _COMMA.sub(r"\1.\2", row.get(column), count=1)


def _exit_code(row: Row) -> int | None:
    code = quantities.whole(row.get("exit"))
    return None if code is None or code >= 2**31 - 1 else code  # the largest integer stands for none


def _outcome(status: str, exit_code: int | None, labels: Labels) -> Outcome:
    if status == "COMPLETED":
        return Outcome.OK
    if exit_code in labels.oom_exit_codes and exit_code is not None:
        return Outcome.OOM
    if status == "ABORTED" or (exit_code is not None and _KILLED < exit_code <= _KILLED + _LAST_SIGNAL):
        return Outcome.KILLED
    if status == "FAILED":
        return Outcome.FAILED
    raise QuantityError(f"{status!r} is no status of a task")


def _times(row: Row, realtime_s: float | None, labels: Labels) -> tuple[float | None, float | None]:
    """When it began and ended; a trace with the usual fields says when it was submitted and how long all of it took."""
    started, ended, submitted = (
        quantities.instant_s(row.get(column), labels.zone, bare_s=0.001) for column in ("start", "complete", "submit")
    )
    whole_s = quantities.spans_s(row.get("duration"))
    if ended is None and submitted is not None and whole_s is not None:
        ended = submitted + whole_s
    if started is None and ended is not None and realtime_s is not None:
        started = ended - realtime_s
    return started, ended


def _known(text: str) -> str | None:
    return None if quantities.is_unknown(text) else text.strip()
