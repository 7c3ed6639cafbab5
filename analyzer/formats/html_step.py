"""One step as a section of a page.

What comes in: a report, and the step's course where it was read. What goes out: a frozen :class:`Section`; the template
only places what it holds. Pure. Names and reasons are text, which the template escapes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.analyzer.formats import html_charts as charts
from stepsize.analyzer.formats import words
from stepsize.analyzer.formats.html_charts import Shape
from stepsize.analyzer.formats.html_parts import parts
from stepsize.analyzer.formats.ranking import changes

if TYPE_CHECKING:
    from stepsize.analyzer.course import Course
    from stepsize.analyzer.formats.html_parts import Part
    from stepsize.analyzer.report import StepReport


@dataclass(frozen=True, slots=True)
class Bar:
    """What was asked, used and advised of one resource; lengths in the units of a picture."""

    label: str
    asked: str
    used: str
    advised: str
    asked_length: float | None
    used_length: float | None
    advised_length: float | None
    changed: bool
    raised: bool


@dataclass(frozen=True, slots=True)
class Section:
    """One step on the page."""

    report: StepReport
    anchor: str
    rank: int
    changed: bool
    decorator: str
    saving: str
    bars: tuple[Bar, ...]
    parts: tuple[Part, ...]


def section(report: StepReport, rank: int, course: Course | None) -> Section:
    """The section of the step that is the ``rank``-th to change."""
    return Section(
        report=report,
        anchor=anchor(rank),
        rank=rank,
        changed=changes(report),
        decorator=decorator(report),
        saving=_saving(report),
        bars=bars(report),
        parts=parts(report, course),
    )


def anchor(rank: int) -> str:
    """The identifier of a step's section."""
    return f"step-{rank}"


def decorator(report: StepReport) -> str:
    """``@resources(cpu=2, memory=1800)``: what to write for the step's target; empty where nothing is known."""
    advised, written = report.recommended, report.written
    cpu, memory = (advised.cpu, advised.memory_mb) if written is None else (written.cpu, written.memory)
    pairs = (("cpu", cpu), ("memory", memory), ("gpu", advised.gpu), ("disk", advised.disk_mb))
    said = [f"{name}={_cores(value) if name == 'cpu' else math.ceil(value)}" for name, value in pairs if value]
    return f"@resources({', '.join(said)})" if said else ""


def _cores(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _saving(report: StepReport) -> str:
    """What the advice saves; empty where it costs more, or where that is not known."""
    costs = report.costs
    if costs.now is None or costs.recommended is None or costs.recommended >= costs.now:
        return ""
    return words.saving(costs)


def bars(report: StepReport) -> tuple[Bar, ...]:
    """One for each resource of which there is anything to say; memory and cpu first."""
    return tuple(_bar(report, name, label) for name, label in words.relevant(report))


def _bar(report: StepReport, name: str, label: str) -> Bar:
    asked, used, advised = (getattr(part, name) for part in (report.requested, report.used, report.recommended))
    longest = max((value for value in (asked, used, advised) if value is not None), default=0)
    return Bar(
        label=label,
        asked=words.amount(asked),
        used=words.amount(used),
        advised=words.amount(advised),
        asked_length=charts.length(asked, longest),
        used_length=charts.length(used, longest),
        advised_length=charts.length(advised, longest),
        changed=advised is not None and advised != asked,
        raised=advised is not None and asked is not None and advised > asked,
    )


def shapes_of_bar(bar: Bar, height: int) -> tuple[Shape, ...]:
    """The bar as shapes: what was asked for behind, what was used before it, a mark at what is advised."""
    found = []
    if bar.asked_length is not None:
        found.append(Shape("was", f"M0 0h{bar.asked_length:g}v{height}H0z"))
    if bar.used_length is not None:
        found.append(Shape("solid", f"M0 {height // 4}h{max(1.5, bar.used_length):g}v{height // 2}H0z"))
    if bar.advised_length is not None:
        place = min(charts.WIDTH - 2.0, max(2.0, bar.advised_length))
        found.append(Shape("advised", f"M{place:g} 0V{height}"))
    return tuple(found)
