"""Numbers as words, the same in every format that people read. Pure.

What is not known is a dash, never a zero.
"""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.presets import PRESETS
from stepsize.analyzer.sizing.timeout import decorator
from stepsize.sizes import gb_hours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from stepsize.analyzer.costs import Amounts, Costs
    from stepsize.analyzer.report import StepReport

UNKNOWN = "\N{EN DASH}"
_COVERED = "Metaflow gives a retry no more memory: what is asked for covers the largest task that counts."
LEAST_MONEY = 0.0001
"""Less than this is not shown as a number: a step of some milliseconds."""

RESOURCES: tuple[tuple[str, str], ...] = (
    ("memory_mb", "memory MB"),
    ("cpu", "cpu"),
    ("gpu", "gpu"),
    ("vram_mb", "vram MB"),
    ("disk_mb", "disk MB"),
)
"""Fields of ``Amounts`` and what people call them, in the order in which they matter."""


def amount(value: float | None) -> str:
    """Up to two decimals below ten, one below a hundred, whole above: ``0.5``, ``1.02``, ``12.5``, ``8,000``."""
    if value is None:
        return UNKNOWN
    if value == int(value) or value >= 100:
        return f"{value:,.0f}"
    if 0 < value < 0.0005:
        return "under 0.001"
    digits = 1 if value >= 10 else 2 if value >= 0.01 else 3
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")


def money(value: float | None, currency: str | None) -> str:
    """Two decimals, or as many as show two digits of a small amount: ``12.30 USD``, ``0.0012 USD``."""
    if value is None:
        return UNKNOWN
    if value == 0 or abs(value) >= 0.1:
        return f"{value:,.2f} {currency}"
    if abs(value) < LEAST_MONEY:
        return f"under 0.0001 {currency}" if value > 0 else f"about 0 {currency}"
    return f"{float(f'{value:.2g}'):.6f}".rstrip("0") + f" {currency}"


def of_a_run(costs: Costs) -> tuple[str, str]:
    """What a run costs now and as advised: with as many digits as it takes to tell them apart, up to six."""
    now, then = money(costs.now, costs.currency), money(costs.recommended, costs.currency)
    if costs.now is None or costs.recommended is None or now != then or _negligible(costs):
        return now, then
    first = 2 - math.floor(math.log10(max(costs.now, costs.recommended)))  # decimals that show three digits
    for decimals in range(max(2, first), first + 4):
        apart = [f"{value:,.{decimals}f} {costs.currency}" for value in (costs.now, costs.recommended)]
        if apart[0] != apart[1]:
            return apart[0], apart[1]
    return now, then


def took(seconds: float | None) -> str:
    """A stretch of time in its two largest units: ``0.42 s``, ``12 s``, ``3 min 5 s``, ``2 h 4 min``, ``3 days``."""
    if seconds is None:
        return UNKNOWN
    if 0 < seconds < 0.0005:
        return "under 0.001 s"
    if round(seconds) < 60:
        return f"{float(f'{seconds:.2g}'):.3f}".rstrip("0").rstrip(".") + " s" if seconds < 10 else f"{seconds:.0f} s"
    units = ((86_400, "days"), (3600, "h"), (60, "min"), (1, "s"))
    whole = round(seconds)
    large = next(index for index, (unit_s, _) in enumerate(units) if whole >= unit_s * (2 if unit_s == 86_400 else 1))
    (large_s, large_name), (small_s, small_name) = units[large : large + 2]
    count, rest = divmod(whole, large_s)
    rest //= small_s
    return f"{count:,} {large_name} {rest} {small_name}" if rest else f"{count:,} {large_name}"


def day(time_s: float | None) -> str:
    """The day (UTC) of an instant in seconds since 1970."""
    return _instant(time_s).partition(" ")[0]


def minute(time_s: float | None) -> str:
    """The minute (UTC) of an instant in seconds since 1970."""
    return _instant(time_s)


def _instant(time_s: float | None) -> str:
    """A dash where it is not known, or beyond the calendar: clocks can be wrong."""
    try:
        instant = None if time_s is None else datetime.fromtimestamp(time_s, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return UNKNOWN
    # Years before 1000 have four digits too, which `strftime` leaves to the platform.
    return UNKNOWN if instant is None else f"{instant.date().isoformat()} {instant:%H:%M} UTC"


def plural(count: int, noun: str) -> str:
    """``1 task``, ``1,200 tasks``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def seen(report: StepReport) -> str:
    """How much evidence there is: ``12 tasks in 3 runs``."""
    return f"{plural(report.tasks, 'task')} in {plural(report.runs, 'run')}"


def failures(report: StepReport) -> str:
    """The failures to expect with their interval, or that they are not known."""
    expected, spread = report.failures_expected_per_1000, report.failures_range_per_1000
    if expected is None:
        return "not known"
    likely = "" if spread is None else f" ({_rate(spread[0])} to {_rate(spread[1])})"
    return f"{_rate(expected)} in 1,000{likely}"


def risk(report: StepReport) -> str:
    """The failures to expect, as a phrase."""
    return f"{failures(report)} tasks expected to run out of memory"


def bill(report: StepReport) -> list[tuple[str, str]]:
    """Label and text of what is wasted, what a run costs and what that stands on, as far as it is known."""
    costs, lines = report.costs, []
    if report.wasted_gb_h is not None:
        lines.append(("waste", f"{gb_hours(report.wasted_gb_h)} of memory held and not used over the tasks seen"))
    if costs.now is not None:
        lines.append(("a run", _a_run(costs)))
    if costs.reasons:
        lines.append(("cost", " ".join(cost_reason(reason) for reason in costs.reasons)))
    return lines


def _a_run(costs: Costs) -> str:
    """What a run costs, now and as recommended, and what that is a month, where it is a cent."""
    now, then = of_a_run(costs)
    change = f"{now}, now and as advised" if now == then else f"{now} → {then}"
    month = round(costs.saving_per_month or 0.0, 2)
    if not month:
        return change
    amount_a_month = f"{abs(month):,.2f} {costs.currency}"
    return f"{change}; " + (f"saves {amount_a_month} a month" if month > 0 else f"costs {amount_a_month} more a month")


def prices(reports: Iterable[StepReport]) -> str:
    """What the prices are and from when; empty where there are none."""
    servers = [offer for report in reports for offer in report.costs.servers]
    days = sorted({offer.price_observed_at for offer in servers})
    if not days:
        return ""
    spot = {offer.allocation for offer in servers} - {"ondemand"}
    terms = "on demand (at spot prices where none fits)" if spot else "on demand"
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return (
        f"Servers are {terms}, x86_64, without burstable cores, each attempt alone on one; prices are list prices of "
        f"{when}, without discounts."
    )


def covered(reports: Iterable[StepReport]) -> str:
    """Why no size is so small that it loses a task now and then; empty where a policy has other rules."""
    return _COVERED if any(report.policy in PRESETS for report in reports) else ""


def _rate(per_1000: float) -> str:
    return amount(round(per_1000, 1 if per_1000 < 10 else None))


def timeout(report: StepReport) -> list[str]:
    """What to write into the flow for its timeout, where anything, and why; sentences."""
    advised = report.timeout.recommended_s
    if advised is None:
        return list(report.timeout.reasons) if report.timeout.requested_s is not None else []
    return [f"{decorator(round(advised))}.", *report.timeout.reasons]


def why(report: StepReport) -> list[tuple[str, list[str]]]:
    """What is said of each resource, of the timeout and of the step as a whole, by what people call it."""
    said = {one.resource: list(one.reasons) for one in report.why}
    named = [(label, said[name]) for name, label in RESOURCES if name in said]
    named += [("timeout", timeout(report)), ("step", list(report.reasons))]
    return [(label.partition(" ")[0], reasons) for label, reasons in named if reasons]


def saving(costs: Costs) -> str:
    """The money saved, a month where the pace of runs is known, else a run."""
    if costs.saving_per_month is not None:
        # Whole cents: the pace of runs is known no better; the sum avoids a negative zero.
        return f"{round(costs.saving_per_month, 2) + 0.0:,.2f} {costs.currency} a month"
    if costs.now is None or costs.recommended is None:
        return UNKNOWN
    if costs.now == costs.recommended:
        return "none"
    if _negligible(costs):
        return "negligible"
    return f"{money(costs.now - costs.recommended, costs.currency)} a run"


def saving_short(costs: Costs) -> str:
    """As `saving`, for a narrow column: ``1,204 USD/mo``, ``33% a run``."""
    if costs.saving_per_month is not None:
        value = round(costs.saving_per_month, 2) + 0.0
        return f"{value:,.0f} {costs.currency}/mo" if abs(value) >= 100 else f"{value:.2f} {costs.currency}/mo"
    if costs.now and costs.recommended is not None and costs.now != costs.recommended and not _negligible(costs):
        return f"{1 - costs.recommended / costs.now:.0%} a run"
    return saving(costs)


def savings(reports: Iterable[StepReport]) -> tuple[list[str], list[str]]:
    """What is known of a month, added up in each currency: what is saved, and what is to be paid beyond today's."""
    sums: dict[str, float] = {}
    for report in reports:
        costs = report.costs
        if costs.saving_per_month is not None and costs.currency is not None:
            sums[costs.currency] = sums.get(costs.currency, 0.0) + costs.saving_per_month
    in_cents = [(currency, round(value, 2)) for currency, value in sorted(sums.items())]
    more = [money(-value, currency) for currency, value in in_cents if value < 0]
    return [money(value, currency) for currency, value in in_cents if value >= 0], more


def in_all(reports: Sequence[StepReport], shown: Callable[[str], str] = str) -> str:
    """The same as a phrase: ``saves 3.00 USD a month and costs 1.00 EUR more``; empty where nothing is known.

    It says of how many steps nothing is known; ``shown`` is what is made of each sum.
    """
    saved, more = (shown(" + ".join(sums)) if sums else "" for sums in savings(reports))
    if not saved and not more:
        return ""
    said = (
        f"saves {saved} a month" + (f" and costs {more} more" if more else "")
        if saved
        else f"costs {more} more a month"
    )
    return f"{said} ({unpriced})" if (unpriced := without(reports)) else said


def without(reports: Iterable[StepReport]) -> str:
    """How many steps a sum of savings leaves out; empty where none."""
    count = sum(1 for report in reports if report.costs.saving_per_month is None)
    return f"without {plural(count, 'step')}" if count else ""


def _negligible(costs: Costs) -> bool:
    """Whether a run costs so little that a share of it says nothing."""
    return max(costs.now or 0.0, costs.recommended or 0.0) < LEAST_MONEY


def cost_reason(reason: str) -> str:
    """A reason of the costs as it reads under the heading "cost"."""
    text = reason.removeprefix("Cost: ")
    return text[:1].upper() + text[1:]


def relevant(report: StepReport) -> list[tuple[str, str]]:
    """The resources worth showing: memory and cpu always, the others where anything is asked, used or advised."""
    parts: tuple[Amounts, ...] = (report.requested, report.used, report.recommended)
    return [
        (name, label)
        for name, label in RESOURCES
        if name in ("memory_mb", "cpu") or any(getattr(part, name) for part in parts)
    ]


def printable(text: str) -> str:
    """``text`` with control characters made visible, so that a name cannot steer a terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
