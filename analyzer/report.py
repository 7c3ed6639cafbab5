"""The report: for each step what it asked for, used and should ask for, why, what that saves, and which servers fit.

What comes in: a read-only connection to the lake, a catalogue, a policy and a query. What goes out: a list of frozen
:class:`StepReport`, the one source of every format. Never writes, never prints; units are those of ``@resources``
(memory in MB, 10^6 bytes), except ``wasted_gb_h`` (GB of 2^30 bytes, hours).
"""

from __future__ import annotations

import difflib
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.analyzer.costs import Amounts, Costs, PriceList, Quotes, price
from stepsize.analyzer.lessons import lessons
from stepsize.analyzer.sizing import gpu
from stepsize.analyzer.sizing.autosized import of_step
from stepsize.analyzer.sizing.cpu import cores_used
from stepsize.analyzer.sizing.gpu import alike
from stepsize.analyzer.sizing.lessons import ALONE
from stepsize.analyzer.sizing.targets import TARGETS, Need, changes, round_to, written
from stepsize.analyzer.spread import Spread, cpu_spread, memory_spread
from stepsize.analyzer.usage import histories, known
from stepsize.errors import LakeError, UsageError
from stepsize.model import BYTES_PER_MB, Outcome
from stepsize.sizes import GIB

if TYPE_CHECKING:
    import duckdb

    from stepsize.analyzer.sizing.gpu import GpuUse
    from stepsize.analyzer.sizing.lessons import Lessons
    from stepsize.analyzer.sizing.memory.static import Replayed
    from stepsize.analyzer.sizing.policy import Policy, Recommendation
    from stepsize.analyzer.sizing.targets import Sizes, Target
    from stepsize.analyzer.usage import Query, StepEvidence

CPU_QUANTILE_SHOWN = 0.95
"""``used.cpu``: the cores that were enough for this share of the time."""
_SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout:
    """How long an attempt may run, in seconds: what the step asks for and what it should; ``reasons`` say why."""

    requested_s: float | None = None
    recommended_s: float | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Sentences about the size of one resource: the name of its field in ``Amounts``, and what can be checked."""

    resource: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """One step of one history (project, production or not). ``recommended`` holds the request where it is to be kept.

    ``why`` is about each size, ``reasons`` about the step as a whole, ``timeout.reasons`` and ``costs.reasons`` about
    time and money; all are sentences to check against the data.
    ``replayed`` are the newest of its own runs, each under the memory that would have been asked for before it.
    ``held`` are those of ``why`` that say why a request is kept which use alone does not justify.
    """

    flow: str
    step: str
    project: str | None
    production: bool
    runs: int
    tasks: int
    policy: str
    requested: Amounts
    recommended: Amounts
    used: Amounts
    reasons: tuple[str, ...]
    held: tuple[str, ...]
    confidence: str
    failures_expected_per_1000: float | None
    wasted_gb_h: float | None
    costs: Costs
    why: tuple[Why, ...] = ()
    failures_range_per_1000: tuple[float, float] | None = None
    replayed: tuple[Replayed, ...] = ()
    outcomes: tuple[tuple[str, int], ...] = ()
    memory_spread: Spread | None = None
    cpu_spread: Spread | None = None
    timeout: Timeout = Timeout()
    target: str | None = None
    """What the sizes are for: what was named, or what ran the newest attempt; None where that is not known."""
    written: Sizes | None = None
    """What to write there, in the target's own unit; None where its sizes are not known, or it has none so large."""
    gpu_use: GpuUse | None = None
    """What was held and used of GPUs; None where none was read."""

    @property
    def all_reasons(self) -> tuple[str, ...]:
        """Every sentence about sizes and the step as a whole."""
        return tuple(reason for why in self.why for reason in why.reasons) + self.reasons

    @property
    def title(self) -> str:
        """``flow/step``, with the project and kind of branch where there is one."""
        history = [self.project] if self.project else []
        history += ["production"] if self.production else []
        return f"{self.flow}/{self.step}" + (f" ({', '.join(history)})" if history else "")


def build(
    connection: duckdb.DuckDBPyConnection,
    catalog: PriceList,
    policy: Policy,
    query: Query,
    target: Target | None = None,
) -> list[StepReport]:
    """A report for every step that ``query`` asks for; with what to write for ``target``, by default what ran it.

    Raises:
        LakeError: the lake holds no attempt at all.
        UsageError: it holds none that the query asks for; the message names what there is.
    """
    quotes = Quotes(catalog)
    taught = lessons(connection, query)
    reports = [report_step(evidence, policy, quotes, taught, target) for evidence in histories(connection, query)]
    if not reports:
        raise _nothing(known(connection), query)
    return reports


def report_step(
    evidence: StepEvidence, policy: Policy, quotes: Quotes, taught: Lessons = ALONE, target: Target | None = None
) -> StepReport:
    """The report of one step; ``taught`` is what all steps teach, ``target`` what to write for."""
    policy, of_launch = of_step(policy, evidence)
    recommendation = policy.recommend(evidence, taught.beside(evidence))
    requested = _requested(evidence)
    recommended = _recommended(recommendation, requested)
    newest, need = evidence.newest, _need(requested, recommended)
    wasted_gb_h = _wasted_gb_h(evidence)
    ran_on = newest.target if newest else None
    sizes_of = target or TARGETS.get(ran_on or "")
    return StepReport(
        flow=evidence.flow,
        step=evidence.step,
        project=evidence.project,
        production=evidence.production,
        runs=len({attempt.run_key for attempt in evidence.ended}),
        tasks=len({attempt.task_key for attempt in evidence.ended}),
        policy=policy.name,
        requested=requested,
        recommended=recommended,
        used=_used(evidence),
        reasons=(
            *recommendation.reasons,
            *of_launch,
            *_unknown_request(requested, wasted_gb_h),
            *_on_target(sizes_of, need, named=target is not None),
        ),
        why=tuple(Why(resource=name, reasons=part.reasons) for name, part in recommendation.parts if part.reasons),
        held=recommendation.held,
        confidence=recommendation.confidence.value,
        failures_expected_per_1000=recommendation.failures_expected_per_1000,
        failures_range_per_1000=recommendation.failures_range_per_1000,
        replayed=recommendation.replayed,
        wasted_gb_h=wasted_gb_h,
        costs=price(evidence, requested, recommended, quotes, recommendation.failures_expected_per_1000),
        outcomes=tuple(Counter(_outcome_name(attempt.outcome) for attempt in evidence.attempts).most_common()),
        memory_spread=memory_spread(evidence, requested.memory_mb, recommended.memory_mb),
        cpu_spread=cpu_spread(evidence, requested.cpu, recommended.cpu),
        timeout=_timeout(evidence, recommendation),
        target=sizes_of.name if sizes_of else ran_on,
        written=round_to(sizes_of, need) if sizes_of and need else None,
        gpu_use=gpu.use(evidence),
    )


def _timeout(evidence: StepEvidence, recommendation: Recommendation) -> Timeout:
    newest_attempt = evidence.newest
    advised = recommendation.timeout_s
    return Timeout(
        requested_s=newest_attempt.requested_timeout_s if newest_attempt else None,
        recommended_s=advised.value,
        reasons=advised.reasons,
    )


def _requested(evidence: StepEvidence) -> Amounts:
    newest = evidence.newest
    if newest is None:
        return Amounts()
    return Amounts(
        cpu=newest.requested_cpu,
        memory_mb=_mb(newest.requested_memory_bytes),
        gpu=newest.requested_gpu,
        disk_mb=_mb(newest.requested_disk_bytes),
    )


def _recommended(recommendation: Recommendation, requested: Amounts) -> Amounts:
    def value(name: str) -> float | None:
        advised: int | None = getattr(recommendation, name).value
        kept: float | None = getattr(requested, name)
        return kept if advised is None else advised

    return Amounts(
        cpu=value("cpu"),
        memory_mb=value("memory_mb"),
        gpu=value("gpu"),
        vram_mb=value("vram_mb"),
        disk_mb=value("disk_mb"),
    )


def _used(evidence: StepEvidence) -> Amounts:
    ended, on_gpus = evidence.ended, alike(evidence)
    return Amounts(
        cpu=cores_used(evidence, CPU_QUANTILE_SHOWN),
        memory_mb=_mb(max((a.memory_peak_bytes for a in ended if a.memory_peak_bytes is not None), default=None)),
        gpu=max((a.gpu_count for a in on_gpus if a.gpu_count is not None), default=None),
        vram_mb=_mb(
            max((a.gpu_memory_peak_bytes for a in on_gpus if a.gpu_memory_peak_bytes is not None), default=None)
        ),
        disk_mb=_mb(max((a.disk_peak_bytes for a in ended if a.disk_peak_bytes is not None), default=None)),
    )


def _wasted_gb_h(evidence: StepEvidence) -> float | None:
    """Memory that was held and not used: request less peak over each attempt that ended well, all of the request over
    each that did not, since its work was lost. None where no attempt's request and duration are known."""
    byte_seconds = []
    for attempt in evidence.ended:
        held, seconds = attempt.requested_memory_bytes, attempt.duration_s
        if held is None or seconds is None or attempt.memory_peak_bytes is None:
            continue
        used = attempt.memory_peak_bytes if attempt.outcome is Outcome.OK else 0
        byte_seconds.append(max(0, held - used) * seconds)
    return math.fsum(byte_seconds) / GIB / _SECONDS_PER_HOUR if byte_seconds else None


def _unknown_request(requested: Amounts, wasted_gb_h: float | None) -> tuple[str, ...]:
    missing = [name for name, value in (("memory", requested.memory_mb), ("cores", requested.cpu)) if value is None]
    if not missing:
        return ()
    what = f" in {missing[0]}" if len(missing) == 1 else ""
    so = "neither are its waste and saving" if wasted_gb_h is None else "neither is its saving"
    return (f"What the step asked for{what} is not known, so {so}.",)


def _on_target(target: Target | None, need: Need | None, *, named: bool) -> tuple[str, ...]:
    """The numbers to write for the platform that runs the step; for one that nobody named, where they are not those of
    the report."""
    if target is None or need is None:
        return ()
    return written(target, need) if named or changes(target, need) else ()


def _need(requested: Amounts, recommended: Amounts) -> Need | None:
    if recommended.cpu is None or recommended.memory_mb is None:
        return None
    return Need(
        cpu=recommended.cpu,
        memory_bytes=recommended.memory_mb * BYTES_PER_MB,
        gpu=recommended.gpu or 0.0,
        disk_bytes=(recommended.disk_mb or 0.0) * BYTES_PER_MB if recommended.disk_mb != requested.disk_mb else None,
        keeps_cpu=recommended.cpu == requested.cpu,
        keeps_memory=recommended.memory_mb == requested.memory_mb,
    )


def _outcome_name(outcome: Outcome | None) -> str:
    return "running" if outcome is None else outcome.value


def _mb(size_bytes: float | None) -> float | None:
    return None if size_bytes is None else size_bytes / BYTES_PER_MB


def _nothing(seen: dict[str, tuple[str, ...]], query: Query) -> LakeError | UsageError:
    """Why a query found nothing, and what would."""
    if not seen:
        return LakeError("no task has been measured yet; run a flow with STEPSIZE=1 (STEPSIZE=1 python flow.py run)")
    if query.flow is not None and query.flow not in seen:
        return UsageError(f"no flow {query.flow!r} has been measured; known are {_closest(query.flow, tuple(seen))}")
    steps = tuple(sorted({step for names in seen.values() for step in names}))
    if query.flow is not None:
        steps = seen[query.flow]
    if query.step is not None and query.step not in steps:
        return UsageError(
            f"no step {query.step!r} of {query.flow} has been measured; known are {_closest(query.step, steps)}"
        )
    return UsageError("nothing measured passes the filters; widen --since, --runs, --branch or --origin")


def _closest(word: str, known_names: tuple[str, ...], limit: int = 10) -> str:
    """The names, those most like ``word`` first."""
    alike = difflib.get_close_matches(word, known_names, n=limit, cutoff=0.5)
    rest = [name for name in known_names if name not in alike]
    listed = [*alike, *rest][:limit]
    more = len(known_names) - len(listed)
    return ", ".join(listed) + (f" and {more} more" if more else "")
