"""What stands out of a step: it runs out of memory, fails, comes near what holds it, has grown, asks for too much.

What comes in: its report and its :class:`StepPeriod`. What goes out: frozen :class:`Condition` values, each with a
sentence. Pure. A condition begins at one threshold and lasts until another: what wavers around one is told once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from stepsize.analyzer.changes.chance import chance_of_more
from stepsize.analyzer.changes.period import STILL_NEAR
from stepsize.analyzer.changes.ranks import LEAST_GROWTH
from stepsize.analyzer.changes.sentences import at, mb, of_all, quantity, seconds
from stepsize.analyzer.formats import words
from stepsize.sizes import GIB, gb_hours

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepsize.analyzer.changes.period import Nearest, Period, StepPeriod, Tally
    from stepsize.analyzer.report import StepReport

NEAR = 0.9
"""The share of what holds an attempt from which on it is near; down to `STILL_NEAR` it stays so."""
MOST_CALM = 0.001
"""A step stays near what holds it until as many attempts as came after the last near one would be all without in one of
a thousand, at the rate at which attempts were near until then: what wavers is not told to be over each time."""
WORSE = 2.0
"""What fails, or runs out of memory, is told again where it is more than before by more than chance and this many times
the share that was told."""
MOST_CHANCE = 0.01
"""A step that failed before fails anew where as many failures would come by chance in one of a hundred reports."""
LEAST_LOWERED = 0.9
"""A request is too large where less than this share of it is enough."""
WORTH_A_MONTH = 1.0
"""Money a month from which on waste is worth a word; where no month is known, `WORTH_A_RUN` or `WORTH_GB_H`."""
WORTH_A_RUN = 0.1
WORTH_GB_H = 1.0
_SECONDS_PER_HOUR = 3600
_HELD_BY = {"memory": "memory", "disk": "disk", "duration": "timeout"}


class Kind(Enum):
    """What a change is of, the worst first."""

    OOM = "oom"
    FAILING = "failing"
    LIMIT = "limit"
    GROWTH = "growth"
    WASTE = "waste"
    SAVED = "saved"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Standing:
    """What was told of a step and lasts; ``what`` is the resource of a limit, else empty.

    ``level`` is the figure that was told: the share of attempts that ran out of memory or failed, the typical bytes of
    a version that has grown. It is no part of what it is.
    """

    kind: Kind
    what: str = ""
    level: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Condition:
    """What stands out now: ``now`` and ``before`` in ``unit``, None where nothing is to compare with; of two of a kind
    the larger ``weight`` matters more."""

    standing: Standing
    sentence: str
    now: float
    before: float | None
    unit: str
    weight: float
    what: str = ""


def conditions(report: StepReport, seen: StepPeriod, period: Period) -> Iterator[Condition]:
    """What stands out of a step, whether or not it did before."""
    since = at(period.from_s)
    if _is_more(seen.recent.oom, seen.before.oom, seen.recent, seen.before):
        sentence = f"{of_all(seen.recent.oom, seen.recent.attempts, 'attempt')} since {since} ran out of memory; "
        yield _counted(Kind.OOM, sentence, seen.recent.oom, seen.before.oom, seen)
    if _is_more(seen.recent.failed, seen.before.failed, seen.recent, seen.before):
        kinds = ", ".join(f"{count} {outcome}" for outcome, count in seen.kinds)
        counted = of_all(seen.recent.failed, seen.recent.attempts, "attempt")
        sentence = f"{counted} since {since} did not end well ({kinds}); "
        yield _counted(Kind.FAILING, sentence, seen.recent.failed, seen.before.failed, seen)
    for what, nearest in seen.nearest:
        if _is_near(report, what, nearest):
            yield _limit(what, nearest, since)
    if seen.growth is not None:
        yield _growth(seen)
    if _is_wasteful(report, seen):
        yield _waste(report, seen, since)


def lasts(standing: Standing, report: StepReport, seen: StepPeriod) -> bool:
    """Whether what was told before still holds, or nothing has been seen that says otherwise."""
    if standing.kind is Kind.OOM:
        return not seen.recent.attempts or seen.recent.oom > 0
    if standing.kind is Kind.FAILING:
        return not seen.recent.attempts or seen.recent.failed > 0
    if standing.kind is Kind.LIMIT:
        nearest = dict(seen.nearest).get(standing.what)
        return nearest is None or nearest.used >= STILL_NEAR * nearest.bound or not _is_calm(nearest)
    if standing.kind is Kind.GROWTH:
        if seen.version_bytes is None or standing.level is None:
            return True
        return seen.version_bytes * LEAST_GROWTH >= standing.level
    return standing.kind is Kind.WASTE and bool(lowered(report, 1.0))


def is_worse(told: Standing, now: Standing) -> bool:
    """Whether what stands out ``now`` is news to who was ``told`` of it."""
    if told.level is None or now.level is None:
        return False
    if now.kind is Kind.GROWTH:
        return now.level >= LEAST_GROWTH * told.level
    return now.kind in (Kind.OOM, Kind.FAILING) and now.level >= WORSE * told.level


def resolved(standing: Standing, seen: StepPeriod, period: Period) -> str:
    """The sentence for what no longer lasts, empty where it needs none."""
    count, since = words.plural(seen.recent.attempts, "attempt"), at(period.from_s)
    if standing.kind is Kind.OOM:
        return f"None of {count} since {since} ran out of memory any more."
    if standing.kind is Kind.FAILING:
        return f"None of {count} since {since} failed, was killed or lost any more."
    nearest = dict(seen.nearest).get(standing.what)
    if standing.kind is Kind.LIMIT and nearest is not None:
        used, bound = _amounts(standing.what, nearest)
        return f"Its {_HELD_BY[standing.what]} is far enough again: {used} of {bound} at most since {since}."
    return ""


def lowered(report: StepReport, share: float) -> list[tuple[str, float, float]]:
    """What the step could ask for less of: field of `Amounts`, request and advice below ``share`` of it."""
    found = []
    for name in ("memory_mb", "cpu", "gpu", "disk_mb"):
        asked, advised = getattr(report.requested, name), getattr(report.recommended, name)
        if asked is not None and advised is not None and advised < asked * share:
            found.append((name, asked, advised))
    return found


def _is_more(count: int, count_before: int, recent: Tally, before: Tally) -> bool:
    if not count or not count_before:
        return count > 0
    return chance_of_more(count, recent.attempts, count_before, before.attempts) <= MOST_CHANCE


def _counted(kind: Kind, sentence: str, count: int, count_before: int, seen: StepPeriod) -> Condition:
    earlier = seen.before.attempts
    told = f"{count_before or 'none'} of the {earlier:,} before." if earlier else "there was none before."
    share = count / seen.recent.attempts
    return Condition(Standing(kind, level=share), sentence + told, count, count_before, "attempts", share)


def _is_near(report: StepReport, what: str, nearest: Nearest) -> bool:
    """Near, and nearer than before or than advised: what was lowered to what is advised has not come nearer."""
    if nearest.used < NEAR * nearest.bound:
        return False
    advised, asked = report.recommended.memory_mb, report.requested.memory_mb
    is_raised = what == "memory" and advised is not None and asked is not None and advised > asked
    return is_raised or nearest.used > max(nearest.before or 0.0, 0.0) or nearest.used >= nearest.bound


def _is_calm(nearest: Nearest) -> bool:
    """Whether it is far by more than chance, or nothing was near yet under what is asked for now."""
    rate = (nearest.near + 0.5) / (nearest.until_near + 1)
    return not nearest.near or (1 - rate) ** nearest.calm <= MOST_CALM


def _limit(what: str, nearest: Nearest, since: str) -> Condition:
    used, bound = _amounts(what, nearest)
    took = "took" if what == "duration" else "held"
    compared = "more than" if nearest.used > nearest.bound else f"{nearest.used / nearest.bound:.0%} of"
    sentence = f"Task {nearest.run}/{nearest.task} {took} {used}, {compared} the {bound} of its {_HELD_BY[what]}" + (
        "." if nearest.before is None else f"; before {since} {_amount(what, nearest.before)} was the most."
    )
    unit = "s" if what == "duration" else "By"
    share = nearest.used / nearest.bound
    return Condition(Standing(Kind.LIMIT, what), sentence, nearest.used, nearest.before, unit, share, what)


def _amounts(what: str, nearest: Nearest) -> tuple[str, str]:
    return _amount(what, nearest.used), _amount(what, nearest.bound)


def _amount(what: str, value: float) -> str:
    return seconds(value) if what == "duration" else mb(value)


def _growth(seen: StepPeriod) -> Condition:
    grown = seen.growth
    assert grown is not None
    sentence = (
        f"A typical task of version {grown.version} holds {mb(grown.peak_bytes)} "
        f"({words.plural(grown.tasks, 'task')}), {grown.peak_bytes / grown.peak_before_bytes:.2f} times the "
        f"{mb(grown.peak_before_bytes)} of {words.plural(grown.versions_before, 'version')} before it "
        f"({words.plural(grown.tasks_before, 'task')})."
    )
    share = grown.peak_bytes / grown.peak_before_bytes
    standing = Standing(Kind.GROWTH, level=grown.peak_bytes)
    return Condition(standing, sentence, grown.peak_bytes, grown.peak_before_bytes, "By", share, grown.version)


def _is_wasteful(report: StepReport, seen: StepPeriod) -> bool:
    if not lowered(report, LEAST_LOWERED):
        return False
    costs = report.costs
    if costs.saving_per_month is not None:
        return costs.saving_per_month >= WORTH_A_MONTH
    if costs.now is not None and costs.recommended is not None and costs.now - costs.recommended >= WORTH_A_RUN:
        return True
    return _wasted_gb_h(seen) >= WORTH_GB_H


def _waste(report: StepReport, seen: StepPeriod, since: str) -> Condition:
    less = lowered(report, LEAST_LOWERED)
    asks = ", ".join(quantity(name, value) for name, value, _ in less)
    enough = ", ".join(quantity(name, value) for name, _, value in less)
    sentence = f"It asks for {asks}; {enough} would do."
    if (saving := words.saving(report.costs)) != words.UNKNOWN:
        sentence += f" Saving: {saving}."
    if wasted := _wasted_gb_h(seen):
        sentence += f" {gb_hours(wasted)} of memory were held and not used since {since}."
    month, costs = report.costs.saving_per_month, report.costs
    a_run = costs.now - costs.recommended if costs.now is not None and costs.recommended is not None else 0.0
    name, now, _ = less[0]
    unit = "MB" if name.endswith("_mb") else name
    return Condition(Standing(Kind.WASTE), sentence, now, None, unit, month if month is not None else a_run)


def _wasted_gb_h(seen: StepPeriod) -> float:
    wasted = seen.wasted_byte_s
    return 0.0 if wasted is None or not math.isfinite(wasted) else wasted / GIB / _SECONDS_PER_HOUR
