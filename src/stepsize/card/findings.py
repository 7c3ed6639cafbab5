"""What the lake and the catalogue say of an attempt's step: its history, what to ask for, what that costs.

What comes in: the attempt so far. What goes out: frozen `Findings`; what cannot be had is a sentence that says why.
Reads the lake and the catalogue that ships with stepsize, no network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepsize.analyzer.catalog import place
from stepsize.analyzer.costs import Amounts, Quotes
from stepsize.analyzer.formats import words
from stepsize.analyzer.matching import Catalog
from stepsize.analyzer.report import report_step
from stepsize.analyzer.sizing.autosized import AsLaunched
from stepsize.api.advice import known
from stepsize.card.history import of_step
from stepsize.errors import StepsizeError

if TYPE_CHECKING:
    from stepsize.analyzer.matching import Offer
    from stepsize.analyzer.report import StepReport
    from stepsize.api.advice import Known
    from stepsize.card.history import History
    from stepsize.card.watching import Watched


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found.

    Attributes:
        history: of the step; ``None`` where there is none.
        history_said: how much of it there is, or why there is none.
        line: the decorator to paste; ``None`` where there is nothing to say.
        recommended: the amounts in it.
        confidence: how sure.
        reasons: why, a sentence each.
        money: label and text.
        servers: the cheapest that fit, cheapest first: name, size, price.
        money_reasons: on what the money stands, a sentence each.
    """

    history: History | None
    history_said: str
    line: str | None = None
    recommended: Amounts = field(default_factory=Amounts)
    confidence: str = "none"
    reasons: tuple[str, ...] = ()
    money: tuple[tuple[str, str], ...] = ()
    servers: tuple[tuple[str, str, str], ...] = ()
    money_reasons: tuple[str, ...] = ()


NONE = Findings(None, "Not looked up yet.")


def findings(watched: Watched) -> Findings:
    """What is known now; the attempt itself counts, as if it had ended well where it still runs."""
    unread = None
    try:
        seen = known(watched, history=True)
        history = of_step(watched.settings, watched.identity, production=seen.step.production)
    except StepsizeError as error:
        seen, history, unread = known(watched, history=False), None, f"The lake cannot be read: {error}."
    try:
        report = _report(seen)
    except StepsizeError as error:
        return Findings(history, unread or _said(history), reasons=(f"No advice: {error}.",))
    so_far = ("It still runs: this is what it has used so far.",) if watched.running else ()
    return Findings(
        history=history,
        history_said=unread or _said(history),
        line=line(report.recommended),
        recommended=report.recommended,
        confidence=report.confidence,
        reasons=(*so_far, *report.all_reasons),
        money=tuple(_money(report)),
        servers=tuple(_server(offer) for offer in report.costs.servers),
        money_reasons=tuple(words.cost_reason(reason) for reason in report.costs.reasons),
    )


def line(amounts: Amounts) -> str | None:
    """``@resources(cpu=2, memory=1800)``, memory and disk in MB; ``None`` where nothing is known."""
    pairs = (("cpu", amounts.cpu), ("memory", amounts.memory_mb), ("gpu", amounts.gpu), ("disk", amounts.disk_mb))
    said = [f"{name}={math.ceil(value)}" for name, value in pairs if value]
    return f"@resources({', '.join(said)})" if said else None


def _report(seen: Known) -> StepReport:
    with Catalog.open(place.directory()) as catalog:
        return report_step(seen.step, AsLaunched(), Quotes(catalog), seen.lessons)


def _said(history: History | None) -> str:
    if history is None:
        return "There is no lake here: no history."
    if not history.attempts:
        return "No attempt of this step has ended before: no history."
    return f"History: {words.plural(history.attempts, 'attempt')} in {words.plural(history.runs, 'run')} before this."


def _money(report: StepReport) -> list[tuple[str, str]]:
    costs = report.costs
    return [
        ("A run costs now", words.money(costs.now, costs.currency)),
        ("With this request", words.money(costs.recommended, costs.currency)),
        ("Saving", words.saving(costs)),
    ]


def _server(offer: Offer) -> tuple[str, str, str]:
    name = f"{offer.vendor_id} {offer.server_id} in {offer.region}"
    size = f"{words.amount(offer.vcpus)} vCPU, {words.amount(offer.memory_mib)} MiB"
    if offer.gpu_count:
        size += f", {words.amount(offer.gpu_count)} of {offer.gpu_model or 'GPU'}"
    price = f"{words.money(offer.price_hourly, offer.currency)} an hour, {offer.price_observed_at}"
    return name, size, price
