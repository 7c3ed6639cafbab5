"""What the analyzer says of a recording: the same policies, catalogue and formats as the commands, without the lake.

What comes in: a recording, and the history that is to count beside it. What goes out: a recommendation, servers, a
report. An attempt that still runs counts as if it had ended well now, and the reasons say so. Reads the lake only where
its history is asked for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from stepsize.analyzer import costs, formats
from stepsize.analyzer.catalog import place
from stepsize.analyzer.lessons import lessons
from stepsize.analyzer.matching import Catalog
from stepsize.analyzer.report import report_step
from stepsize.analyzer.sizing import policy as policies
from stepsize.analyzer.sizing.lessons import ALONE
from stepsize.analyzer.usage import Attempt, CpuBucket, Query, StepEvidence, histories
from stepsize.api.page import Page
from stepsize.model import Outcome
from stepsize.store.lake import Lake
from stepsize.store.layout import DATABASE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stepsize.analyzer.matching import Need, Offer
    from stepsize.analyzer.report import StepReport
    from stepsize.analyzer.sizing.lessons import Lessons
    from stepsize.analyzer.sizing.policy import Recommendation
    from stepsize.api.facts import Seen
    from stepsize.api.recorded import History, Recorded
    from stepsize.model import Identity
    from stepsize.settings import Settings


def recommend(recorded: Recorded, history: History, policy: str) -> Recommendation:
    """What the step should ask for."""
    seen = known(recorded, history)
    found = policies.load(policy).recommend(seen.step, seen.lessons.beside(seen.step))
    return replace(found, reasons=(*found.reasons, *_so_far(recorded)))


def need(recorded: Recorded, history: History, policy: str) -> Need | None:
    """What a server has to have for what is recommended; ``None`` where that is not known."""
    with Catalog.open(place.directory()) as catalog:
        amounts = _report(recorded, history, policy, catalog).recommended
    return costs.need(amounts, amounts.vram_mb)


def offers(need: Need, limit: int, **constraints: Any) -> list[Offer]:
    """The cheapest servers for it."""
    with Catalog.open(place.directory()) as catalog:
        return catalog.cheapest(replace(need, **constraints), limit)


def report(recorded: Recorded, history: History, policy: str, format: str) -> Page:  # noqa: A002 - the option's name
    """The report of the recording's step."""
    with Catalog.open(place.directory()) as catalog:
        found = _report(recorded, history, policy, catalog)
    return Page(formats.render([replace(found, reasons=(*found.reasons, *_so_far(recorded)))], format))


def _report(recorded: Recorded, history: History, policy: str, catalog: Catalog) -> StepReport:
    seen = known(recorded, history)
    return report_step(seen.step, policies.load(policy), costs.Quotes(catalog), seen.lessons)


def _so_far(recorded: Recorded) -> tuple[str, ...]:
    if not recorded.running:
        return ()
    return (f"It still runs: this is what its first {recorded.duration_s:.0f} s say.",)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a recording's step, and what other steps of the lake teach."""

    step: StepEvidence
    lessons: Lessons = ALONE


def known(recorded: Recorded, history: History) -> Known:
    """The recording's own attempt, and the history that counts beside it.

    Raises:
        LakeError: the lake cannot be read.
    """
    identity, seen = recorded.identity, recorded.seen()
    own = _attempt(identity, seen)
    earlier: Sequence[Attempt] = ()
    seconds: dict[int, float] = {}
    taught = ALONE
    if isinstance(history, int):  # a bool is one
        past, taught = _of_lake(recorded.settings, identity, history) if history else (None, ALONE)
        if past is not None:
            earlier = [attempt for attempt in past.attempts if not _is_same(attempt, own)]
            seconds = {bucket.bucket: bucket.seconds for bucket in past.cpu_histogram}
            if any(_is_same(attempt, own) and attempt.ended for attempt in past.attempts):
                seen = replace(seen, cpu_histogram={})  # the lake's histogram holds it already
    else:
        earlier, seconds = _of_others(history, own)
    for bucket, more in seen.cpu_histogram.items():
        seconds[bucket] = seconds.get(bucket, 0.0) + more
    step = StepEvidence(
        flow=identity.flow,
        step=identity.step,
        project=identity.project,
        production=_is_production(identity),
        attempts=tuple(sorted((*earlier, own), key=lambda attempt: attempt.started_at_s or 0.0)),
        cpu_histogram=tuple(CpuBucket(bucket, spent) for bucket, spent in sorted(seconds.items())),
    )
    return Known(step, taught)


def _of_lake(settings: Settings, identity: Identity, history: bool | int) -> tuple[StepEvidence | None, Lessons]:
    """The step's history in the lake, and what other steps teach; ``None`` where the lake has not seen the step.

    ``history``: all of it, or of how many newest runs.
    """
    if not (settings.data / DATABASE).is_file():
        return None, ALONE
    query = Query(flow=identity.flow, step=identity.step, runs=None if history is True else history)
    with Lake(settings.data).reading() as connection:
        taught = lessons(connection, query)
        for found in histories(connection, query):
            if (found.project, found.production) == (identity.project, _is_production(identity)):
                return found, taught
    return None, taught


def _of_others(others: Iterable[Recorded], own: Attempt) -> tuple[list[Attempt], dict[int, float]]:
    attempts: list[Attempt] = []
    seconds: dict[int, float] = {}
    for other in others:
        seen = other.seen()
        attempt = _attempt(other.identity, seen)
        if not _is_same(attempt, own):
            attempts.append(attempt)
            for bucket, more in seen.cpu_histogram.items():
                seconds[bucket] = seconds.get(bucket, 0.0) + more
    return attempts, seconds


def _is_same(one: Attempt, other: Attempt) -> bool:
    return (one.task_key, one.attempt) == (other.task_key, other.attempt)


def _is_production(identity: Identity) -> bool:
    """As ``evidence.sql`` has it."""
    return identity.branch is not None and (identity.branch == "prod" or identity.branch.startswith("prod."))


def _attempt(identity: Identity, seen: Seen) -> Attempt:
    stats, request = seen.stats, identity.request
    return Attempt(
        run=identity.run,
        task=identity.task,
        attempt=identity.attempt,
        owner="/".join(part for part in (identity.branch, identity.user) if part is not None),
        outcome=seen.outcome or (Outcome.OK if seen.started_at_s is not None else None),
        started_at_s=seen.started_at_s,
        duration_s=stats.duration_s or None,
        cpu_seconds=stats.cpu_seconds,
        cpu_mean=stats.cpu_mean,
        cpu_max=stats.cpu_max,
        throttled_s=seen.throttled_s,
        cpu_limit=seen.cpu_limit,
        thread_limits=json.dumps(dict(seen.threads)) if seen.threads else None,
        memory_peak_bytes=stats.memory_peak_bytes,
        memory_source=seen.memory_source,
        memory_limit_bytes=seen.memory_limit_bytes,
        gpu_count=stats["process_gpu_utilized"].maximum,
        gpu_utilization_mean=stats.gpu_utilization_mean,
        gpu_utilization_max=stats["process_gpu_usage"].maximum,
        gpu_memory_peak_bytes=stats.gpu_memory_peak_bytes,
        disk_peak_bytes=seen.disk_peak_bytes,
        requested_cpu=request.cpu,
        requested_memory_bytes=request.memory_bytes,
        requested_gpu=request.gpu,
        requested_disk_bytes=request.disk_bytes,
        requested_timeout_s=request.timeout_s,
        target=identity.target,
        host_cpus=seen.host_cpus,
        item=identity.item,
        code_version=identity.code_version,
        annotations=json.dumps(dict(identity.annotations), default=str) if identity.annotations else None,
    )
