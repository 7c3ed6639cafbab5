"""``stepsize demo``: real flows, really measured, and what they should have asked for.

What comes in: a directory. What goes out: a report on the terminal and as HTML. It does what the README's tutorial
does and nothing else: runs unchanged flows with ``STEPSIZE=1``, then builds the report. Never touches the user's own
lake or Metaflow data.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import deque
from importlib import resources, util
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from stepsize.errors import PermanentError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

MARKER = ".stepsize-demo"


class Example(NamedTuple):
    """A flow of ``examples/``: its file, how often it runs, its attempts a run, and what it shows."""

    file: str
    runs: int
    attempts: int
    shows: str


EXAMPLES = (
    Example("pipeline_flow.py", 3, 4, "asks for far too much, and for too little"),
    Example("branch_flow.py", 1, 5, "branches, child processes"),
    Example("foreach_flow.py", 1, 11, "foreach of eight unequal sizes"),
    Example("retry_flow.py", 1, 4, "fails, then is tried again"),
)


@click.command(name="demo")
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("stepsize-demo"),
    show_default=True,
    help="Where the lake, the flows' own data and the HTML report go.",
)
def command(directory: Path) -> None:
    """Run real flows with STEPSIZE=1, then print what each step should ask for."""
    if util.find_spec("metaflow") is None:
        raise UsageError("the demo runs Metaflow flows: pip install 'stepsize[metaflow]'")
    directory = _fresh(directory.absolute())
    environment = _environment(directory)
    console = Console(stderr=True)
    console.print("Running the flows of examples/ unchanged, with STEPSIZE=1:")
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:.0f}/{task.total:.0f} attempts"),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        bars = [
            progress.add_task(f"{example.file} ({example.shows})", total=example.runs * example.attempts)
            for example in EXAMPLES
        ]
        for example, bar in zip(EXAMPLES, bars, strict=True):
            for _ in range(example.runs):
                _run(example, directory, environment, progress, bar)
            progress.update(bar, completed=example.runs * example.attempts)
            if not console.is_terminal:
                runs = "1 run" if example.runs == 1 else f"{example.runs} runs"
                console.print(f"  {example.file}: {runs} measured ({example.shows})")
    _report(directory, environment)


def _fresh(directory: Path) -> Path:
    """An empty directory of the demo's own; what an earlier demo left there is removed, nothing else ever is."""
    if directory.exists() and any(directory.iterdir()) and not (directory / MARKER).exists():
        raise UsageError(f"{directory} is not empty and not an earlier demo's: give another --dir")
    try:
        for name in ("lake", "metaflow"):
            shutil.rmtree(directory / name, ignore_errors=True)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / MARKER).touch()
    except OSError as error:
        raise PermanentError(f"cannot write to {directory}: {error.strerror}; give another --dir") from None
    return directory


def _environment(directory: Path) -> dict[str, str]:
    """The user's environment less any other destination, so that the demo is the same everywhere."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "STEPSIZE", "METAFLOW_"))
    }
    return {
        **kept,
        "STEPSIZE": "1",
        "STEPSIZE_DATA": str(directory / "lake"),
        "METAFLOW_HOME": str(directory / "metaflow"),
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(directory / "metaflow"),
        "METAFLOW_USER": "demo",
        "PYTHONUNBUFFERED": "1",
    }


def _run(example: Example, directory: Path, environment: dict[str, str], progress: Progress, bar: TaskID) -> None:
    with resources.as_file(resources.files("stepsize.examples") / example.file) as flow:
        argv = [sys.executable, str(flow), "--no-pylint", "run"]
        with subprocess.Popen(
            argv, cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            tail: deque[str] = deque(maxlen=20)
            for line in _lines(process):
                tail.append(line)
                if "Task finished successfully" in line or "Task failed" in line:
                    progress.advance(bar)
    if process.returncode:
        click.echo("".join(tail), err=True)
        raise PermanentError(f"{example.file} ended with code {process.returncode}; its last lines are above")


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    if process.stdout is not None:
        yield from process.stdout


def _report(directory: Path, environment: dict[str, str]) -> None:
    """Exactly what a user types next."""
    report = [sys.executable, "-m", "stepsize", "report"]
    for arguments in ([], ["--out", str(directory / "report.html")]):
        finished = subprocess.run([*report, *arguments], env=environment, check=False)
        if finished.returncode:
            raise PermanentError(f"`stepsize report` ended with code {finished.returncode}")
