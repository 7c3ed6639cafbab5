"""``stepsize backtest``: what a sizing policy would have cost on recorded tasks, beside every published rule.

What comes in: CSV files of tasks, and options. What goes out: a table or JSON on standard output, the attempts in a CSV
where asked for. Never touches a lake.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stepsize.analyzer.backtest.feedback import Mode
from stepsize.analyzer.backtest.run import Plan, backtest, jobs
from stepsize.analyzer.formats.backtests import FORMATS, render
from stepsize.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.backtest.run import Result


@click.command(epilog="Exit code: 0 well, 2 wrong usage or a file that cannot be read.")
@click.argument("files", metavar="FILE.csv...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--policy", metavar="NAME", default="balanced", show_default=True, help="cheap, balanced, safe, or a rule."
)
@click.option(
    "--mode",
    type=click.Choice([mode.value for mode in Mode]),
    default=Mode.ONLINE.value,
    show_default=True,
    help="When a task is known: before the next, once it had ended, or between runs (one request a step and run).",
)
@click.option(
    "--time-to-failure",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    metavar="SHARE",
    help="The share of its run time after which an attempt that is too small fails.",
)
@click.option("--cold-start/--no-cold-start", default=True, help="Whether other steps help one that never ran.")
@click.option("--compare/--no-compare", default=True, help="Whether every published rule is replayed too.")
@click.option(
    "--attempts",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="OUT.csv",
    help="Write every attempt of the policy, to be added up again.",
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
def command(
    *,
    files: tuple[Path, ...],
    policy: str,
    mode: str,
    time_to_failure: float,
    cold_start: bool,
    compare: bool,
    attempts: Path | None,
    form: str,
) -> None:
    """Replay recorded tasks, each sized before it is seen, and say what that would have allocated.

    The table shows GB·h allocated over GB·h used, without the first task of each step, and failed attempts per 1,000
    tasks: for each file, and over all files (geometric and arithmetic mean).
    """
    if math.isnan(time_to_failure):
        raise UsageError("--time-to-failure is a share of the run time, above 0 and at most 1")
    repeated = {path for path in files if files.count(path) > 1}
    if repeated:
        raise UsageError(f"{', '.join(map(str, sorted(repeated)))} is given more than once")
    plan = Plan(policy=policy, mode=Mode(mode), time_to_failure=time_to_failure, cold_start=cold_start, compare=compare)
    results = _run(files, plan, attempts)
    click.echo(render(results, form), nl=False)


def _run(files: Sequence[Path], plan: Plan, attempts: Path | None) -> list[Result]:
    """The results, with a bar on standard error where somebody watches."""
    from rich.console import Console  # noqa: PLC0415 - rich is heavy, and --help does without
    from rich.progress import Progress  # noqa: PLC0415 - as above

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("replaying", total=jobs(len(files), plan))
        return list(backtest(files, plan, attempts=attempts, advanced=lambda: progress.advance(bar)))
