"""Which series tell what of a pod: one table, a row for each query.

What comes in: matchers and the length of a window. What goes out: queries, and what an answer adds to a `Pod`. Pure.

Metrics are those of cAdvisor in the kubelet (``container_*``) and of kube-state-metrics (``kube_*``, its
``docs/metrics/workload/pod-metrics.md``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stepsize.collector.imports.pods import Pod

    Take = Callable[[Pod, Mapping[str, str], float], None]

_POD = "namespace, pod"
_CONTAINER = "namespace, pod, container"


@dataclass(frozen=True, slots=True)
class Series:
    """One query: the largest value of ``metric`` over the window for each set of labels ``by``, and who takes it.

    ``by`` is empty where all labels are wanted, as they were last. ``of_container``: only of the containers that count.
    ``added_over``: a label over which series add up. ``where``: a further matcher.
    """

    metric: str
    by: str
    take: Take
    of_container: bool = False
    added_over: str = ""
    where: str = ""

    def query(self, selector: str, container: str, length_s: int) -> str:
        """The query for the ``length_s`` seconds before a moment."""
        mine = f'container=~{_quoted(container)}, container!="", container!="POD"' if self.of_container else ""
        matchers = ", ".join(part for part in ('pod!=""', mine, self.where, selector) if part)
        series = f"{self.metric}{{{matchers}}}[{length_s}s]"
        if not self.by:
            return f"last_over_time({series})"
        # The largest of what several scraped of the same.
        one = f"max by ({', '.join(filter(None, (self.by, self.added_over)))}) (max_over_time({series}))"
        return f"sum by ({self.by}) ({one})" if self.added_over else one


def _memory(pod: Pod, labels: Mapping[str, str], value: float) -> None:
    name = labels.get("container", "")
    pod.memory_bytes[name] = max(value, pod.memory_bytes.get(name, 0.0))


def _cpu(pod: Pod, labels: Mapping[str, str], value: float) -> None:
    started = labels.get("container", ""), labels.get("id", "")
    pod.cpu_seconds[started] = max(value, pod.cpu_seconds.get(started, 0.0))


def _request(pod: Pod, labels: Mapping[str, str], value: float) -> None:
    pod.requests[labels.get("container", ""), labels.get("resource", "")] = value


def _limit(pod: Pod, labels: Mapping[str, str], value: float) -> None:
    pod.limits[labels.get("container", ""), labels.get("resource", "")] = value


def _started(pod: Pod, labels: Mapping[str, str], value: float) -> None:
    pod.containers.add(labels.get("container", ""))
    pod.started_at_s = value if pod.started_at_s is None else min(value, pod.started_at_s)


def _ended(pod: Pod, _labels: Mapping[str, str], value: float) -> None:
    pod.ended_at_s = value


def _phase(pod: Pod, labels: Mapping[str, str], value: float) -> None:
    if value > 0:
        pod.phase = labels.get("phase", "")


def _reason(pod: Pod, labels: Mapping[str, str], value: float) -> None:
    if value > 0:
        pod.reasons.add(labels.get("reason", ""))


def _names(pod: Pod, labels: Mapping[str, str], _value: float) -> None:
    pod.labels.update(labels)


SERIES: tuple[Series, ...] = (
    Series("container_memory_working_set_bytes", _CONTAINER, _memory, of_container=True),
    # Older kubelets have a series for each core; a container that was started again has another id.
    Series("container_cpu_usage_seconds_total", f"{_CONTAINER}, id", _cpu, of_container=True, added_over="cpu"),
    Series("kube_pod_container_resource_requests", f"{_CONTAINER}, resource", _request, of_container=True),
    Series("kube_pod_container_resource_limits", f"{_CONTAINER}, resource", _limit, of_container=True),
    Series("kube_pod_container_state_started", _CONTAINER, _started, of_container=True),
    Series("kube_pod_completion_time", _POD, _ended),
    Series("kube_pod_status_phase", f"{_POD}, phase", _phase, where='phase=~"Succeeded|Failed"'),
    Series("kube_pod_container_status_terminated_reason", f"{_CONTAINER}, reason", _reason, of_container=True),
    Series("kube_pod_container_status_last_terminated_reason", f"{_CONTAINER}, reason", _reason, of_container=True),
    Series("kube_pod_status_reason", f"{_POD}, reason", _reason),
    Series("kube_pod_annotations", "", _names),
    Series("kube_pod_labels", "", _names),
    Series("kube_pod_owner", "", _names),
)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
