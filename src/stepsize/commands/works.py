"""What the steps of a flow need, for matching servers with all of them.

What comes in: a flow's name and the lake. What goes out: the work of each step, sized as the report sizes it, and a
line for each step that cannot be sized. Has what was measured so far made visible first. Never changes the lake.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stepsize.analyzer.costs import Quotes, need
from stepsize.analyzer.lessons import lessons
from stepsize.analyzer.matching import Work
from stepsize.analyzer.report import report_step
from stepsize.analyzer.sizing import policy as policies
from stepsize.analyzer.sizing.autosized import AsLaunched
from stepsize.analyzer.usage import Query, histories, known
from stepsize.commands.settle import settle
from stepsize.errors import UsageError
from stepsize.settings import Settings
from stepsize.store.lake import Lake

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import duckdb

    from stepsize.analyzer.costs import PriceList
    from stepsize.analyzer.usage import StepEvidence

_MEMORY_BYTES = 1 << 30
"""What the lake's queries hold at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for every step; attributes as those of ``Need`` and ``Work``."""

    vendors: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    allocation: str | None = "ondemand"
    architecture: str | None = None
    burstable: bool = False
    platform: str = "machine"
    at_once: int | None = None


def works(
    catalog: PriceList, flow: str, terms: Terms, policy: str | None = None, data: str | None = None
) -> tuple[dict[str, Work], list[str]]:
    """The work of each step of ``flow`` in one run, and why the others are left out.

    Raises:
        UsageError: the flow has not been measured, or nothing of it can be sized.
    """
    settings = Settings.load(data=data)
    lines = settle(settings, remote=True)
    sizing = policies.load(policy) if policy else AsLaunched()
    found: dict[str, Work] = {}
    with _lake(settings) as connection:
        query = Query(flow=flow)
        taught = lessons(connection, query)
        quotes = Quotes(catalog)
        for evidence in histories(connection, query):
            report = report_step(evidence, sizing, quotes, taught)
            wanted = need(report.recommended, report.recommended.vram_mb)
            seconds, tasks = _per_run(evidence)
            if wanted is None or seconds is None:
                lines.append(f"{report.title} is left out: its cores, memory or duration are not known")
                continue
            changed = replace(
                wanted,
                vendors=terms.vendors,
                regions=terms.regions,
                allocation=terms.allocation,
                architecture=terms.architecture or wanted.architecture,
                burstable=terms.burstable,
                platform=terms.platform,
            )
            found[report.title.partition("/")[2]] = Work(changed, seconds, tasks, terms.at_once)
        if not found:
            names = ", ".join(known(connection)) or "none"
            raise UsageError(f"nothing of {flow!r} can be sized; flows that were measured: {names}")
    return found, lines


def _lake(settings: Settings) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
    if settings.store is None:
        return Lake(settings.data).reading(_MEMORY_BYTES)
    from stepsize.store.objects import ObjectLake  # noqa: PLC0415 - heavy, and hardly ever needed

    return ObjectLake(settings.store).reading(_MEMORY_BYTES)


def _per_run(evidence: StepEvidence) -> tuple[float | None, int]:
    """Mean seconds of an attempt, and attempts a run, rounded up."""
    known_s = [attempt.duration_s for attempt in evidence.ended if attempt.duration_s]
    runs = {attempt.run_key for attempt in evidence.ended if attempt.duration_s}
    if not known_s:
        return None, 0
    return math.fsum(known_s) / len(known_s), math.ceil(len(known_s) / len(runs))
