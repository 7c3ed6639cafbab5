"""``stepsize import``: history that other programs kept, so that advice starts on day one.

What comes in: files, a Prometheus, or Metaflow's metadata, and options. What goes out: rows of `tasks` in the lake,
each once however often it is imported, and what became of all that was read. Exit code 0 also where single lines could
not be read, 1 where none could, 2 for wrong usage.
"""

from __future__ import annotations

import os
import re
import sys
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import click

from stepsize.commands.import_options import common as common_options
from stepsize.commands.import_options import files_argument, flow_option, timezone_option
from stepsize.errors import UsageError

if TYPE_CHECKING:
    from stepsize.commands.import_options import Common

_DATE = re.compile(r"\s*\d{4}-?\d\d")
_EPILOG = "Exit code: 0 well, 1 nothing could be read or the lake not be written, 2 wrong usage."


@click.group("import")
def command() -> None:
    """Add what others recorded: Nextflow, Snakemake, SLURM, Prometheus, Metaflow, resource-tracker."""


@command.command("nextflow", epilog=_EPILOG)
@files_argument
@flow_option
@click.option("--run", metavar="NAME", help="What the run is called. [default: by the first row of each file]")
@click.option(
    "--oom-exit-code",
    "oom_exit_codes",
    type=click.IntRange(1, 255),
    multiple=True,
    help="An exit code that means that memory ran out, such as 137; may be repeated. [default: none]",
)
@timezone_option
@common_options
def nextflow(
    *,
    files: tuple[str, ...],
    flow: str,
    run: str | None,
    oom_exit_codes: tuple[int, ...],
    timezone: str | None,
    common: Common,
) -> None:
    """Import trace files of Nextflow (-with-trace); - is standard input."""
    from stepsize.collector.imports.nextflow import SOURCE, read  # noqa: PLC0415 - `--help` stays quick
    from stepsize.collector.imports.reading import Reading  # noqa: PLC0415 - as above

    labels, reading = common.labels(flow, run, timezone, oom_exit_codes), Reading()
    common.write(SOURCE, read(files, labels, reading), reading)


@command.command("snakemake", epilog=_EPILOG)
@files_argument
@flow_option
@click.option("--run", metavar="NAME", help="What the execution is called; without it all are one run.")
@click.option(
    "--pattern",
    metavar="PATH",
    help="How paths name rules and jobs: {step}/{task}.tsv. Needed without --benchmark-extended; {run} too.",
)
@common_options
def snakemake(*, files: tuple[str, ...], flow: str, run: str | None, pattern: str | None, common: Common) -> None:
    """Import benchmark files of Snakemake, or directories of them."""
    from stepsize.collector.imports.reading import Reading  # noqa: PLC0415 - as above
    from stepsize.collector.imports.snakemake import SOURCE, pattern_of, read  # noqa: PLC0415 - as above

    labels, reading = common.labels(flow, run), Reading()
    found = None if pattern is None else pattern_of(pattern)
    common.write(SOURCE, read(files, labels, found, reading), reading)


@command.command("slurm", epilog=_EPILOG)
@files_argument
@flow_option
@click.option("--run", metavar="NAME", help="What the run is called. [default: each job or job array is one]")
@click.option(
    "--step-pattern",
    metavar="REGEX",
    help="What of a job's name is the step: the first group, or all that matches. [default: the whole name]",
)
@click.option(
    "--json", "is_json", is_flag=True, help="The files are of sacct --json. [default: by .json in their names]"
)
@timezone_option
@common_options
def slurm(
    *,
    files: tuple[str, ...],
    flow: str,
    run: str | None,
    step_pattern: str | None,
    is_json: bool,
    timezone: str | None,
    common: Common,
) -> None:
    """Import what sacct printed, with --parsable2 or --json; - is standard input."""
    from itertools import chain  # noqa: PLC0415 - as above

    from stepsize.collector.imports import sacct_json, sacct_text  # noqa: PLC0415 - as above
    from stepsize.collector.imports.reading import Reading  # noqa: PLC0415 - as above
    from stepsize.collector.imports.slurm import SOURCE  # noqa: PLC0415 - as above

    labels, reading, pattern = common.labels(flow, run, timezone), Reading(), _regex(step_pattern)
    sources = (
        (sacct_json if is_json or path.endswith((".json", ".json.gz")) else sacct_text).read(
            [path], labels, pattern, reading
        )
        for path in files
    )
    common.write(SOURCE, chain.from_iterable(sources), reading)


@command.command("metaflow", epilog=_EPILOG)
@click.argument("flow", metavar="FLOW")
@click.option("--runs", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="The newest so many.")
@click.option("--artifact", metavar="NAME", help="Where resource-tracker's decorator leaves its data, if not as usual.")
@common_options
def metaflow(*, flow: str, runs: int, artifact: str | None, common: Common) -> None:
    """Import what Metaflow recorded of a flow: times, outcomes, requests; peaks where resource-tracker left them."""
    from stepsize.collector.imports.metaflow_runs import read  # noqa: PLC0415 - as above
    from stepsize.collector.imports.reading import Reading  # noqa: PLC0415 - as above
    from stepsize.collector.imports.tracked import ARTIFACT  # noqa: PLC0415 - as above

    labels, reading = common.labels(flow), Reading()
    common.write("metaflow", read(flow, runs, artifact or ARTIFACT, labels, reading, _say, time.time()), reading)


@command.command("resource-tracker", epilog=_EPILOG)
@files_argument
@flow_option
@click.option("--step", metavar="NAME", required=True, help="Which step the files are of.")
@click.option("--run", metavar="NAME", help="What the run is called. [default: each file is one]")
@common_options
def resource_tracker(*, files: tuple[str, ...], flow: str, step: str, run: str | None, common: Common) -> None:
    """Import files that resource-tracker's ResourceTracker.dump() wrote, each an attempt of a step."""
    from stepsize.collector.imports.reading import Reading  # noqa: PLC0415 - as above
    from stepsize.collector.imports.tracked import SOURCE, read  # noqa: PLC0415 - as above

    labels, reading = common.labels(flow, run), Reading()
    common.write(SOURCE, read(files, labels, step, reading), reading)


@command.command("prometheus", epilog=_EPILOG)
@click.argument("url", metavar="URL")
@click.option("--since", metavar="AGO", required=True, help="Pods that began since: 30d, 12h, or a date (2026-11-01).")
@click.option("--until", metavar="AGO", default="0m", help="Only what was scraped until then. [default: now]")
@click.option("--window", metavar="TIME", default="6h", show_default=True, help="How much is asked for at a time.")
@click.option("--selector", metavar="MATCHERS", default="", help='Only such series: namespace="ml", pod=~"train-.*".')
@click.option("--container", metavar="REGEX", default=".+", show_default=True, help="Which containers of a pod count.")
@click.option(
    "--map",
    "mappings",
    metavar="FIELD=LABEL",
    multiple=True,
    help="Which label names a pod's flow, run, step, task, attempt, user, project or branch: step=label_app. May be "
    "repeated. [default: Metaflow's annotations]",
)
@click.option("--flow", metavar="NAME", help="What the flow of all pods is called, where no label does.")
@click.option("--run", metavar="NAME", help="What their run is called.")
@common_options
def prometheus(
    *,
    url: str,
    since: str,
    until: str,
    window: str,
    selector: str,
    container: str,
    mappings: tuple[str, ...],
    flow: str | None,
    run: str | None,
    common: Common,
) -> None:
    """Import pods that a Prometheus with cAdvisor and kube-state-metrics at URL has seen.

    Its bearer token, if it wants one, is taken from the environment: PROMETHEUS_TOKEN. Where its certificate is of an
    authority of your own, REQUESTS_CA_BUNDLE names that one's file.
    """
    from stepsize.collector.imports.pods import SOURCE, Names  # noqa: PLC0415 - as above
    from stepsize.collector.imports.prometheus import Server, Span, read  # noqa: PLC0415 - as above
    from stepsize.collector.imports.reading import Reading  # noqa: PLC0415 - as above
    from stepsize.commands.evidence import parse_since  # noqa: PLC0415 - as above

    now = datetime.now(timezone.utc)
    try:
        start, end = parse_since(since, now), parse_since(until, now)
        length_s = 0.0 if _DATE.match(window) else (now - parse_since(window, now)).total_seconds()
    except UsageError:
        raise UsageError(
            "write --since, --until and --window as 30d, 12h or 90m, the first two also as a date"
        ) from None
    if start >= end or length_s < 1:
        raise UsageError("--since is to come before --until, and --window to be a second at least")
    span = Span(
        since_s=start.timestamp(),
        until_s=end.timestamp(),
        window_s=length_s,
        selector=selector,
        container=container,
    )
    server = Server(url, os.environ.get("PROMETHEUS_TOKEN"))
    labels, reading = common.labels(flow, run), Reading()
    common.write(SOURCE, read(server, span, Names.of(mappings), labels, reading, _say), reading)


def _regex(text: str | None) -> re.Pattern[str] | None:
    try:
        return None if text is None else re.compile(text)
    except re.error as error:
        raise UsageError(f"--step-pattern {text!r} is no regular expression: {error}") from None


def _say(line: str) -> None:
    """What goes on, for who watches."""
    if sys.stderr.isatty():
        click.echo(f"stepsize import: {line}", err=True)
