"""The report as one HTML file: works offline and without JavaScript, in light and dark, on paper and on a phone.

What comes in: reports, and the courses of the steps that are drawn, where they were read. What goes out: HTML text with
its style and pictures inside, and nothing from elsewhere: its Content-Security-Policy allows that one style and nothing
more. jinja2 escapes every name, and control characters are made visible. Its size grows with steps, not with tasks, up
to `ROWS` and `SECTIONS`; how many were left out is said.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from stepsize.analyzer.course import StepKey, key_of
from stepsize.analyzer.formats import words
from stepsize.analyzer.formats.html_charts import WIDTH, Shape
from stepsize.analyzer.formats.html_runs import LANE_HEIGHT, MOST, timelines
from stepsize.analyzer.formats.html_step import Bar, anchor, bars, section, shapes_of_bar
from stepsize.analyzer.formats.ranking import changes, raises, ranked
from stepsize.sizes import gb_hours

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from stepsize.analyzer.course import Course
    from stepsize.analyzer.report import StepReport

ROWS = 1000
"""Steps in the table of what to change, at most."""
SECTIONS = 200
"""Steps that are told in full, at most."""
_BAR_HEIGHT = 16
_SHARE_HEIGHT = 4


@dataclass(frozen=True, slots=True)
class Row:
    """One step in the table of what to change first.

    ``share`` is its part of the largest saving, as a picture; ``trouble`` says how many attempts ran out of memory.
    """

    report: StepReport
    rank: int
    anchor: str
    bars: tuple[Bar, ...]
    share: tuple[Shape, ...]
    trouble: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One of the figures at the top."""

    label: str
    value: str
    note: str


def steps_drawn(reports: Sequence[StepReport]) -> list[StepKey]:
    """The steps that the page has pictures of, if it is given their courses."""
    return [key_of(report) for report in ranked(reports)[:SECTIONS]]


def render(reports: Sequence[StepReport], courses: Mapping[StepKey, Course] | None = None) -> str:
    """``reports`` as a page: what to change first, the newest runs, then a section for each step."""
    known = courses or {}
    order = ranked(reports)
    sections = [section(report, rank, known.get(key_of(report))) for rank, report in enumerate(order[:SECTIONS], 1)]
    lines = timelines(map(key_of, order[:SECTIONS]), known)
    environment = _environment()
    style = _style(environment)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template(
        "report.html.j2"
    ).render(
        title=_title(order),
        style=Markup(style),  # noqa: S704 - a file of this package, in which nothing is put
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        figures=_figures(order),
        period=_period(known.values()),
        policies=sorted({report.policy for report in order}),
        rows=_rows(order[:ROWS]),
        timelines=lines[:MOST],
        flows=len(lines),
        sections=sections,
        steps=len(order),
        covered=words.covered(order),
        prices=words.prices(order),
    )


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("stepsize.analyzer", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_shown,
    )
    names = {"gb_hours": gb_hours, "shapes_of_bar": shapes_of_bar, "words": words}
    sizes = {"bar_height": _BAR_HEIGHT, "lane_height": LANE_HEIGHT, "share_height": _SHARE_HEIGHT, "width": WIDTH}
    environment.globals.update(**names, **sizes)
    return environment


def _shown(value: Any) -> Any:
    """Whatever a template shows: text without control characters."""
    return words.printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _style(environment: jinja2.Environment) -> str:
    return environment.get_template("report.css").render()


def _title(reports: Sequence[StepReport]) -> str:
    flows = sorted({report.flow for report in reports})
    return f"{flows[0]}: what each step should ask for" if len(flows) == 1 else "What each step should ask for"


def _period(courses: Iterable[Course]) -> str:
    """From when to when what is drawn began; empty where nothing is."""
    columns = [column for course in courses for column in course.columns]
    first = words.day(min((one.first_s for one in columns if one.first_s is not None), default=None))
    last = words.day(max((one.last_s for one in columns if one.last_s is not None), default=None))
    return "" if first == words.UNKNOWN else first if first == last else f"{first} to {last}"


def _figures(reports: Sequence[StepReport]) -> tuple[Figure, ...]:
    """What stands at the top."""
    ends: dict[str, int] = {}
    for report in reports:
        for outcome, count in report.outcomes:
            ends[outcome] = ends.get(outcome, 0) + count
    (saved, more), changed = words.savings(reports), sum(map(changes, reports))
    short = sum(1 for report in reports if changes(report) and raises(report))
    attempts, other = sum(ends.values()), ends.get("failed", 0) + ends.get("killed", 0) + ends.get("lost", 0)
    wasted = sum(report.wasted_gb_h or 0.0 for report in reports)
    notes = [f"and {' + '.join(more)} more to pay"] if saved and more else []
    notes += [words.without(reports)] if saved or more else []
    return (
        Figure(
            "Saving a month" if saved or not more else "Costs more a month",
            " + ".join(saved or more) or "not known yet",
            ", ".join(filter(None, notes)),
        ),
        Figure(
            "Steps to change",
            f"{changed:,} of {len(reports):,}",
            f"{short:,} {'asks' if short == 1 else 'ask'} for too little",
        ),
        Figure(
            "Ran out of memory",
            f"{ends.get('oom', 0):,}",
            f"of {words.plural(attempts, 'attempt')}; {other:,} failed otherwise",
        ),
        Figure("Memory held, not used", gb_hours(wasted), f"by {words.plural(sum(r.tasks for r in reports), 'task')}"),
    )


def _rows(reports: Sequence[StepReport]) -> list[Row]:
    most = max([report.costs.saving_per_month or 0.0 for report in reports], default=0.0)
    return [_row(report, rank, most) for rank, report in enumerate(reports, 1)]


def _row(report: StepReport, rank: int, most: float) -> Row:
    told = anchor(rank) if rank <= SECTIONS else ""
    return Row(report, rank, told, bars(report), _share(report, most), _trouble(report))


def _trouble(report: StepReport) -> str:
    ends = dict(report.outcomes)
    of = words.plural(sum(ends.values()), "attempt")
    return f"{ends['oom']:,} of {of} ran out of memory" if ends.get("oom") else ""


def _share(report: StepReport, most: float) -> tuple[Shape, ...]:
    saved = report.costs.saving_per_month or 0.0
    if saved <= 0 or most <= 0:
        return ()
    return (Shape("advised-area", f"M0 0h{max(2.0, saved / most * WIDTH):.1f}v{_SHARE_HEIGHT}H0z"),)
