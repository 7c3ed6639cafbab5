"""``stepsize nightly``: compact, report, compare with the last report, tell who is to be told; for a scheduler.

What comes in: options. What goes out: reports in the lake, messages, one line, and an exit code that a scheduler can
trust. A second start of the same night goes on where the first one ended, and does nothing that was done.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stepsize.analyzer import formats
from stepsize.collector.components.parquet_exporter import age_s
from stepsize.collector.config.language import duration_s
from stepsize.commands.evidence import Evidence
from stepsize.commands.evidence import options as evidence_options
from stepsize.commands.fleet_file import fleet_option
from stepsize.commands.night.jobs import COMPARISONS
from stepsize.commands.night.night import Nightly, Plan
from stepsize.commands.night.targets import VARIABLE, targets
from stepsize.commands.rollup import ENGINES, engine_named
from stepsize.errors import BusyError, LakeError, PermanentError, UsageError
from stepsize.settings import Settings
from stepsize.sizes import parse_size
from stepsize.store.layout import check_version
from stepsize.store.reports import LocalShelf

if TYPE_CHECKING:
    from stepsize.commands.night.night import Outcome
    from stepsize.commands.night.targets import Target
    from stepsize.store.reports import Shelf

_SECONDS_PER_DAY = 86_400


@click.command(
    "nightly",
    epilog="Exit code: 0 well, 1 a stage or a notification failed (start it again: it goes on there), 2 wrong usage, "
    f"{BusyError.exit_code} another one is at it.",
)
@evidence_options
@fleet_option
@click.option(
    "--notify",
    "notify_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help=f"Whom to tell: a file with an address of Apprise's on each line. [{VARIABLE}: addresses apart by space]",
)
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    help="Count tasks anew from all points first, into --counted, and report those.",
)
@click.option("--counted", metavar="DIR", help="Where counted tasks lie: a lake of their own.")
@click.option("--memory", metavar="SIZE", default="2GiB", show_default=True, help="What DuckDB holds while it counts.")
@click.option("--keep", metavar="AGE", default="90d", show_default=True, help="How long reports are kept; 0: ever.")
@click.option("--limit", metavar="TIME", default="2h", show_default=True, help="What each stage may take.")
@click.option("--again", is_flag=True, help="Do all of this night once more, and send it again.")
@click.option("--dry-run", is_flag=True, help="Show what would be told; keep, change and send nothing.")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(list(formats.FORMATS)),
    help="Print the comparison in this format rather than one line.",
)
def command(
    *,
    evidence: Evidence,
    fleet: Path | None,
    notify_file: Path | None,
    engine: str | None,
    counted: str | None,
    memory: str,
    keep: str,
    limit: str,
    again: bool,
    dry_run: bool,
    format_name: str | None,
) -> int:
    """Compact the lake, report on all flows, compare with the last report, and tell who wants to know.

    Reports lie in the lake, in reports/day=YYYY-MM-DD/; reports/latest is the newest. What went wrong is tried again by
    another start of the same day (UTC); what is done is not done again.
    """
    _check(evidence, engine, counted, memory)
    settings = Settings.load(data=evidence.data)
    plan = Plan(
        data=settings.store or str(settings.data.absolute()),
        evidence=evidence,
        fleet="" if fleet is None else str(fleet.absolute()),
        engine=engine or "",
        counted="" if counted is None else str(Path(counted).absolute()),
        memory_bytes=parse_size(memory),
        keep_days=_days(keep),
        limit_s=_limit_s(limit),
    )
    if plan.counted and Path(plan.counted).resolve() == Path(plan.data).resolve():
        raise UsageError("--counted: give a directory of its own, not the lake's")
    told = targets(notify_file, os.environ)
    shelf = _shelf(plan)
    nightly = Nightly(plan, shelf, told, time.time)
    if dry_run:
        _rehearse(nightly, told, format_name)
        return 0
    with shelf.locked():
        outcome = nightly.run(again=again)
    _say(outcome, shelf, format_name)
    return PermanentError.exit_code if outcome.failed else 0


def _check(evidence: Evidence, engine: str | None, counted: str | None, memory: str) -> None:
    """Refuse what is wrong before anything is done.

    Raises:
        UsageError: it is.
    """
    evidence.checked()
    evidence.query(None)
    if (engine is None) != (counted is None):
        raise UsageError("--engine and --counted belong together: what counts, and where the result goes")
    if engine is not None:
        engine_named(engine, parse_size(memory))


def _shelf(plan: Plan) -> Shelf:
    """Where the reports of the lake go.

    Raises:
        LakeError: there is no lake.
        UsageError: what writes to an object store is not installed.
    """
    if not plan.is_local:
        from stepsize.store.object_reports import ObjectShelf  # noqa: PLC0415 - heavy, and hardly ever needed

        return ObjectShelf(plan.data)
    data = Path(plan.data)
    if check_version(data) is None:
        raise LakeError(f"no data in {data} yet; run a flow with STEPSIZE=1, or give another --data")
    return LocalShelf(data)


def _days(keep: str) -> int | None:
    try:
        seconds = age_s(keep)
    except ValueError as error:
        raise UsageError(f"--keep: {error}") from None
    return None if seconds is None else int(seconds // _SECONDS_PER_DAY)


def _limit_s(limit: str) -> float:
    try:
        seconds = duration_s(limit)
    except ValueError as error:
        raise UsageError(f"--limit: {error}") from None
    if seconds <= 0:
        raise UsageError("--limit: give more than 0")
    return seconds


def _rehearse(nightly: Nightly, told: tuple[Target, ...], format_name: str | None) -> None:
    with tempfile.TemporaryDirectory(prefix="stepsize-nightly-") as made:
        day, done = nightly.rehearse(Path(made))
        if format_name is not None:
            click.echo((Path(made) / COMPARISONS[format_name]).read_text("utf-8"), nl=False)
            return
    click.echo(f"{day}: {'; '.join(done.said)}")
    if done.message is None:
        click.echo("Nothing would be sent.")
        return
    click.echo(f"Would be sent to {', '.join(one.name for one in told) or 'nobody'}:\n")
    click.echo(f"{done.message.title}\n\n{done.message.body}", nl=False)


def _say(outcome: Outcome, shelf: Shelf, format_name: str | None) -> None:
    for line in outcome.warned:
        click.echo(f"stepsize nightly: {line}", err=True)
    for line in outcome.failed:
        click.echo(f"stepsize nightly: {line}", err=True)
    if format_name is None:
        said = ("done already", *outcome.said[-1:]) if outcome.was_done else outcome.said
        told = (f"{outcome.told} told",) if outcome.told and not outcome.was_done else ()
        click.echo(f"{outcome.day}: {'; '.join((*said, *told)) or 'nothing was made'}")
    elif (content := shelf.get(outcome.day, COMPARISONS[format_name])) is not None:
        click.echo(content.decode(), nl=False)
