"""What a step should ask for, as an edit needs it: from a report to the numbers that a decorator takes. Pure.

What comes in: reports of one flow's steps, and the platform that runs them. What goes out: one :class:`Wanted` a step,
and its numbers in the platform's unit. What the report keeps is never an edit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stepsize.analyzer.costs import Amounts
from stepsize.analyzer.sizing.targets import TARGETS, Need, Pairs, round_to, written
from stepsize.errors import UsageError
from stepsize.identity import Platform
from stepsize.model import BYTES_PER_MB

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from stepsize.analyzer.report import StepReport
    from stepsize.analyzer.sizing.targets import Target

RESOURCES = ("cpu", "memory", "gpu", "disk")
SECONDS: Mapping[str, int] = {"hours": 3600, "minutes": 60, "seconds": 1}
"""The parts of ``@timeout``, which Metaflow adds up."""
NEVER_USED = "no GPU was ever used; to ask for none, give --drop-gpus"
_FIELDS = {"cpu": "cpu", "memory": "memory_mb", "gpu": "gpu", "disk": "disk_mb"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One step's advice. ``requested`` is what its newest run asked for, ``recommended`` what it should ask for, in the
    report's units; where they are equal, or nothing is recommended, the request is to be kept. ``target`` is what runs
    it, as far as is known.
    """

    flow: str
    step: str
    runs: int
    confidence: str
    requested: Amounts
    recommended: Amounts
    requested_timeout_s: float | None = None
    recommended_timeout_s: float | None = None
    target: str | None = None

    def advises(self, resource: str) -> bool:
        """Whether another amount of ``resource`` is recommended than was asked for."""
        recommended = amount(self.recommended, resource)
        return recommended is not None and recommended != amount(self.requested, resource)

    @property
    def advised(self) -> tuple[str, ...]:
        """The resources of which another amount is recommended."""
        return tuple(resource for resource in RESOURCES if self.advises(resource))

    @property
    def advised_timeout_s(self) -> float | None:
        """The timeout, where another one is recommended."""
        same = self.recommended_timeout_s == self.requested_timeout_s
        return None if same else self.recommended_timeout_s


def amount(amounts: Amounts, resource: str) -> float | None:
    """Cores, devices or MB of one resource."""
    value: float | None = getattr(amounts, _FIELDS[resource])
    return value


def wanted(reports: Iterable[StepReport], project: str | None) -> list[Wanted]:
    """The advice of each step, from the history that counts: production's where there is one, since a test run shows
    nothing of what production needs. ``project`` is the flow's own; other projects' histories are passed over.
    """
    chosen: dict[str, StepReport] = {}
    for report in reports:
        if report.project == project and (report.step not in chosen or report.production):
            chosen[report.step] = report
    return [
        Wanted(
            flow=report.flow,
            step=report.step,
            runs=report.runs,
            confidence=report.confidence,
            requested=report.requested,
            recommended=report.recommended,
            requested_timeout_s=report.timeout.requested_s,
            recommended_timeout_s=report.timeout.recommended_s,
            target=report.target,
        )
        for report in chosen.values()
    ]


def project_of(reports: Sequence[StepReport], project: str | None) -> str | None:
    """The project whose history counts: ``project``, or where that is empty (nobody says) the one that there is.

    Raises:
        UsageError: there is no history of it, or of several.
    """
    measured = sorted({report.project or "" for report in reports})
    names = ", ".join(name or "none" for name in measured)
    flow = reports[0].flow
    if project == "":
        if len(measured) > 1:
            raise UsageError(f"{flow} was measured in several projects ({names}): choose one with --project")
        return measured[0] or None
    if (project or "") not in measured:
        raise UsageError(f"{flow} was measured in other projects alone ({names}): choose one with --project")
    return project


def largest(advice: Sequence[Wanted]) -> Wanted:
    """What covers each of several flows that share a step: the largest of every resource."""

    def most(values: Iterable[float | None]) -> float | None:
        known = list(values)
        return None if None in known else max(value for value in known if value is not None)

    def amounts(all_of_them: Sequence[Amounts]) -> Amounts:
        return Amounts(**{_FIELDS[name]: most(amount(one, name) for one in all_of_them) for name in RESOURCES})

    return replace(
        advice[0],
        runs=min(one.runs for one in advice),
        requested=amounts([one.requested for one in advice]),
        recommended=amounts([one.recommended for one in advice]),
        requested_timeout_s=most(one.requested_timeout_s for one in advice),
        recommended_timeout_s=most(one.recommended_timeout_s for one in advice),
    )


def platform(compute: str | None, recorded: str | None) -> Target | None:
    """What runs a step: as its own decorator says (``batch``, ``kubernetes``), else as was recorded or named. None
    where that is not known, or gives nothing out by request.
    """
    fargate = compute == Platform.BATCH and recorded == Platform.FARGATE
    return TARGETS.get((recorded if compute is None or fargate else compute) or "")


def memory_unit_bytes(target: Target | None) -> int:
    """What a MB of ``memory`` is: 10^6 bytes, unless the platform reads MiB."""
    return BYTES_PER_MB if target is None else target.memory_unit_bytes


def pair_of(target: Target | None) -> tuple[str, ...]:
    """The resources that ``target`` takes together, so that one without the other is not to be written."""
    return ("cpu", "memory") if target is not None and isinstance(target.sizes, Pairs) else ()


def numbers(advice: Wanted, target: Target | None) -> dict[str, float] | str:
    """What to write for each resource that the report changes, in the unit of ``target`` and of a size that it has.

    A platform with pairs of cores and memory gets a whole pair. A sentence where it has no such size.
    """
    result = {name: value for name in advice.advised if (value := amount(advice.recommended, name)) is not None}
    cpu, memory = advice.recommended.cpu, advice.recommended.memory_mb
    if target is None or not {"cpu", "memory"} & result.keys():
        return result
    paired = bool(pair_of(target))
    if paired and (cpu is None or memory is None):
        return f"{target.title} takes cores and memory in pairs, and one of them is not known"
    need = Need(
        cpu=cpu or 0,
        memory_bytes=(memory or 0) * BYTES_PER_MB,
        keeps_cpu="cpu" not in result,
        keeps_memory="memory" not in result,
    )
    sizes = round_to(target, need)
    if sizes is None:
        return written(target, need)[0]
    rounded = {"cpu": sizes.cpu, "memory": float(sizes.memory)}
    return {**result, **{name: value for name, value in rounded.items() if paired or name in result}}
