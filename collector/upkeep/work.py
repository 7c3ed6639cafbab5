"""Upkeep's heavy work as a process of its own: ``python -m stepsize.collector.upkeep.work``.

What comes in: one line of JSON, a :class:`CompactJob` or :class:`TendJob`. What goes out on standard output: one line
of JSON, the files that were made. It runs at the lowest priority and on one core, has its memory for itself, commits
nothing for a writer whose sink lives, and ends with whoever started it: at the end of its standard input.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from stepsize.errors import StepsizeError
from stepsize.interpreter import environment_for_python
from stepsize.store.compact import compact
from stepsize.store.retention import Retention

_NICENESS = 19


@dataclass(frozen=True, slots=True)
class CompactJob:
    """Make few files of many, see `stepsize.store.compact`. Paths are absolute; ``into`` is there."""

    table: str
    files: list[str]
    elsewhere: list[str]
    into: str


@dataclass(frozen=True, slots=True)
class TendJob:
    """Look after what writers without a collector have left in ``data``, see `stepsize.collector.upkeep.tend`."""

    data: str
    retention: dict[str, float | None]
    quiet_s: float


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file that was made, of so many rows."""

    path: Path
    rows: int


class Work:
    """A job that is being done elsewhere."""

    def __init__(self, job: CompactJob | TendJob) -> None:
        content = json.dumps({"kind": type(job).__name__, **asdict(job)})
        # Through a pipe: a day's list of files is longer than a command line may be.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "stepsize.collector.upkeep.work"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment_for_python(os.environ),
        )
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):  # it could not start: its exit code says so
            self._process.stdin.write(content.encode() + b"\n")
            self._process.stdin.flush()

    def is_done(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def made(self) -> list[MadeFile] | None:
        """What it made, once it is done; None where it failed, which it has said on standard error."""
        assert self._process.stdout
        with self._process:
            line = self._process.stdout.readline()
        if self._process.returncode != 0 or not line:
            return None
        return [MadeFile(Path(path), rows) for path, rows in json.loads(line)]

    def stop(self) -> None:
        """End it; what it has made so far is never used."""
        with self._process:
            self._process.kill()


def main() -> None:
    """Entry point of the process."""
    job = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(AttributeError, OSError):  # Windows has no such thing
        os.nice(_NICENESS)
    pa.set_cpu_count(1)
    kind = job.pop("kind")
    try:
        made = _do(kind, job)
    except (OSError, StepsizeError) as error:
        again = "an hour" if kind == TendJob.__name__ else "a day"
        print(f"stepsize collect: upkeep failed: {error}; it is tried again in {again}", file=sys.stderr)  # noqa: T201 - the process's log
        sys.exit(1)
    print(json.dumps(made), flush=True)  # noqa: T201 - the answer


def _do(kind: str, fields: dict[str, Any]) -> list[tuple[str, int]]:
    if kind == TendJob.__name__:
        from stepsize.collector.upkeep.tend import tend  # noqa: PLC0415 - it imports this module

        job = TendJob(**fields)
        retention = Retention(**job.retention)  # type: ignore[arg-type]  # as they were sent
        tend(Path(job.data), retention, job.quiet_s).raise_failed()
        return []
    compaction = CompactJob(**fields)
    files, elsewhere = map(Path, compaction.files), map(Path, compaction.elsewhere)
    made = compact(compaction.table, list(files), list(elsewhere), Path(compaction.into))
    return [(str(one.path), one.rows) for one in made]


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1 << 12):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
