"""Snakemake's benchmark files.

What comes in: files that the ``benchmark`` directive named, as tables or ``.jsonl``, or directories of them. What goes
out: an `Attempt` for each row; only jobs that ended well leave one. Columns and units are those of Snakemake's
``benchmark.py``: MB of 2^20 bytes, sums over the job's processes, read every half second at first and every 30 s later.

A file of the plain form names neither rule nor job: the path does, by a pattern such as ``{step}/{task}.tsv``. With
``--benchmark-extended`` the rows do. What Snakemake writes anew is a new task: a digest of the row is part of its name.
"""

from __future__ import annotations

import ast
import hashlib
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize.collector.imports import quantities
from stepsize.collector.imports.attempts import Attempt
from stepsize.collector.imports.lines import STANDARD_INPUT, Row, opened, rows, text_lines
from stepsize.collector.imports.quantities import QuantityError
from stepsize.errors import StepsizeError, UsageError
from stepsize.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from stepsize.collector.imports.labels import Labels
    from stepsize.collector.imports.reading import Reading

SOURCE = "snakemake"
PLACEHOLDERS = ("flow", "run", "step", "task")
_MB = 10**6
_MIB = 1 << 20
_COLUMNS = frozenset({"s", "max_rss"})
_JSON_LINES = (".jsonl", ".jsonl.gz")
_LONGEST_HEADER = 1 << 16
_PLACEHOLDER = re.compile(r"\{(\w*)\}|([^{}]+)|([{}])")


def pattern_of(text: str) -> re.Pattern[str]:
    """What matches the end of a path as ``{step}/{task}.tsv`` means it; a placeholder matches within one directory.

    Raises:
        UsageError: it names a placeholder that is none, or the same twice.
    """
    parts, seen = [], set()
    for name, literal, stray in _PLACEHOLDER.findall(text):
        if literal:
            parts.append(re.escape(literal))
        elif name in PLACEHOLDERS and name not in seen and not stray:
            seen.add(name)
            parts.append(f"(?P<{name}>[^/]+)")
        else:
            known = ", ".join(f"{{{one}}}" for one in PLACEHOLDERS)
            raise UsageError(f"--pattern {text!r}: it holds each of {known} once at most, and no other braces")
    return re.compile(f"(?:^|.*/){''.join(parts)}")


def read(paths: Iterable[str], labels: Labels, pattern: re.Pattern[str] | None, reading: Reading) -> Iterator[Attempt]:
    """The jobs of each file; in directories other files are passed over.

    Raises:
        UsageError: a file cannot be opened, is no benchmark, or nothing says of which rule it is.
    """
    for path, is_named in _files(paths):
        if not is_named and not _is_benchmark(path):
            reading.pass_over("no benchmark file")
            continue
        names = _matched(path, pattern)
        if pattern is not None and names is None:
            reading.pass_over("its path is not as --pattern says")
            continue
        yield from _in_file(path, names or {}, labels, reading)


def _in_file(path: str, names: Mapping[str, str], labels: Labels, reading: Reading) -> Iterator[Attempt]:
    """The jobs of a file: the last one ended when it was written, each of a repeated one before the next began."""
    found: list[Attempt] = []
    for number, row in enumerate(_rows(path, reading)):
        try:
            found.append(_attempt(row, number, names, labels))
        except QuantityError as error:  # noqa: PERF203 - one row keeps nobody from the others
            reading.wrong(row.file, row.line, str(error))
    ended_s = _modified_s(path)
    for index in range(len(found) - 1, -1, -1):
        found[index] = replace(found[index], ended_at_s=ended_s)
        duration_s = found[index].duration_s
        ended_s = None if ended_s is None or duration_s is None else ended_s - duration_s
    yield from found


def _is_benchmark(path: str) -> bool:
    """Whether a file of a directory begins as one."""
    try:
        with opened(path) as file:
            line = file.readline(_LONGEST_HEADER).decode("utf-8", "replace").strip()
    except StepsizeError:
        return False
    if not path.endswith(_JSON_LINES):
        return _COLUMNS.issubset(line.split("\t"))
    return _is_row(_parsed(line))


def _files(paths: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Each file, and whether it was named itself."""
    for path in paths:
        if path != STANDARD_INPUT and Path(path).is_dir():
            yield from ((str(found), False) for found in sorted(Path(path).rglob("*")) if found.is_file())
        else:
            yield path, True


def _modified_s(path: str) -> float | None:
    """When a file was written: a benchmark does not say when its job ran, and is written at its end."""
    try:
        return None if path == STANDARD_INPUT else Path(path).stat().st_mtime
    except OSError:
        return None  # whoever opens it is told


def _matched(path: str, pattern: re.Pattern[str] | None) -> Mapping[str, str] | None:
    match = pattern.fullmatch(Path(path).as_posix()) if pattern else None
    return match.groupdict() if match else None


def _rows(path: str, reading: Reading) -> Iterator[Row]:
    if path.endswith(_JSON_LINES):
        return _json_rows(path, reading)
    return rows(path, "\t", str, _COLUMNS.issubset, reading)


def _json_rows(path: str, reading: Reading) -> Iterator[Row]:
    for number, line in text_lines(path, reading):
        if not line.strip():
            continue
        reading.read += 1
        content = _parsed(line)
        if not _is_row(content):
            reading.wrong(path, number, "no JSON object with s and max_rss")
            continue
        values = {name: value if isinstance(value, str) else json.dumps(value) for name, value in content.items()}
        yield Row(path, number, values, line)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _is_row(content: Any) -> bool:
    return isinstance(content, dict) and content.keys() >= _COLUMNS


def _attempt(row: Row, number: int, names: Mapping[str, str], labels: Labels) -> Attempt:
    rule = names.get("step") or _known(row.get("rule_name"))
    if rule is None:
        raise UsageError(
            f"{row.file} does not say of which rule it is: run Snakemake with --benchmark-extended, or say how paths "
            "name rules, as in --pattern 'benchmarks/{step}/{task}.tsv'"
        )
    wildcards = _object(row.get("wildcards"))
    item = ",".join(f"{name}={value}" for name, value in wildcards.items()) or None
    resources = _object(row.get("resources"))
    peak_mib = quantities.number(row.get("max_rss"))
    digest = hashlib.sha256(row.text.encode("utf-8", "replace")).hexdigest()[:8]
    task = names.get("task") or item or Path(row.file).stem
    input_bytes = _input_bytes(row)
    timeout_min = _amount(resources, "runtime")
    return Attempt(
        flow=names.get("flow") or labels.flow,
        run=labels.run or names.get("run") or "benchmarks",
        step=rule,
        task=f"{task}@{digest}",
        native=f"{Path(row.file).name}#{number}",
        item=item,
        outcome=Outcome.OK,
        duration_s=quantities.number(row.get("s")),
        cpu_seconds=_cpu_seconds(row),
        memory_peak_bytes=math.ceil(peak_mib * _MIB) if peak_mib else None,
        memory_source=SOURCE if peak_mib else None,
        requested_cpu=quantities.number(row.get("threads")) or _amount(resources, "_cores"),
        requested_memory_bytes=_times(_amount(resources, "mem_mb"), _MB),
        requested_disk_bytes=_times(_amount(resources, "disk_mb"), _MB),
        requested_gpu=_amount(resources, "gpu"),
        requested_timeout_s=None if timeout_min is None else timeout_min * 60,
        annotations=None if input_bytes is None else {"input_bytes": input_bytes},
        **labels.known(),
    )


def _object(text: str) -> Mapping[str, Any]:
    """What a column of the extended form holds: a dictionary as Python or JSON writes it; else nothing is known."""
    if not text.startswith("{"):
        return {}
    for parse in (json.loads, ast.literal_eval):
        try:
            found = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, dict):
            return found
    return {}


def _cpu_seconds(row: Row) -> float | None:
    """What the job took; before Snakemake 5.30 a file has its mean alone, in percent of a core."""
    if "cpu_time" in row.values:
        return quantities.number(row.get("cpu_time"))
    load, duration_s = quantities.number(row.get("mean_load")), quantities.number(row.get("s"))
    return None if load is None or duration_s is None else load / 100 * duration_s


def _input_bytes(row: Row) -> int | None:
    sizes = [size for size in _object(row.get("input_size_mb")).values() if _is_amount(size)]
    return round(sum(sizes) * _MIB) if sizes else None


def _amount(resources: Mapping[str, Any], name: str) -> float | None:
    value = resources.get(name)
    return value if _is_amount(value) else None


def _is_amount(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf


def _times(value: float | None, factor: int) -> int | None:
    return None if value is None else round(value * factor)


def _known(text: str) -> str | None:
    return None if quantities.is_unknown(text) else text.strip()
