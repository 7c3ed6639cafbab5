"""What a step costs a run, now and as recommended, and what that saves in a month.

What comes in: evidence, the amounts asked for, and a catalogue. What goes out: frozen :class:`Costs` whose reasons say
from what, or why a figure is missing. Never invents a price, a duration or a rate of runs.

Each attempt is charged for its duration (longer where it used more cores than it would have, see
``sizing.cpu.stretch``), alone on the cheapest on-demand server that fits; where none does, as in a fleet of spot
servers alone, on the cheapest at spot prices, and the reasons say so. Servers with burstable cores are left out: they
sustain a fraction of a core once their credits are spent, so that a task on one takes longer than the durations
measured. So are other architectures than x86_64, since a container image or a wheel built for one does not run on the
other. Disk is not matched: clouds attach it apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from stepsize.analyzer.matching import Need
from stepsize.analyzer.matching.need import DEFAULT_PLATFORM
from stepsize.analyzer.matching.tiers import could_leave
from stepsize.analyzer.sizing.cpu import stretch
from stepsize.model import BYTES_PER_MB, Outcome
from stepsize.sizes import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.matching import Offer
    from stepsize.analyzer.matching.tiers import Ran
    from stepsize.analyzer.usage import StepEvidence

SERVERS_SHOWN = 3
ARCHITECTURE = "x86_64"
DAYS_PER_MONTH = 365.25 / 12
LEAST_DAYS_FOR_A_RATE = 0.5
"""Runs within less than half a day say how long somebody tried things out, not how often a month runs them."""
WORTH_SAYING = 1.1
"""From a tenth longer on, the report says that the request would have slowed the step down."""
LEAST_FAILURE = 0.001
"""What a failure costs is said from a tenth of a cent on."""
_SECONDS_PER_HOUR = 3600
_SECONDS_PER_DAY = 86_400


class PriceList(Protocol):
    """What the report needs of a catalogue (:class:`stepsize.analyzer.matching.Catalog`)."""

    def cheapest(self, need: Need, limit: int = 5) -> Sequence[Offer]:
        """At most ``limit`` offers that satisfy ``need``, cheapest first."""
        ...

    def ran(self, server_id: str) -> Ran | None:
        """The type with GPUs of that name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """Cores, MB, devices of one step; None where it is not known."""

    cpu: float | None = None
    memory_mb: float | None = None
    gpu: float | None = None
    vram_mb: float | None = None
    disk_mb: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Money in ``currency``; None where it cannot be known, and then ``reasons`` say why.

    ``now`` and ``recommended`` are of a run, ``failure`` of one attempt that runs out of memory as recommended.
    ``platform`` is whose share of a server is left free (:data:`stepsize.analyzer.matching.PLATFORMS`).
    """

    now: float | None = None
    recommended: float | None = None
    failure: float | None = None
    saving_per_month: float | None = None
    currency: str | None = None
    platform: str = DEFAULT_PLATFORM
    servers: tuple[Offer, ...] = ()
    reasons: tuple[str, ...] = ()


class Quotes:
    """Answers of one catalogue, each need asked for once: many steps need the same. On demand, else at spot prices."""

    def __init__(self, catalog: PriceList) -> None:
        self._catalog = catalog
        self._known: dict[Need, tuple[Offer, ...]] = {}

    def offers(self, need: Need) -> tuple[Offer, ...]:
        """The cheapest servers for ``need``."""
        if need not in self._known:
            found = self._catalog.cheapest(need, limit=SERVERS_SHOWN)
            at_any_terms = replace(need, allocation=None)
            self._known[need] = tuple(found or self._catalog.cheapest(at_any_terms, limit=SERVERS_SHOWN))
        return self._known[need]

    def tier(self, evidence: StepEvidence, wanted: Need, best: Offer) -> tuple[str, ...]:
        """Whether the step could leave the GPUs of the server that its newest attempt ran on, for those of ``best``."""
        newest = evidence.newest
        if newest is None or newest.instance_type is None or (wanted.gpu and not wanted.vram_mib):
            return ()  # how much GPU memory it needs is not known
        ran = self._catalog.ran(newest.instance_type)
        return tuple(filter(None, (could_leave(ran, best) if ran else "",)))


def price(
    evidence: StepEvidence,
    requested: Amounts,
    recommended: Amounts,
    quotes: Quotes,
    failures_expected_per_1000: float | None = None,
) -> Costs:
    """What the step's runs cost on the servers that fit the request, and on those that fit the recommendation.

    ``failures_expected_per_1000`` is of tasks as recommended; with it, the reasons say what failures cost.
    """
    platform = _platform(evidence)
    found = _priced(evidence, requested, recommended, quotes, failures_expected_per_1000, platform)
    return replace(found, platform=platform)


def _priced(
    evidence: StepEvidence,
    requested: Amounts,
    recommended: Amounts,
    quotes: Quotes,
    failures_expected_per_1000: float | None,
    platform: str,
) -> Costs:
    wanted = need(recommended, recommended.vram_mb, platform)
    if wanted is None:
        return Costs(reasons=("No servers: what to ask for in cpu and memory is not known.",))
    offers = quotes.offers(wanted)
    if not offers:
        return Costs(reasons=("No cost: no server of the catalogue fits what is recommended.",))
    best = offers[0]
    hours = _hours_per_run(evidence)
    if hours is None:
        return Costs(currency=best.currency, servers=offers, reasons=("No cost: no attempt's duration is known.",))
    longer_then = stretch(evidence, wanted.cpu)
    prevented = _hours_prevented(evidence, recommended)
    then = (hours - prevented) * longer_then * best.price_hourly
    rate, pace = _runs_per_month(evidence)
    failure = hours / _attempts_per_run(evidence) * longer_then * best.price_hourly
    basis = (
        _basis(evidence, hours, best),
        *quotes.tier(evidence, wanted, best),
        *_spared(prevented),
        *_risk(evidence, failure, best, rate, failures_expected_per_1000),
    )
    # A server whose VRAM is too small could not have run the step, so that both needs carry what it used.
    asked = need(requested, recommended.vram_mb, platform)
    present = quotes.offers(asked)[:1] if asked else ()
    if asked is None or not present:
        missing = "what it asked for is not known" if asked is None else "no server of the catalogue fits the request"
        reasons = (*basis, f"No cost as it is: {missing}.")
        return Costs(recommended=then, failure=failure, currency=best.currency, servers=offers, reasons=reasons)
    if terms(present[0]) != terms(best):
        reasons = (*basis, f"No saving: prices are in {terms(present[0])} and {terms(best)}.")
        return Costs(recommended=then, failure=failure, currency=best.currency, servers=offers, reasons=reasons)
    longer = stretch(evidence, asked.cpu)
    now = hours * longer * present[0].price_hourly
    return Costs(
        now=now,
        recommended=then,
        failure=failure,
        saving_per_month=None if rate is None else (now - then) * rate,
        currency=best.currency,
        servers=offers,
        reasons=(*basis, *_caveats(asked, longer, same_server=_key(present[0]) == _key(best)), pace),
    )


def _caveats(asked: Need, longer: float, *, same_server: bool) -> tuple[str, ...]:
    caveats = []
    if longer >= WORTH_SAYING:
        caveats.append(
            f"It used more cores than it asked for: held to {asked.cpu:g} it would take about {longer:.1f} times "
            "as long, and is charged so."
        )
    if same_server:
        caveats.append("The same server is cheapest for both: the change pays where tasks share servers.")
    return tuple(caveats)


def terms(offer: Offer) -> str:
    """What prices have to agree in to be compared: ``USD``, or ``USD at spot prices``."""
    return offer.currency if offer.allocation == "ondemand" else f"{offer.currency} at {offer.allocation} prices"


def _key(offer: Offer) -> tuple[str, str, str]:
    return (offer.vendor_id, offer.server_id, offer.region)


def need(amounts: Amounts, vram_mb: float | None, platform: str = DEFAULT_PLATFORM) -> Need | None:
    """What a server has to have for these amounts, and VRAM in MB; ``None`` where cores or memory are not known.

    ``platform`` is whose share of the server is left free (:data:`stepsize.analyzer.matching.PLATFORMS`).
    """
    if amounts.cpu is None or amounts.memory_mb is None:
        return None
    gpu = math.ceil(amounts.gpu or 0)
    return Need(
        cpu=amounts.cpu,
        memory_mib=amounts.memory_mb * BYTES_PER_MB / MIB,
        gpu=gpu,
        vram_mib=(vram_mb or 0) * BYTES_PER_MB / MIB if gpu else 0,
        architecture=ARCHITECTURE,
        burstable=False,
        platform=platform,
    )


def _platform(evidence: StepEvidence) -> str:
    """Whose share of a server is left free: what ran the newest attempt, where that keeps more than the system does."""
    target = evidence.newest.target if evidence.newest else None
    return target if target in ("kubernetes", "batch") else DEFAULT_PLATFORM


def _hours_per_run(evidence: StepEvidence) -> float | None:
    known = [attempt for attempt in evidence.ended if attempt.duration_s is not None]
    runs = {attempt.run_key for attempt in known}
    return math.fsum(a.duration_s or 0.0 for a in known) / _SECONDS_PER_HOUR / len(runs) if runs else None


def _hours_prevented(evidence: StepEvidence, recommended: Amounts) -> float:
    """Hours a run of attempts that ran out of less memory than is recommended: they would not have failed.

    Of a task that never ended well the longest of them stays: it would have taken that long at least.
    """
    enough = (recommended.memory_mb or 0.0) * BYTES_PER_MB
    known = [attempt for attempt in evidence.ended if attempt.duration_s is not None]
    succeeded = {attempt.task_key for attempt in evidence.succeeded}
    failed: dict[tuple[str, str, str], list[float]] = {}
    for attempt in known:
        limit = attempt.memory_limit_bytes or attempt.requested_memory_bytes or 0
        if attempt.outcome is Outcome.OOM and 0 < limit < enough:
            failed.setdefault(attempt.task_key, []).append(attempt.duration_s or 0.0)
    spared = (math.fsum(lost) - (0.0 if task in succeeded else max(lost)) for task, lost in failed.items())
    runs = {attempt.run_key for attempt in known}
    return math.fsum(spared) / _SECONDS_PER_HOUR / len(runs) if runs else 0.0


def _spared(prevented_hours: float) -> tuple[str, ...]:
    if not prevented_hours:
        return ()
    took = _took(prevented_hours)
    return (f"Of these {took} were attempts that ran out of less memory than is advised: as recommended without them.",)


def _attempts_per_run(evidence: StepEvidence) -> float:
    known = [attempt.run_key for attempt in evidence.ended if attempt.duration_s is not None]
    return len(known) / len(set(known))


def _risk(
    evidence: StepEvidence, failure: float, best: Offer, rate: float | None, failures_expected_per_1000: float | None
) -> tuple[str, ...]:
    """What running out of memory costs: one attempt, and those to expect of a month."""
    if failures_expected_per_1000 is None or failure < LEAST_FAILURE:
        return ()
    hours = failure / best.price_hourly
    one = f"One attempt that runs out of memory costs {_two_digits(failure)} {best.currency} and {_took(hours)}"
    if rate is None:
        return (f"{one}, and its run.",)
    tasks = len({attempt.task_key for attempt in evidence.ended}) / len({a.run_key for a in evidence.ended})
    month = failures_expected_per_1000 / 1000 * tasks * rate
    return (f"{one}, and its run; {_two_digits(month)} of them are to be expected a month.",)


def _two_digits(value: float) -> str:
    """At least two, and never an exponent: ``0.012``, ``3.4``, ``120``."""
    return f"{value:,.0f}" if value >= 10 else f"{float(f'{value:.2g}'):.4f}".rstrip("0").rstrip(".")


def _basis(evidence: StepEvidence, hours: float, best: Offer) -> str:
    runs = len({attempt.run_key for attempt in evidence.ended if attempt.duration_s is not None})
    over = "in the one run seen" if runs == 1 else f"a run (mean of {runs})"
    kind = "" if best.allocation == "ondemand" else f"{best.allocation} "
    return f"Cost: {_took(hours)} {over}, retries included, at a {kind}price of {best.price_observed_at}."


def _took(hours: float) -> str:
    if hours >= 1:
        return f"{hours:.2f} hours"
    minutes = hours * 60
    return f"{minutes:.1f} minutes" if minutes >= 1 else f"{minutes * 60:.2g} s"


def _runs_per_month(evidence: StepEvidence) -> tuple[float | None, str]:
    """Runs in a month at the pace seen, from the time between the first and the newest, and the sentence for it."""
    started: dict[tuple[str, str], float] = {}
    for attempt in evidence.attempts:
        if attempt.started_at_s is not None:
            started[attempt.run_key] = min(attempt.started_at_s, started.get(attempt.run_key, math.inf))
    runs = len(started)
    if runs < 2:
        return None, "No saving per month: one run shows no pace; two are needed."
    days = (max(started.values()) - min(started.values())) / _SECONDS_PER_DAY
    if days < LEAST_DAYS_FOR_A_RATE:
        return None, f"No saving per month: the {runs} runs seen began within {_span(days)}, which shows no pace."
    rate = (runs - 1) / days * DAYS_PER_MONTH
    return rate, f"Saving per month at the pace of {runs} runs in {days:.1f} days, {rate:.0f} a month."


def _span(days: float) -> str:
    minutes = max(1, round(days * 24 * 60))
    return f"{minutes} min" if minutes < 120 else f"{days * 24:.1f} hours"
