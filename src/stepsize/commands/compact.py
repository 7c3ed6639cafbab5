"""``stepsize compact``: few large files in place of many, where no collector does it.

What comes in: a data directory, and how long rows are kept. What goes out: what was done. What a collector that lives
has written is left to it: it compacts by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stepsize.collector.components.parquet_exporter import age_s, size_bytes
from stepsize.collector.upkeep.tend import tend
from stepsize.errors import UsageError
from stepsize.settings import Settings
from stepsize.store.lake import Lake
from stepsize.store.retention import Retention

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


@click.command("compact")
@click.option("--data", metavar="DIR", help="The lake's directory. [STEPSIZE_DATA, default ~/.stepsize]")
@click.option("--keep-points", metavar="AGE", default="0", help="Drop days of points that are older: 30d, 12w, 1y.")
@click.option("--keep-tasks", metavar="AGE", default="0", help="Drop months of tasks that are older.")
@click.option("--max-size", metavar="SIZE", default="0", help="Drop the oldest days of points beyond this: 50GiB.")
def command(data: str | None, keep_points: str, keep_tasks: str, max_size: str) -> None:
    """Compact the days that are past, and drop what is older than it is to be kept. Nothing is dropped unless asked."""
    retention = Retention(
        _given("--keep-points", age_s, keep_points),
        _given("--keep-tasks", age_s, keep_tasks),
        _given("--max-size", size_bytes, max_size),
    )
    settings = Settings.load(data=data)
    settings.here("compact")
    Lake(settings.data).connect().close()  # which says so where there is none
    Lake(settings.data).create()  # an older one becomes one of today
    done = tend(settings.data, retention, quiet_s=0.0)
    click.echo(f"{done.compacted} files compacted to {done.made}, {done.dropped} dropped")
    if done.living:
        click.echo("stepsize compact: what a collector that runs has written is left to it", err=True)
    done.raise_failed()


def _given(option: str, parse: Callable[[str], Any], text: str) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
