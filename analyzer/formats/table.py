"""The report for a terminal: a table over all steps, what to change first on top, then for each step why.

A step that may stay as it is gets three lines: its name, why it stays, the cheapest server that fits. Asked for a
single step, the report tells everything about it. Where the table's figures leave no room for names, as on a narrow
terminal, it is a list: no figure is ever cut.

What comes in: reports. What goes out: text of a given width, with colours only where they are asked for. Names are
printed as they are, never read as markup, with control characters made visible.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from stepsize.analyzer.formats import words
from stepsize.analyzer.formats.ranking import changes, ranked
from stepsize.sizes import gb_hours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from stepsize.analyzer.report import StepReport

WIDTH = 80
_LEAST_WIDTH = 20
_LEAST_NAMES = 14
"""Columns that names have at least in a table; they are folded where they need more."""
_GAP = 3
_HEADS = ("memory MB", "used", "cpu", "used", "saving")


def render(reports: Sequence[StepReport], *, color: bool = False, width: int = WIDTH) -> str:
    """``reports`` as a table of ``width`` columns; ``color`` where a terminal reads it."""
    width = max(width, _LEAST_WIDTH)
    text = io.StringIO()
    console = Console(
        file=text, width=width, force_terminal=color, no_color=None if color else True, highlight=False, emoji=False
    )
    if not reports:
        console.print("No steps.")
        return text.getvalue()
    reports = ranked(reports)
    console.print(_overview(reports, width))
    alone = len({(report.flow, report.step) for report in reports}) == 1
    full = [report for report in reports if alone or changes(report)]
    for report in full:
        console.print(_block(report))
    kept = reports[len(full) :]  # they rank last
    if kept:
        console.print("\nSteps that stay as they are (everything about one: stepsize report FLOW/STEP)")
    for report in kept:
        console.print(_brief(report, width))
    console.print(_total(reports))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _overview(reports: Sequence[StepReport], width: int) -> RenderableType:
    rows = [(Text(words.printable(report.title)), _figures(report)) for report in reports]
    columns = zip(*(figures for _, figures in rows), strict=True)
    widest = [max(map(cell_len, (head, *map(str, column)))) for head, column in zip(_HEADS, columns, strict=True)]
    room = width - 1 - sum(_GAP + one for one in widest)
    if room < min(_LEAST_NAMES, max(title.cell_len for title, _ in rows)):
        return Group(Text(), *(line for title, figures in rows for line in _listed(title, figures)))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("step", overflow="fold", ratio=1)
    for heading in _HEADS:
        table.add_column(heading, justify="right", no_wrap=True)
    for title, figures in rows:
        table.add_row(title, *figures)
    return table


def _figures(report: StepReport) -> tuple[Text, ...]:
    """What stands below `_HEADS`."""
    return (
        _change(report, "memory_mb"),
        Text(words.amount(report.used.memory_mb)),
        _change(report, "cpu"),
        Text(words.amount(report.used.cpu)),
        Text(words.saving_short(report.costs)),
    )


def _listed(title: Text, figures: tuple[Text, ...]) -> tuple[RenderableType, RenderableType]:
    memory, used_memory, cpu, used_cpu, saving = figures
    said = Text.assemble(
        *("memory MB ", memory, ", used ", used_memory, "; cpu ", cpu, ", used ", used_cpu, "; saving ", saving),
        overflow="fold",
    )
    title.stylize("bold")
    title.overflow = "fold"
    return title, Padding(said, (0, 0, 0, 2))


def _change(report: StepReport, name: str) -> Text:
    asked, advised = getattr(report.requested, name), getattr(report.recommended, name)
    if asked == advised:
        return Text(words.amount(asked))
    style = "bold" if asked is None else "bold green" if advised < asked else "bold red"
    return Text.assemble(f"{words.amount(asked)} → ", (words.amount(advised), style))


def _head(report: StepReport) -> Text:
    return Text.assemble(
        (words.printable(report.title), "bold cyan"),
        (f"  {words.seen(report)}, confidence {report.confidence}", "dim"),
    )


def _brief(report: StepReport, width: int) -> RenderableType:
    """Three lines, cut rather than wrapped where there is room for figures: there is nothing to do about the step."""
    lines = [_head(report)]
    indent = "  why   "
    why = ""
    for sentence in report.held or ("The request fits what was used.",):
        more = f"{why} {sentence}".strip()
        if not why or len(indent) + len(more) <= width:
            why = more
    lines.append(Text.assemble((indent, "dim"), words.printable(why)))
    lines += [Text.assemble(("  fits  ", "dim"), server) for server in _servers(report)[:1]]
    for line in lines if width >= WIDTH else ():
        line.truncate(width, overflow="ellipsis")
    return Group(*lines)


def _block(report: StepReport) -> RenderableType:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    said = dict(words.why(report))
    for name, label in words.relevant(report):
        grid.add_row(label, _asked_used_advised(report, name))
        if reasons := said.pop(label.partition(" ")[0], None):
            grid.add_row("", _paragraph(reasons))
        if name == "memory_mb" and report.failures_expected_per_1000 is not None:
            grid.add_row("risk", Text(words.risk(report)))
    for label, reasons in said.items():
        grid.add_row(label, _paragraph(reasons))
    for label, text in words.bill(report):
        grid.add_row(label, Text(words.printable(text)))
    if report.costs.servers:
        grid.add_row("fits", Text("\n".join(_servers(report))))
    return Group(Text(), _head(report), Padding(grid, (0, 0, 0, 2)))


def _asked_used_advised(report: StepReport, name: str) -> Text:
    asked, used, advised = (getattr(part, name) for part in (report.requested, report.used, report.recommended))
    first = f"asked {words.amount(asked)}, used {words.amount(used)}"
    if advised is None:
        return Text(f"{first}: nothing to ask for yet")
    if asked == advised:
        return Text(f"{first}: keep {words.amount(advised)}")
    return Text.assemble(f"{first}: ask for ", (words.amount(advised), "bold"))


def _paragraph(sentences: Sequence[str]) -> Text:
    return Text(words.printable(" ".join(sentences)))


def _servers(report: StepReport) -> list[str]:
    """A line for each server; the regions of clouds are long, so prices come before them."""
    lines = []
    for offer in report.costs.servers:
        size = f"{words.amount(offer.vcpus)} vCPU, {offer.memory_mib / 1024:.3g} GiB"
        price = f"{words.money(offer.price_hourly, offer.currency)}/h"
        lines.append(f"{offer.vendor_id} {offer.server_id} ({size}): {price} in {offer.region}")
    return [words.printable(line) for line in lines]


def _total(reports: Sequence[StepReport]) -> RenderableType:
    wasted = sum(report.wasted_gb_h or 0.0 for report in reports)
    saved = words.in_all(reports)
    text = f"In all: {gb_hours(wasted)} of memory held and not used" + (f"; what is advised {saved}" if saved else "")
    basis = f"{words.covered(reports)} {words.prices(reports)}".strip()
    return Group(Text(), Text(text + "."), *([Text(basis, style="dim")] if basis else []))
