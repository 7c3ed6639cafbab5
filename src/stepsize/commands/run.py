"""``stepsize run``: a command, tracked, with what it used said when it has ended.

What comes in: a command line. What goes out: the command's own exit code, and a few lines on standard error once it
has ended; of a command that could not be executed nothing but why. Never fails or changes the command because tracking
failed.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from stepsize.discovery import agent_socket
from stepsize.errors import StepsizeError
from stepsize.instrumentation.identity import of_settings
from stepsize.instrumentation.launch import Completed, launch
from stepsize.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepsize.instrumentation.wire import Summary
    from stepsize.model import Identity

    Advice = Callable[[Identity, Settings], str | None]
    """What to ask for next time, in a line or a few; ``None`` where there is nothing to say."""


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--flow", help="Name of the workflow.  [default: the orchestrator's, else the command's name]")
@click.option("--run", "run_id", help="Name of the run.  [default: the orchestrator's, else the time in microseconds]")
@click.option("--step", help="Name of the step.  [default: the orchestrator's, else run]")
@click.option("--task", help="Name of the task among those of its step.  [default: the orchestrator's, else 0]")
@click.option("--quiet", "-q", is_flag=True, help="Do not say what the command used.")
@click.argument("argv", metavar="CMD...", nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    argv: tuple[str, ...],
    *,
    flow: str | None,
    run_id: str | None,
    step: str | None,
    task: str | None,
    quiet: bool,
) -> None:
    """Run a command, track it and its children, and say what it used.

    Ends with the command's own exit code; 128 + N where signal N ended it, 127 where it was not found, 126 where it
    could not be executed. Signals and the terminal are the command's. Write -- before a command with options of its
    own.
    """
    settings = Settings.load(flow=flow, run=run_id, step=step, task=task)
    completed = execute(argv, of_settings(argv, os.environ, settings), settings, advice=_advise, quiet=quiet)
    sys.exit(completed.exit_code)


def execute(
    argv: Sequence[str], identity: Identity, settings: Settings, *, advice: Advice | None, quiet: bool = False
) -> Completed:
    """Run ``argv`` to its end and say on standard error what it used, and what ``advice`` makes of its history."""
    completed = launch(argv, identity, settings)
    if completed.summary is not None and not quiet and not settings.sdk_disabled:
        lines = [describe(identity, completed.summary), *_unseen(settings)]
        if advice is not None:
            try:
                said = advice(identity, settings)
            except Exception as error:  # noqa: BLE001 - the command has ended, and its exit code is what counts
                said = f"no advice: {error}"
            lines += (said or "").splitlines()
        for line in lines:
            click.echo(f"stepsize: {line}", err=True)
    return completed


def _unseen(settings: Settings) -> list[str]:
    """Why nobody could be told of the command, in a line; none where somebody was."""
    try:
        agent_socket(settings)
    except StepsizeError as error:
        return [f"not recorded: {error}"]
    return []


def _advise(identity: Identity, settings: Settings) -> str | None:
    from stepsize.commands.advice import advise  # noqa: PLC0415 - the analyzer is heavy, and not needed while it runs

    return advise(identity, settings)


def describe(identity: Identity, used: Summary) -> str:
    """What a command used, in a line."""
    mean = used.cpu_seconds / used.duration_s if used.duration_s > 0 else 0.0
    parts = [f"{used.duration_s:.1f} s", f"{used.cpu_seconds:.1f} CPU-s ({mean:.2f} cores on average"]
    parts[1] += f", {used.cpu_max:.2f} at most)" if used.cpu_max is not None else ")"
    parts.append("memory unknown" if used.memory_peak_bytes is None else f"memory peak {_size(used.memory_peak_bytes)}")
    if used.disk_read_bytes is not None and used.disk_write_bytes is not None:
        parts.append(f"disk {_size(used.disk_read_bytes)} read, {_size(used.disk_write_bytes)} written")
    return f"{identity.flow}/{identity.step} used {'; '.join(parts)}"


def _size(count: int) -> str:
    """Bytes for people, in powers of 1024."""
    value, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.0f} {units[0]}" if units[0] in ("B", "KiB", "MiB") else f"{value:.1f} {units[0]}"
