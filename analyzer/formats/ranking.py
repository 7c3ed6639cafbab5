"""What to change first: steps that ask for too little, then those that save most, then those to leave alone. Pure.

Asking for too little ends a run; asking for too much only costs, and so do cores that are too few: what waits for
them ends all the same. What is kept comes last, whatever it wastes: there is nothing to do about it yet. Savings count
by how sure they are: in full where the confidence is high, half of them where it is medium, a quarter below. What saves
money a month comes before what saves it a run (no pace of runs is known), and that before what saves memory (no price
is).
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from stepsize.analyzer.costs import Amounts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepsize.analyzer.report import StepReport

_NAMES = tuple(field.name for field in fields(Amounts))
_SURE = {"high": 1.0, "medium": 0.5}
_UNSURE = 0.25


def ranked(reports: Iterable[StepReport]) -> list[StepReport]:
    """``reports``, what to change first at the front; equals stay in their order."""
    return sorted(reports, key=_rank)


def changes(report: StepReport) -> bool:
    """Whether the report asks for anything else than the step does; a timeout where there is none is no urgent one."""
    timeout = report.timeout
    other_timeout = timeout.requested_s is not None and timeout.recommended_s not in (None, timeout.requested_s)
    return other_timeout or any(_differs(report, name) for name in _NAMES)


def raises(report: StepReport) -> bool:
    """Whether the step asks for too little of anything."""
    return any(_raised(report, name) for name in _NAMES)


def _ends_runs(report: StepReport) -> bool:
    return any(_raised(report, name) for name in _NAMES if name != "cpu")


def _raised(report: StepReport, name: str) -> bool:
    requested = getattr(report.requested, name)
    return requested is not None and _differs(report, name) and getattr(report.recommended, name) > requested


def _differs(report: StepReport, name: str) -> bool:
    advised = getattr(report.recommended, name)
    return advised is not None and advised != getattr(report.requested, name)


def _rank(report: StepReport) -> tuple[bool, bool, float, float, float]:
    costs = report.costs
    a_run = costs.now - costs.recommended if costs.now is not None and costs.recommended is not None else 0.0
    sure = _SURE.get(report.confidence, _UNSURE)
    saved = (costs.saving_per_month or 0.0, a_run, report.wasted_gb_h or 0.0)
    a_month, a_run, waste = (-(amount * sure if amount > 0 else amount) for amount in saved)
    return (not changes(report), not _ends_runs(report), a_month, a_run, waste)
