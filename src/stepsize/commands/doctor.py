"""``stepsize doctor``: finds the usual faults of an installation.

What comes in: options and the environment. What goes out: a line for each thing that was looked at, the remedy beside
what is wrong. Exit code 1 where there is a fault. Changes nothing.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import click

from stepsize.commands.checks.agent import check_agent
from stepsize.commands.checks.collector import check_collector
from stepsize.commands.checks.directories import check_directories
from stepsize.commands.checks.endpoint import check_endpoint
from stepsize.commands.checks.environment import check_environment
from stepsize.commands.checks.finding import Level
from stepsize.commands.checks.host import check_host
from stepsize.commands.checks.lake import check_lake
from stepsize.commands.checks.metaflow import check_metaflow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.commands.checks.finding import Finding

_MARKS = {Level.WELL: "ok   ", Level.NOTE: "note ", Level.FAULT: "FAULT"}


@click.command("doctor", epilog="Exit code: 0 well, 1 where something is wrong.")
@click.option("--data", metavar="DIR", help="The lake's directory. [STEPSIZE_DATA, default ~/.stepsize]")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_context
def command(context: click.Context, data: str | None, form: str) -> None:
    """Find the usual faults: settings, sockets, agent, endpoint, lake, collector, Metaflow, GPUs."""
    settings, found = check_environment(os.environ, data)
    if settings is not None:
        found += check_host(settings)
        found += check_agent(settings, os.environ)
        found += check_endpoint(settings, os.environ)
        found += check_directories(settings)
        found += check_lake(settings)
        found += check_collector(settings)
    found += check_metaflow(os.environ)
    click.echo(_as_json(found) if form == "json" else _as_lines(found))
    context.exit(1 if any(finding.level is Level.FAULT for finding in found) else 0)


def _as_lines(found: Sequence[Finding]) -> str:
    width = max(len(finding.part) for finding in found)
    lines = []
    for finding in found:
        lines.append(f"{_MARKS[finding.level]}  {finding.part:{width}}  {finding.said}")
        if finding.remedy:
            lines.append(f"{'':{len(_MARKS[finding.level])}}  {'':{width}}  → {finding.remedy}")
    return "\n".join(lines)


def _as_json(found: Sequence[Finding]) -> str:
    rows = [
        {"part": finding.part, "level": finding.level.value, "said": finding.said, "remedy": finding.remedy}
        for finding in found
    ]
    return json.dumps(rows, ensure_ascii=False, indent=1)
