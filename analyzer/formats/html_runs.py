"""The newest run of each flow as a timeline: when each of its steps ran, and how many of its attempts at once.

What comes in: reports and courses. What goes out: frozen :class:`Timeline` values whose size grows with the number of
steps alone. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.analyzer.formats import html_charts as charts
from stepsize.analyzer.formats import words
from stepsize.analyzer.formats.html_charts import Shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from stepsize.analyzer.course import Course, Newest, StepKey

LANE_HEIGHT = 22
MOST = 20
"""Timelines on a page, at most."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One step in a run."""

    step: str
    shapes: tuple[Shape, ...]
    began: str
    took: str
    attempts: str
    at_once: str
    ends: str
    bad: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    """One run: of what, what it was, its steps in the order in which they began."""

    title: str
    said: str
    lanes: tuple[Lane, ...]


def timelines(steps: Iterable[StepKey], courses: Mapping[StepKey, Course]) -> tuple[Timeline, ...]:
    """The newest run of each flow of ``steps``, in their order; none of a flow of which no start is known."""
    flows: dict[tuple[str | None, bool, str], list[tuple[str, Newest]]] = {}
    for step in steps:
        if step in courses and courses[step].newest.began_s is not None:
            flows.setdefault(step[:3], []).append((step.step, courses[step].newest))
    return tuple(_timeline(_title(*flow), found) for flow, found in flows.items())


def _title(project: str | None, production: bool, flow: str) -> str:
    history = [*([project] if project else []), *(["production"] if production else [])]
    return flow + (f" ({', '.join(history)})" if history else "")


def _timeline(title: str, steps: Sequence[tuple[str, Newest]]) -> Timeline:
    _, last = max(steps, key=lambda step: (step[1].began_s or 0.0, step[1].run, step[1].owner))
    part = [(name, one) for name, one in steps if (one.run, one.owner) == (last.run, last.owner)]
    part.sort(key=lambda step: (step[1].began_s or 0.0, step[0]))
    began_s = min(one.began_s or 0.0 for _, one in part)
    ended_s = max(one.ended_s or 0.0 for _, one in part)
    said = f"Run {last.run} began {words.minute(began_s)}"
    said += f" and took {words.took(ended_s - began_s)}" if any(map(_lasted, (one for _, one in part))) else ""
    if any(one.running for _, one in part):
        said = f"Run {last.run} began {words.minute(began_s)} and still runs"
    away = len(steps) - len(part)
    if away:
        said += f"; {words.plural(away, 'step')} of the flow {'was' if away == 1 else 'were'} last seen in another run"
    return Timeline(title, f"{said}.", tuple(_lane(name, one, began_s, ended_s) for name, one in part))


def _lasted(one: Newest) -> bool:
    """Whether it is known for how long any of its attempts ran."""
    return one.duration_s is not None or one.ended_s != one.began_s


def _lane(name: str, one: Newest, began_s: float, ended_s: float) -> Lane:
    span_s = ended_s - began_s

    def place(time_s: float | None) -> float:
        return 0.0 if not span_s or time_s is None else (time_s - began_s) / span_s

    ended = 1.0 if not span_s else place(one.ended_s)
    shapes = [Shape("solid", charts.lane(one.at_once, place(one.began_s), ended, LANE_HEIGHT))]
    if one.bad_s:
        shapes.append(Shape("failure", charts.ticks(map(place, one.bad_s), LANE_HEIGHT)))
    ends = [f"{count:,} {outcome}" for outcome, count in one.ends]
    ends += [f"{one.running:,} running"] if one.running else []
    return Lane(
        step=name,
        shapes=tuple(shapes),
        began=f"+{words.took((one.began_s or began_s) - began_s)}",
        took=words.took((one.ended_s or began_s) - (one.began_s or began_s) if _lasted(one) else None),
        attempts=f"{one.attempts:,}",
        at_once=f"{max(one.at_once, default=0):,}",
        ends=", ".join(ends),
        bad=bool(one.bad_s),
    )
