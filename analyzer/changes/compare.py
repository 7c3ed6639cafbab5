"""Two reports, one after the other: what has changed.

What comes in: a report's records, what the attempts since the last one tell, and what the last one left. What goes out:
a frozen :class:`Comparison`, the one source of every format, and the snapshot for the next. Pure: the same input gives
the same changes in the same order. What was told lasts until it no longer holds, and is not told again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stepsize.analyzer.changes.conditions import Kind, conditions, is_worse, lasts, lowered, resolved
from stepsize.analyzer.changes.period import Period, StepKey, StepPeriod
from stepsize.analyzer.changes.savings import NOTHING, Saved, saved_by, saving_of
from stepsize.analyzer.changes.sentences import at, quantity
from stepsize.analyzer.changes.snapshot import Snapshot, StepState
from stepsize.analyzer.formats import words
from stepsize.analyzer.formats.ranking import changes as is_changed
from stepsize.sizes import gb_hours

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from stepsize.analyzer.changes.conditions import Condition, Standing
    from stepsize.analyzer.costs import Amounts, Quotes
    from stepsize.analyzer.report import StepReport

RAISED = 1.5
"""A step that asks for this many times as much, and for more than is enough, is told again."""
KEPT_S = 90 * 86_400.0
"""What was told of a step that no report has any more, for want of attempts in what it asks for, is known so long."""
_RANKS = {kind: rank for rank, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of one step: ``sentence`` says it with the figures to check it by.

    ``now`` and ``before`` are in ``unit`` (``By`` are bytes); ``what`` is the resource of a limit, the version of a
    growth, or what is over. Of two changes of a kind the one of larger ``weight`` matters more.
    """

    kind: Kind
    key: StepKey
    title: str
    sentence: str
    what: str = ""
    now: float | None = None
    before: float | None = None
    unit: str = ""
    weight: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What changed up to the report of ``day``, the worst first.

    ``against`` is the day of the last report, None where there is none to compare with; ``note`` says why, where there
    was one. ``saved`` is what lower requests saved in the period, ``saved_in_all`` since the first report; ``to_save``
    what a month would save by currency, as advised.
    """

    day: str
    against: str | None
    period: Period
    steps: int
    to_change: int
    changes: tuple[Change, ...]
    to_save: tuple[tuple[str, float], ...] = ()
    saved: Saved = NOTHING
    saved_in_all: Saved = NOTHING
    note: str = ""


def period_after(last: Snapshot | None, until_s: float, first_period_s: float) -> Period:
    """What counts as new in a report at ``until_s``: what ended since the ``last``, of the first one what ended in
    ``first_period_s`` before it.

    Where the clock said more at the last one than it does now, what ended after all that the last one counted.
    """
    if last is None:
        return Period(until_s - first_period_s, until_s)
    return Period(last.until_s if last.until_s <= until_s else min(last.newest_s, until_s), until_s)


def compare(
    reports: Sequence[StepReport],
    seen: Mapping[StepKey, StepPeriod],
    period: Period,
    last: Snapshot | None,
    quotes: Quotes,
    *,
    day: str,
    asked: str,
) -> tuple[Comparison, Snapshot]:
    """What the ``reports`` of ``day`` say that the ``last`` did not, and what they leave for the next.

    ``seen`` is of ``period``. Where the last report was made in another way than ``asked``, nothing is compared.
    """
    note = ""
    if last is not None and last.asked != asked:
        note = f"The report of {last.day} was made with other options, and is not compared."
        last = None
    changes: list[Change] = []
    states: dict[StepKey, StepState] = {}
    saved = NOTHING
    for report in reports:
        key = StepKey.of(report)
        before = None if last is None else last.steps.get(key)
        step = _Step(report, seen.get(key, StepPeriod()), period, before)
        states[key], saved_here = step.state(day, quotes)
        saved += saved_here
        changes += step.changes(states[key], saved_here)
    saved_in_all = saved if last is None else last.saved + saved
    newest_s = max([one.newest_s for one in seen.values() if one.newest_s is not None], default=period.from_s)
    if last is not None:
        newest_s = max(newest_s, last.newest_s)
        states |= _absent(last.steps, states, period.until_s)
    comparison = Comparison(
        day=day,
        against=None if last is None else last.day,
        period=period,
        steps=len(reports),
        to_change=sum(map(is_changed, reports)),
        changes=tuple(sorted(changes, key=_rank)),
        to_save=_to_save(reports),
        saved=saved,
        saved_in_all=saved_in_all,
        note=note,
    )
    return comparison, Snapshot(
        day=day,
        until_s=max(period.until_s, newest_s),  # which is later only where the clock was
        newest_s=newest_s,
        asked=asked,
        steps=states,
        saved=saved_in_all,
    )


def _absent(
    last: Mapping[StepKey, StepState], states: Mapping[StepKey, StepState], until_s: float
) -> dict[StepKey, StepState]:
    return {key: state for key, state in last.items() if key not in states and until_s - state.seen_s <= KEPT_S}


class _Step:
    """One step, as it is and as the last report had it."""

    def __init__(self, report: StepReport, seen: StepPeriod, period: Period, before: StepState | None) -> None:
        self._report = report
        self._seen = seen
        self._period = period
        self._before = before
        self._found = {one.standing: one for one in conditions(report, seen, period)}
        told = () if before is None else before.standing
        self._lasting = {one: one for one in told if one in self._found or lasts(one, report, seen)}
        self._over = tuple(one for one in told if one not in self._lasting)
        self._new = [one for standing, one in self._found.items() if self._is_news(standing)]

    def _is_news(self, standing: Standing) -> bool:
        told = self._lasting.get(standing)
        if told is None:
            return True
        return self._asks_for_much_more() if standing.kind is Kind.WASTE else is_worse(told, standing)

    def state(self, day: str, quotes: Quotes) -> tuple[StepState, Saved]:
        """What this report leaves of it, and what it saved in the period."""
        asks = self._report.requested
        told = {one.standing: one.standing for one in self._new}
        standing = (*(told.pop(one, one) for one in self._lasting), *told)
        saving = None
        if self._before is not None:
            saving = saving_of(self._before.saving, self._before.requested, asks, day)
        if saving is None:
            return StepState(requested=asks, standing=standing, seen_s=self._period.until_s), NOTHING
        platform = self._report.costs.platform
        saved = saved_by(saving, self._seen.held, self._report.used.vram_mb, quotes, platform)
        in_all = replace(saving, saved=saving.saved + saved)
        return StepState(requested=asks, standing=standing, saving=in_all, seen_s=self._period.until_s), saved

    def changes(self, state: StepState, saved: Saved) -> Iterable[Change]:
        yield from map(self._told, self._new)
        if state.saving is not None and self._before is not None and self._before.saving is None:
            yield self._lowered(self._before.requested, saved)
        for standing in self._over:
            if sentence := resolved(standing, self._seen, self._period):
                yield self._change(Kind.RESOLVED, sentence, what=standing.what or standing.kind.value)

    def _told(self, condition: Condition) -> Change:
        return self._change(
            condition.standing.kind,
            condition.sentence,
            what=condition.what,
            now=condition.now,
            before=condition.before,
            unit=condition.unit,
            weight=condition.weight,
        )

    def _asks_for_much_more(self) -> bool:
        assert self._before is not None  # else nothing lasts
        earlier = self._before.requested
        for name, asked, _ in lowered(self._report, 1.0):
            was: float | None = getattr(earlier, name)
            if was is not None and asked >= RAISED * was:
                return True
        return False

    def _lowered(self, earlier: Amounts, saved: Saved) -> Change:
        asks = self._report.requested
        pairs = ((name, getattr(earlier, name), getattr(asks, name)) for name in ("memory_mb", "cpu", "gpu"))
        less = [(name, was, now) for name, was, now in pairs if was is not None and now is not None and now < was]
        parts = ", ".join(f"{quantity(name, now)} rather than {words.amount(was)}" for name, was, now in less)
        name, was, now = less[0]
        return self._change(
            Kind.SAVED,
            f"It asks for {parts}. {_less(saved, self._period)}",
            now=now,
            before=was,
            unit="MB" if name.endswith("_mb") else name,
            weight=saved.gb_h,
        )

    def _change(
        self,
        kind: Kind,
        sentence: str,
        *,
        what: str = "",
        now: float | None = None,
        before: float | None = None,
        unit: str = "",
        weight: float = 0.0,
    ) -> Change:
        return Change(
            kind=kind,
            key=StepKey.of(self._report),
            title=self._report.title,
            sentence=sentence,
            what=what,
            now=now,
            before=before,
            unit=unit,
            weight=weight,
        )


def _less(saved: Saved, period: Period) -> str:
    money = "".join(f" and {words.money(value, currency)}" for currency, value in saved.money)
    return f"That was {gb_hours(saved.gb_h)}{money} less since {at(period.from_s)}."


def _to_save(reports: Iterable[StepReport]) -> tuple[tuple[str, float], ...]:
    whole = Saved()
    for report in reports:
        costs = report.costs
        if costs.saving_per_month is not None and costs.currency is not None:
            whole += Saved(0.0, ((costs.currency, costs.saving_per_month),))
    return whole.money


def _rank(change: Change) -> tuple[int, bool, float, StepKey | tuple[str, ...]]:
    key = change.key
    return (
        _RANKS[change.kind],
        not key.production,
        -change.weight,
        (key.project or "", key.flow, key.step, change.what),
    )
