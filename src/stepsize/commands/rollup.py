"""``stepsize rollup``: `tasks` counted anew from every stored point, by DuckDB here or by Spark on a cluster.

What comes in: a data directory, and one for the result. What goes out: a lake of `tasks` that ``stepsize report``
reads, and a line that says what is in it.
"""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stepsize.errors import UsageError
from stepsize.settings import Settings
from stepsize.sizes import parse_size

if TYPE_CHECKING:
    from stepsize.collector.recount.engine import Engine
    from stepsize.store.objects import ObjectLake

_NEEDS = {"duckdb": ("ibis", "rollup"), "spark": ("pyspark", "spark")}
ENGINES = tuple(_NEEDS)


@click.command("rollup")
@click.option("--data", metavar="DIR", help="The lake's directory, or s3://BUCKET/PREFIX. [STEPSIZE_DATA]")
@click.option("--out", metavar="DIR", required=True, help="Where the result goes: a lake of its own, of tasks alone.")
@click.option("--engine", type=click.Choice(ENGINES), default="duckdb", show_default=True, help="What counts.")
@click.option("--memory", metavar="SIZE", default="2GiB", show_default=True, help="What DuckDB holds; more is on disk.")
def command(data: str | None, out: str, engine: str, memory: str) -> None:
    """Count tasks anew from every stored point, into a lake of their own that report reads with --data.

    Collectors roll up what arrives by themselves. This is for what they could not see whole (tasks whose points went to
    several collectors, points that somebody else wrote) and for columns that are younger than a task's row.

    Spark runs where its own configuration says (spark-defaults.conf, SPARK_CONF_DIR, spark-submit).
    """
    chosen = engine_named(engine, parse_size(memory))
    from stepsize.collector.recount.recount import recount  # noqa: PLC0415 - after what it needs was looked for

    done = recount(source_of(data), Path(out).absolute(), chosen, time.time_ns())
    click.echo(f"{done.attempts} attempts from {done.points} points in {done.files} files")


def source_of(data: str | None) -> Path | ObjectLake:
    """The lake whose points are counted: of this machine, or in an object store."""
    settings = Settings.load(data=data)
    if settings.store is not None:
        from stepsize.store.objects import ObjectLake  # noqa: PLC0415 - heavy, and hardly ever needed

        return ObjectLake(settings.store)
    return settings.data


def engine_named(name: str, memory_bytes: int) -> Engine:
    """What counts.

    Raises:
        UsageError: what it needs is not installed.
    """
    module, extra = _NEEDS[name]
    if importlib.util.find_spec(module) is None or importlib.util.find_spec("ibis") is None:
        raise UsageError(f"--engine {name} needs packages that are not here: pip install 'stepsize[{extra}]'")
    if name == "spark":
        from stepsize.collector.recount.on_spark import SparkEngine  # noqa: PLC0415 - only one of them is needed

        return SparkEngine()
    from stepsize.collector.recount.on_duckdb import DuckDBEngine  # noqa: PLC0415 - as above

    return DuckDBEngine(memory_bytes)
