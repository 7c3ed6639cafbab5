"""``stepsize erase``: a user's, a flow's or a run's rows go from the lake, and it is shown that they are gone.

What comes in: whose rows. What goes out: how many there were, and exit code 0 once a look at every file finds none; 1
where some are left, with a line that says why. Nothing else is touched.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from stepsize.commands.erasure import Erasure
from stepsize.commands.settle import settle
from stepsize.errors import UsageError
from stepsize.settings import Settings
from stepsize.store.erasure import Selection
from stepsize.store.lake import Lake
from stepsize.store.reports import LocalShelf

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepsize.store.reports import Shelf

_REPORTS_S = 60.0
"""How long a nightly job that makes them just now is waited for."""


@click.command("erase", epilog="Exit code: 0 nothing is left, 1 something is, or cannot be read, 2 wrong usage.")
@click.option("--user", metavar="NAME", help="What is stored of this user.")
@click.option("--flow", metavar="NAME", help="What is stored of this flow.")
@click.option("--run", "run_path", metavar="FLOW/RUN", help="What is stored of this run.")
@click.option("--project", metavar="NAME", help="Of that, only what belongs to this project.")
@click.option("--data", metavar="DIR", help="The lake's directory. [STEPSIZE_DATA, default ~/.stepsize]")
@click.option(
    "--store",
    metavar="URL",
    help="Delete the nightly reports in this object store too, s3://BUCKET/PREFIX, to which the lake is brought. "
    "[STEPSIZE_DATA, where it names one and the lake is what this machine brings there]",
)
@click.option("--dry-run", is_flag=True, help="Only count the rows.")
@click.option("--now", is_flag=True, help="Delete files at once that queries which run now may still want.")
@click.option("--format", "format_name", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(
    *,
    user: str | None,
    flow: str | None,
    run_path: str | None,
    project: str | None,
    data: str | None,
    store: str | None,
    dry_run: bool,
    now: bool,
    format_name: str,
) -> None:
    """Erase what is stored of a user, a flow or a run: points, tasks, and what is on its way to the lake.

    Files that held rows of it are written anew without them. The old ones stay for ten minutes, since queries that
    began before may read them, and the command waits for that, unless --now is given.
    """
    selection = _selection(user, flow, run_path, project)
    settings = Settings.load(data=data)
    settings.here("erase")
    shelves: list[Shelf] = [LocalShelf(settings.data), *_in_store(store or _store_of(settings))]
    Lake(settings.data).connect().close()  # which says so where there is none
    Lake(settings.data).create()  # an older one becomes one of today
    for line in settle(settings):
        _say(line)
    erasure = Erasure(settings, selection, now=now)
    before = erasure.count()
    after = None if dry_run else erasure.erase(_say)
    for shelf in () if dry_run else shelves:
        if days := shelf.clear(_REPORTS_S):
            _say(f"{days} {'day' if days == 1 else 'days'} of nightly reports deleted: they may name what is erased")
    click.echo(_report(before, after, format_name))


def _store_of(settings: Settings) -> str | None:
    """Where a collector with the environment of this process brings the lake of ``settings``."""
    own = Settings.load()
    return own.store if own.data.absolute() == settings.data.absolute() else None


def _in_store(url: str | None) -> tuple[Shelf, ...]:
    """Where the reports of the lake at ``url`` are, if there is one.

    Raises:
        UsageError: it is no address, or what writes there is not installed.
    """
    if url is None:
        return ()
    from stepsize.store.object_reports import ObjectShelf  # noqa: PLC0415 - heavy, and hardly ever needed

    return (ObjectShelf(url),)


def _selection(user: str | None, flow: str | None, run_path: str | None, project: str | None) -> Selection:
    if sum(one is not None for one in (user, flow, run_path)) != 1:
        raise UsageError("say whose rows: one of --user NAME, --flow NAME, --run FLOW/RUN")
    if "" in (user, flow, project):
        raise UsageError("a name is empty; leave the option away, or say whose rows")
    if run_path is None:
        return Selection(user=user, flow=flow, project=project)
    flow, _, run = run_path.rpartition("/")  # a flow's name may hold a slash
    if not flow or not run:
        raise UsageError(f"--run {run_path!r}: write FLOW/RUN")
    return Selection(flow=flow, run=run, project=project)


def _report(before: Mapping[str, int], after: Mapping[str, int] | None, format_name: str) -> str:
    if format_name == "json":
        return json.dumps({"before": dict(before), "after": None if after is None else dict(after)})
    width = max(map(len, before))
    rows = [
        f"{name:<{width}}  {count:>12}" + ("" if after is None else f"  {after[name]:>12}")
        for name, count in before.items()
    ]
    header = f"{'':<{width}}  {'rows':>12}" + ("" if after is None else f"  {'left':>12}")
    return "\n".join([header, *rows])


def _say(line: str) -> None:
    click.echo(f"stepsize erase: {line}", err=True)
