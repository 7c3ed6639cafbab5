"""``stepsize report``: what each step should ask for, from everything measured so far.

What comes in: options. What goes out: the report on standard output or, whole, in a file. Has whatever was sampled made
visible first, so that it may follow a run at once. Never changes the lake.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stepsize import discovery
from stepsize.analyzer import formats
from stepsize.commands.evidence import Evidence
from stepsize.commands.evidence import options as evidence_options
from stepsize.commands.fleet_file import fleet_option, open_catalog
from stepsize.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stepsize.analyzer.course import Course, StepKey
    from stepsize.analyzer.report import StepReport

_WIDEST = 120


@click.command(epilog="Exit code: 0 well, 1 nothing measured or a lake that cannot be read, 2 wrong usage.")
@click.argument("target", metavar="[FLOW[/STEP]]", required=False)
@evidence_options
@fleet_option
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
    *, target: str | None, fleet: Path | None, format_name: str | None, out: Path | None, evidence: Evidence
) -> None:
    """Say what each step should ask for, why, what that saves, and which servers fit it.

    Reads everything measured so far, that of a run which has just ended included.
    """
    query = evidence.query(*_parts(target))
    chosen = format_name or (formats.format_of(out) if out else formats.DEFAULT_FORMAT)
    with evidence.reader(open_catalog(fleet)) as reader:
        reports = reader(query)
        courses = reader.courses(query, formats.steps_drawn(reports, chosen))
    if out is None:
        click.echo(_on_terminal(reports, chosen, courses), nl=False)
    else:
        _write(out, formats.render(reports, chosen, courses))
        click.echo(f"Report written to {out}", err=True)


def _parts(target: str | None) -> tuple[str | None, str | None]:
    flow, _, step = (target or "").partition("/")
    if target is not None and (not flow or "/" in step or target.endswith("/")):
        raise UsageError(f"{target!r} is neither FLOW nor FLOW/STEP")
    return flow or None, step or None


def _on_terminal(reports: Sequence[StepReport], chosen: str, courses: Mapping[StepKey, Course]) -> str:
    if chosen != "table" or not sys.stdout.isatty():
        return formats.render(reports, chosen, courses)
    from stepsize.analyzer.formats import table  # noqa: PLC0415 - rich is heavy, and only a terminal needs it here

    return table.render(reports, color=True, width=min(_WIDEST, shutil.get_terminal_size().columns))


def _write(out: Path, text: str) -> None:
    try:
        discovery.write_whole(out.absolute(), text.encode())
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}; give another --out") from None
