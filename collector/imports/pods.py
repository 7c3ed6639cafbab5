"""A pod as series tell it, and as an attempt.

What comes in: what was gathered of a pod over time, how its names are to be found in labels and annotations. What goes
out: its `Attempt`, or why there is none. Pure.

A pod's figures are the sums over its containers: each one's peak counts, though they may not have been at once. Those
that ran before them, its init containers, are left out, as their requests are. A limit is one only where all containers
have one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepsize.collector.imports.attempts import Attempt
from stepsize.errors import UsageError
from stepsize.identity import Platform
from stepsize.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stepsize.collector.imports.labels import Labels

SOURCE = "prometheus"
FIELDS = ("flow", "run", "step", "task", "attempt", "user", "project", "branch")
"""What may be named by a label."""
METAFLOW: Mapping[str, str] = {
    "flow": "annotation_metaflow_flow_name",
    "run": "annotation_metaflow_run_id",
    "step": "annotation_metaflow_step_name",
    "task": "annotation_metaflow_task_id",
    "attempt": "annotation_metaflow_attempt",
    "user": "annotation_metaflow_user",
    "project": "annotation_metaflow_project_name",
    "branch": "annotation_metaflow_branch_name",
}
"""Metaflow's annotations of its pods (``metaflow/flow_name`` and so on), as kube-state-metrics calls them."""
_LOST = frozenset({"NodeLost", "NodeAffinity", "Shutdown", "NodeShutdown", "Terminated", "UnexpectedAdmissionError"})
_KILLED = frozenset(
    {"DeadlineExceeded", "Evicted", "Preempting", "PreemptionByScheduler", "TerminationByKubelet", "Other"}
)
"""``Other``: a reason that kube-state-metrics has no name for; only the kubelet or a controller gives a pod one."""
_LATE_S = 300.0
"""A pod may be scraped so much later than it began."""
_GPUS = ("nvidia_com_gpu", "amd_com_gpu", "gpu_intel_com_i915")


@dataclass(slots=True)
class Pod:
    """What is known of a pod so far; figures by container, CPU time by container and each of its starts, requests and
    limits by container and resource.

    ``containers``: those that kube-state-metrics saw start; none of init is among them. ``seen_from_s``: since when
    series were looked at without the pod being away from them.
    """

    namespace: str
    name: str
    seen_from_s: float
    memory_bytes: dict[str, float] = field(default_factory=dict)
    containers: set[str] = field(default_factory=set)
    cpu_seconds: dict[tuple[str, str], float] = field(default_factory=dict)
    requests: dict[tuple[str, str], float] = field(default_factory=dict)
    limits: dict[tuple[str, str], float] = field(default_factory=dict)
    started_at_s: float | None = None
    ended_at_s: float | None = None
    phase: str = ""
    reasons: set[str] = field(default_factory=set)
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Names:
    """Field → label or annotation, as kube-state-metrics calls them; ``namespace``, ``pod`` and ``owner_name`` too."""

    labels: Mapping[str, str]

    @classmethod
    def of(cls, mappings: Iterable[str]) -> Names:
        """Metaflow's, or where there are any those of ``FIELD=LABEL``.

        Raises:
            UsageError: one is not written so, or names no field.
        """
        found: dict[str, str] = {}
        for text in mappings:
            name, _, label = text.partition("=")
            if name not in FIELDS or not label:
                raise UsageError(f"--map {text!r}: write FIELD=LABEL, FIELD one of {', '.join(FIELDS)}")
            found[name] = label
        return cls(found or METAFLOW)

    def get(self, pod: Pod, name: str) -> str | None:
        """What the pod says of a field."""
        label = self.labels.get(name)
        own = {"namespace": pod.namespace, "pod": pod.name}
        return (own | pod.labels).get(label) or None if label else None


def attempt_of(pod: Pod, names: Names, labels: Labels, since_s: float) -> Attempt | str:
    """The pod as an attempt; why it is none where it has not ended, began before ``since_s``, or has no names."""
    if not pod.phase:
        return "its end was not seen"
    if pod.started_at_s is None:
        return "its start was not seen"
    if pod.started_at_s < since_s:
        return "began before --since"
    if pod.started_at_s < pod.seen_from_s - _LATE_S:
        return "was not seen from its start on"
    flow = labels.flow or names.get(pod, "flow")
    step = names.get(pod, "step")
    if flow is None or step is None:
        return "no label or annotation names its flow and step"
    number = names.get(pod, "attempt") or "0"
    peak = round(sum(size for name, size in pod.memory_bytes.items() if name in pod.containers)) or None
    cpu_seconds = [seconds for (name, _), seconds in pod.cpu_seconds.items() if name in pod.containers]
    named = {name: names.get(pod, name) for name in ("user", "project", "branch")}
    return Attempt(
        flow=flow,
        run=labels.run or names.get(pod, "run") or pod.labels.get("owner_name") or pod.name,
        step=step,
        task=names.get(pod, "task") or pod.name,
        native=f"{pod.namespace}/{pod.name}",
        attempt=int(number) if number.isdecimal() and len(number) < 9 else 0,
        outcome=_outcome(pod),
        started_at_s=pod.started_at_s,
        ended_at_s=pod.ended_at_s,
        cpu_seconds=sum(cpu_seconds) if cpu_seconds else None,
        memory_peak_bytes=peak,
        memory_source=SOURCE if peak else None,
        memory_limit_bytes=_whole(_limit(pod, "memory")),
        cpu_limit=_limit(pod, "cpu"),
        oom_kills=1 if "OOMKilled" in pod.reasons else None,
        requested_cpu=_sum(pod.requests, "cpu"),
        requested_memory_bytes=_whole(_sum(pod.requests, "memory")),
        requested_gpu=next((found for one in _GPUS if (found := _sum(pod.requests, one)) is not None), None),
        requested_disk_bytes=_whole(_sum(pod.requests, "ephemeral_storage")),
        **{"target": Platform.KUBERNETES, **named, **labels.known()},
    )


def _outcome(pod: Pod) -> Outcome:
    if pod.phase == "Succeeded":
        return Outcome.OK
    if "OOMKilled" in pod.reasons:
        return Outcome.OOM
    if pod.reasons & _LOST:
        return Outcome.LOST
    return Outcome.KILLED if pod.reasons & _KILLED else Outcome.FAILED


def _sum(amounts: Mapping[tuple[str, str], float], resource: str) -> float | None:
    found = [value for (_, name), value in amounts.items() if name == resource]
    return sum(found) if found else None


def _limit(pod: Pod, resource: str) -> float | None:
    """What all containers together may take; None where one of them has no limit."""
    is_limited = all((name, resource) in pod.limits for name in pod.containers)
    return _sum(pod.limits, resource) if is_limited else None


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
