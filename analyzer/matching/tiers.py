"""Whether a step that ran on a server with GPUs could do with lesser ones, or with none.

What comes in: the type it ran on, as the catalogue has it, and the cheapest offer for what it should ask for. What goes
out: a sentence, or nothing. Pure. How fast a step runs on another GPU is not known, and said so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.sizes import format_mib

if TYPE_CHECKING:
    from stepsize.analyzer.matching.need import Offer


@dataclass(frozen=True, slots=True)
class Ran:
    """A type of server with GPUs: ``price_hourly`` is its least on demand, in ``currency``, None where not known."""

    server_id: str
    gpu_count: float
    gpu_model: str | None
    gpu_memory_total_mib: int | None
    price_hourly: float | None
    currency: str | None
    price_observed_at: str | None


def could_leave(ran: Ran, fits: Offer) -> str:
    """The sentence for a step that ran on ``ran`` and fits ``fits``; empty where that is the same, or no cheaper.

    Empty too where ``fits`` has a spot price: what the step ran on is known at its price on demand.
    """
    same = (fits.gpu_model, fits.gpu_count) == (ran.gpu_model, ran.gpu_count)
    dear = ran.price_hourly is None or ran.currency != fits.currency or ran.price_hourly <= fits.price_hourly
    if same or dear or not ran.gpu_count or fits.allocation != "ondemand":
        return ""
    there = f"{ran.server_id} ({_gpus(ran)}, {ran.price_hourly:.4g} {ran.currency} an hour)"
    here = f"{fits.server_id} ({_gpus(fits)}, {fits.price_hourly:.4g})"
    how_fast = " How fast it runs there is not known." if fits.gpu_count else ""
    days = " and ".join(sorted({str(ran.price_observed_at), fits.price_observed_at}))
    return f"It ran on {there}; what it used fits {here}, at prices of {days}: it could leave its GPU tier.{how_fast}"


def _gpus(server: Ran | Offer) -> str:
    if not server.gpu_count:
        return "no GPU"
    memory = f" {format_mib(server.gpu_memory_total_mib)}" if server.gpu_memory_total_mib else ""
    return f"{server.gpu_count:g}x {server.gpu_model or 'unknown'}{memory}"
