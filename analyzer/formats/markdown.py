"""The report as Markdown (GitHub's), short enough for a comment: a table, what to change first on top,
then what stands behind each row, folded.

What comes in: reports. What goes out: at most `MOST_BYTES` of Markdown, in which names cannot break out of their place.
What comes first stays; how many rows and how many explanations did not fit is said.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from stepsize.analyzer.formats import words
from stepsize.analyzer.formats.ranking import changes, raises, ranked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stepsize.analyzer.report import StepReport

MOST_BYTES = 65_000
"""GitHub refuses a comment of more than 65,536 characters; a byte is never more than one."""
_TABLE_BYTES = 25_000
"""Of these at most for the table."""
_END_BYTES = 2_000
"""For what stands below."""
_LONGEST_TITLE = 200
_HEAD = ("step", "memory MB", "used", "cpu", "used", "saving", "confidence")
_SPECIAL = re.compile(r"([\\`*_\[\]|~])")
_CALLS = re.compile(
    r"@(?=\w)|\#(?=\d)|(?<=\bGH)-(?=\d)|:(?=//|[\w+-]+:)|(?<=\bwww)\.|\$",
    re.IGNORECASE,
)
"""What GitHub links, or has somebody be told of, wherever it stands in text (``@timeout``, ``#12``, ``GH-12``,
addresses), its names of emoji, and formulas. An element around one character ends that and is not seen."""


def render(reports: Sequence[StepReport]) -> str:
    """``reports`` as a table and a folded section for each step."""
    title = ["# What each step should ask for", ""]
    if not reports:
        return "\n".join([*title, "No steps.", ""])
    reports = ranked(reports)
    title += [_headline(reports), ""]
    rows = as_markdown(_HEAD, map(_row, reports))
    shown = _fitting(rows, _TABLE_BYTES)
    room = MOST_BYTES - _END_BYTES - _size([*title, *rows[:shown]])
    details: list[list[str]] = []
    for report in reports[: shown - 2]:
        block = ["", *_details(report)]
        room -= _size(block)
        if room < 0:
            break
        details.append(block)
    lines = [*title, *rows[:shown], *(line for block in details for line in block)]
    lines += _left_out(len(reports), shown - 2, len(details))
    if basis := f"{words.covered(reports)} {words.prices(reports)}".strip():
        lines += ["", basis]
    return "\n".join(lines) + "\n"


def _headline(reports: Sequence[StepReport]) -> str:
    """How much there is to do, and what it saves."""
    changed = sum(map(changes, reports))
    short = sum(1 for report in reports if changes(report) and raises(report))
    said = f"**{changed:,} of {words.plural(len(reports), 'step')}** should ask for something else"
    said += f", {short:,} of them for more" if short else ""
    saved = words.in_all(reports, lambda money: f"**{escaped(money)}**")
    return f"{said}; that {saved}." if changed and saved else f"{said}."


def _size(lines: Iterable[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)


def _fitting(lines: Sequence[str], most_bytes: int) -> int:
    """How many of ``lines`` fit, from the first on; the head of a table always does."""
    size = 0
    for index, line in enumerate(lines):
        size += _size([line])
        if size > most_bytes and index >= 2:
            return index
    return len(lines)


def _left_out(steps: int, rows: int, details: int) -> list[str]:
    """What did not fit, and where it is."""
    if details == steps:
        return []
    said = [f"{steps - rows:,} more steps"] if rows < steps else []
    said += [f"the reasons of {words.plural(rows - details, 'step')} of the table"] if details < rows else []
    text = " and ".join(said)
    return ["", f"_{text[:1].upper()}{text[1:]} are left out: `stepsize report --format json` has all._"]


def as_markdown(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """The lines of a table; its cells are Markdown (:func:`escaped`)."""
    titles = list(head)
    rule = ["-" * max(3, len(title)) for title in titles]
    return [f"| {' | '.join(cells)} |" for cells in (titles, rule, *rows)]


def _row(report: StepReport) -> list[str]:
    return [
        escaped(_short(report.title)),
        _change(report, "memory_mb"),
        words.amount(report.used.memory_mb),
        _change(report, "cpu"),
        words.amount(report.used.cpu),
        escaped(words.saving(report.costs)),
        report.confidence,
    ]


def _change(report: StepReport, name: str) -> str:
    asked, advised = getattr(report.requested, name), getattr(report.recommended, name)
    return words.amount(asked) if asked == advised else f"{words.amount(asked)} → **{words.amount(advised)}**"


def _details(report: StepReport) -> list[str]:
    lines = [f"<details><summary>{_plain(_short(report.title))}: {words.seen(report)}</summary>", ""]
    for label, reasons in words.why(report):
        lines.append(f"- **{label}** {escaped(' '.join(reasons))}")
        if label == "memory" and report.failures_expected_per_1000 is not None:
            lines.append(f"- **risk** {words.risk(report)}")
    lines += [f"- **{label}** {escaped(text)}" for label, text in words.bill(report)]
    for offer in report.costs.servers:
        price = words.money(offer.price_hourly, offer.currency)
        lines.append(f"- **fits** {escaped(f'{offer.vendor_id} {offer.server_id}, {offer.region}, {price} an hour')}")
    return [*lines, "", "</details>"]


def _short(title: str) -> str:
    """No name is so long that it leaves no room for another step."""
    return title if len(title) <= _LONGEST_TITLE else f"{title[:_LONGEST_TITLE]}…"


def escaped(text: str) -> str:
    """``text`` as a line of Markdown that reads the same."""
    return _SPECIAL.sub(r"\\\1", _plain(text))


def _plain(text: str) -> str:
    """``text`` within an HTML block, where Markdown's escapes would be shown."""
    return _CALLS.sub(r"<span>\g<0></span>", html.escape(words.printable(text), quote=False))
