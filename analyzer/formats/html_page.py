"""The report as one HTML file: works offline, in light and dark, on paper and on a phone.

What comes in: reports. What goes out: HTML text with its style inside and no script, no font and no picture from
elsewhere. Every name and reason is escaped by jinja2; this module only turns numbers into lengths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import jinja2

from stepsize.analyzer.formats import words
from stepsize.analyzer.formats.ranking import changes, ranked
from stepsize.sizes import gb_hours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.report import StepReport
    from stepsize.analyzer.spread import Spread

_WIDTH, _HEIGHT = 480, 72


@dataclass(frozen=True, slots=True)
class Bar:
    """What was asked, used and advised of one resource; lengths in percent of the longest."""

    label: str
    asked: str
    used: str
    advised: str
    asked_percent: float | None
    used_percent: float | None
    advised_percent: float | None
    changed: bool
    raised: bool


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a histogram, in the units of its picture."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """A spread as a picture of ``width`` by ``height``, with the places of the request and of the advice."""

    caption: str
    columns: tuple[Column, ...]
    asked_x: float | None
    advised_x: float | None
    upper: str
    width: int = _WIDTH
    height: int = _HEIGHT


@dataclass(frozen=True, slots=True)
class Section:
    """One step on the page."""

    report: StepReport
    anchor: str
    bars: tuple[Bar, ...]
    histograms: tuple[Histogram, ...]


def render(reports: Sequence[StepReport]) -> str:
    """``reports`` as a page: what to change first, then a section for each step."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("stepsize.analyzer", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["words"] = words
    environment.globals["gb_hours"] = gb_hours
    sections = [_section(report, f"step-{number}") for number, report in enumerate(ranked(reports), start=1)]
    return environment.get_template("report.html.j2").render(
        sections=sections,
        covered=words.covered(reports),
        prices=words.prices(reports),
        policies=sorted({report.policy for report in reports}),
        tasks=sum(report.tasks for report in reports),
        wasted_gb_h=sum(report.wasted_gb_h or 0.0 for report in reports),
        savings=words.savings(reports),
        changes=sum(1 for report in reports if changes(report)),
    )


def _section(report: StepReport, anchor: str) -> Section:
    bars = tuple(_bar(report, name, label) for name, label in words.relevant(report))
    pictures = (
        _histogram("Tasks by memory peak, MB", report.memory_spread, report, "memory_mb"),
        _histogram("Time by cores in use", report.cpu_spread, report, "cpu"),
    )
    return Section(report, anchor, bars, tuple(picture for picture in pictures if picture is not None))


def _bar(report: StepReport, name: str, label: str) -> Bar:
    asked, used, advised = (getattr(part, name) for part in (report.requested, report.used, report.recommended))
    longest = max((value for value in (asked, used, advised) if value is not None), default=0)

    def percent(value: float | None) -> float | None:
        return round(100 * value / longest, 2) if value is not None and longest else None

    return Bar(
        label=label,
        asked=words.amount(asked),
        used=words.amount(used),
        advised=words.amount(advised),
        asked_percent=percent(asked),
        used_percent=percent(used),
        advised_percent=percent(advised),
        changed=advised is not None and advised != asked,
        raised=advised is not None and asked is not None and advised > asked,
    )


def _histogram(caption: str, spread: Spread | None, report: StepReport, name: str) -> Histogram | None:
    if spread is None:
        return None
    width = _WIDTH / len(spread.weights)
    tallest = max(spread.weights)

    def place(value: float | None) -> float | None:
        return None if value is None else round(value / spread.upper * _WIDTH, 1)

    columns = []
    for index, weight in enumerate(spread.weights):
        if weight > 0:
            # A rare task is the one that matters: never invisible.
            height = max(2.0, weight / tallest * (_HEIGHT - 4))
            columns.append(
                Column(round(index * width, 1), round(_HEIGHT - height, 1), round(width - 1, 1), round(height, 1))
            )
    return Histogram(
        caption=caption,
        columns=tuple(columns),
        asked_x=place(getattr(report.requested, name)),
        advised_x=place(getattr(report.recommended, name)),
        upper=words.amount(spread.upper),
    )
