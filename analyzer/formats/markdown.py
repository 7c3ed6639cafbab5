"""The report as Markdown (GitHub's), short enough for a comment: a table, what to change first on top,
then what stands behind each row.

What comes in: reports. What goes out: Markdown text in which names cannot break out of their place.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from stepsize.analyzer.formats import words
from stepsize.analyzer.formats.ranking import ranked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stepsize.analyzer.report import StepReport

_HEAD = ("step", "memory MB", "used", "cpu", "used", "saving", "confidence")
_SPECIAL = re.compile(r"([\\`*_\[\]|~])")


def render(reports: Sequence[StepReport]) -> str:
    """``reports`` as a table and a folded section for each step."""
    lines = ["# What each step should ask for", ""]
    if not reports:
        return "\n".join([*lines, "No steps.", ""])
    reports = ranked(reports)
    lines += as_markdown(_HEAD, map(_row, reports))
    for report in reports:
        lines += ["", *_details(report)]
    if basis := f"{words.covered(reports)} {words.prices(reports)}".strip():
        lines += ["", basis]
    return "\n".join(lines) + "\n"


def as_markdown(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """The lines of a table; its cells are Markdown (:func:`escaped`)."""
    titles = list(head)
    rule = ["-" * max(3, len(title)) for title in titles]
    return [f"| {' | '.join(cells)} |" for cells in (titles, rule, *rows)]


def _row(report: StepReport) -> list[str]:
    return [
        escaped(report.title),
        _change(report, "memory_mb"),
        words.amount(report.used.memory_mb),
        _change(report, "cpu"),
        words.amount(report.used.cpu),
        words.saving(report.costs),
        report.confidence,
    ]


def _change(report: StepReport, name: str) -> str:
    asked, advised = getattr(report.requested, name), getattr(report.recommended, name)
    return words.amount(asked) if asked == advised else f"{words.amount(asked)} → **{words.amount(advised)}**"


def _details(report: StepReport) -> list[str]:
    lines = [f"<details><summary>{_plain(report.title)}: {words.seen(report)}</summary>", ""]
    for label, reasons in words.why(report):
        lines.append(f"- **{label}** {escaped(' '.join(reasons))}")
        if label == "memory" and report.failures_expected_per_1000 is not None:
            lines.append(f"- **risk** {words.risk(report)}")
    lines += [f"- **{label}** {escaped(text)}" for label, text in words.bill(report)]
    for offer in report.costs.servers:
        name = escaped(f"{offer.vendor_id} {offer.server_id}, {offer.region}")
        lines.append(f"- **fits** {name}, {words.money(offer.price_hourly, offer.currency)} an hour")
    return [*lines, "", "</details>"]


def escaped(text: str) -> str:
    """``text`` as a line of Markdown that reads the same."""
    return _SPECIAL.sub(r"\\\1", _plain(text))


def _plain(text: str) -> str:
    """``text`` within an HTML block, where Markdown's escapes would be shown."""
    return html.escape(words.printable(text), quote=False)
