"""``stepsize report``: what each step should ask for, from everything measured so far.

What comes in: options. What goes out: the report on standard output or, whole, in a file. Has whatever was sampled made
visible first, so that it may follow a run at once. Never changes the lake.
"""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stepsize import discovery
from stepsize.analyzer import formats, report
from stepsize.analyzer.catalog import place
from stepsize.analyzer.matching import Catalog
from stepsize.analyzer.sizing import policy as policies
from stepsize.analyzer.sizing import targets
from stepsize.analyzer.sizing.least_cost import LeastCostPolicy
from stepsize.analyzer.usage import Query
from stepsize.commands.fleet_file import read_fleet
from stepsize.commands.settle import settle
from stepsize.errors import UsageError
from stepsize.settings import Settings
from stepsize.store.lake import Lake

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    import duckdb

_AGO = re.compile(r"(\d+(?:\.\d+)?)([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_WIDEST = 120
_MEMORY_BYTES = 1 << 30
"""What the lake's queries hold at once; reports of millions of tasks need more, and have it on disk."""


@click.command(epilog="Exit code: 0 well, 1 nothing measured or a lake that cannot be read, 2 wrong usage.")
@click.argument("target", metavar="[FLOW[/STEP]]", required=False)
@click.option("--since", metavar="AGO", help="Only attempts that began since: 30d, 12h, 2w, or a date (2026-11-01).")
@click.option("--runs", type=click.IntRange(1, 1_000_000), metavar="N", help="Only the newest N runs of each flow.")
@click.option(
    "--policy",
    "policy_name",
    metavar="NAME",
    default=policies.DEFAULT_POLICY,
    show_default=True,
    help="How to size: cheap, balanced, safe, resource-tracker, or an installed plug-in.",
)
@click.option(
    "--target",
    "target_name",
    metavar="NAME",
    help=f"Say what to write for this platform, not for what ran the newest run: {', '.join(targets.TARGETS)}.",
)
@click.option(
    "--cpu-budget",
    type=click.FloatRange(min=1),
    metavar="TIMES",
    help="Instead of a price of waiting: the fastest cores on which a task costs at most so many times what it costs "
    "on the cheapest (1: the cheapest).",
)
@click.option("--branch", metavar="GLOB", help="Only this branch of a project (prod, user.ann, test.*).")
@click.option("--origin", metavar="NAME", help="Only runs of this origin: adhoc, schedule, event, upstream run.")
@click.option(
    "--fleet",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Only servers that FILE allows: Karpenter NodePools, or names of types.",
)
@click.option(
    "--data",
    metavar="DIR",
    help="The lake's directory, or s3://BUCKET/PREFIX. [STEPSIZE_DATA, default ~/.stepsize]",
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(list(formats.FORMATS)),
    help="Default: by the suffix of --out, else table.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write to a file rather than to the terminal.",
)
def command(
    *,
    target: str | None,
    since: str | None,
    runs: int | None,
    policy_name: str,
    target_name: str | None,
    cpu_budget: float | None,
    branch: str | None,
    origin: str | None,
    fleet: Path | None,
    data: str | None,
    format_name: str | None,
    out: Path | None,
) -> None:
    """Say what each step should ask for, why, what that saves, and which servers fit it.

    Reads everything measured so far, that of a run which has just ended included.
    """
    if since is not None and runs is not None:
        raise UsageError("--since and --runs exclude each other; give one")
    query = _query(target, since, runs, branch, origin)
    policy = _within(policies.load(policy_name), cpu_budget)
    platform = None if target_name is None else targets.named(target_name)
    chosen = format_name or (formats.format_of(out) if out else formats.DEFAULT_FORMAT)
    with _lake(data) as connection, Catalog.open(place.directory(), read_fleet(fleet)) as catalog:
        reports = report.build(connection, catalog, policy, query, platform)
    if out is None:
        click.echo(_on_terminal(reports, chosen), nl=False)
    else:
        _write(out, formats.render(reports, chosen))
        click.echo(f"Report written to {out}", err=True)


def _within(policy: policies.Policy, cpu_budget: float | None) -> policies.Policy:
    """The policy with a budget for cores in place of a price of waiting."""
    if cpu_budget is None:
        return policy
    if not isinstance(policy, LeastCostPolicy):
        raise UsageError(f"--cpu-budget: {policy.name} has a rule of its own for cores; leave out one of the two")
    return replace(policy, waiting=replace(policy.waiting, budget=cpu_budget))


def _lake(data: str | None) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
    """The lake to read, here or in an object store, once all that was measured on this machine is in it."""
    settings = Settings.load(data=data)
    for line in settle(settings, remote=True):
        click.echo(f"stepsize: {line}", err=True)
    if settings.store is not None:
        from stepsize.store.objects import ObjectLake  # noqa: PLC0415 - heavy, and hardly ever needed

        return ObjectLake(settings.store).reading(_MEMORY_BYTES)
    return Lake(settings.data).reading(_MEMORY_BYTES)


def _query(target: str | None, since: str | None, runs: int | None, branch: str | None, origin: str | None) -> Query:
    flow, _, step = (target or "").partition("/")
    if target is not None and (not flow or "/" in step or target.endswith("/")):
        raise UsageError(f"{target!r} is neither FLOW nor FLOW/STEP")
    return Query(
        flow=flow or None,
        step=step or None,
        since=None if since is None else parse_since(since, datetime.now(timezone.utc)),
        runs=runs,
        branch=branch,
        origin=origin,
    )


def parse_since(text: str, now: datetime) -> datetime:
    """The instant that ``30d``, ``12h``, ``90m``, ``2w`` before ``now`` or an ISO date (UTC) stands for.

    Raises:
        UsageError: it is none of these.
    """
    if ago := _AGO.fullmatch(text.strip()):
        try:
            return now - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
        except OverflowError:
            raise UsageError(f"--since {text}: that is before all calendars; give less") from None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--since {text!r} is neither an age (30d, 12h, 2w) nor a date (2026-11-01)") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=timezone.utc)


def _on_terminal(reports: Sequence[report.StepReport], chosen: str) -> str:
    if chosen != "table" or not sys.stdout.isatty():
        return formats.render(reports, chosen)
    from stepsize.analyzer.formats import table  # noqa: PLC0415 - rich is heavy, and only a terminal needs it here

    return table.render(reports, color=True, width=min(_WIDEST, shutil.get_terminal_size().columns))


def _write(out: Path, text: str) -> None:
    try:
        discovery.write_whole(out.absolute(), text.encode())
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}; give another --out") from None
