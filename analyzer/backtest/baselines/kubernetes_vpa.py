"""Kubernetes' vertical pod autoscaler: the 90th percentile of peaks that fade with age, and 15 % on top.

What comes in: tasks, and finished ones. What goes out: requests in bytes. While nothing is known, the user's request.

Source: kubernetes/autoscaler, ``vertical-pod-autoscaler/pkg/recommender``. ``logic/recommender.go``: target percentile
0.9, bounds 0.5 and 0.95, margin 0.15, at least 250 MiB, confidence multipliers 1 (exponent 1) above and 0.001 (exponent
-2) below. ``model/aggregations_config.go``: half-life 24 h; after an OOM 1.2 times, at least 100 MiB more.
``model/container.go``: an OOM is a sample of that size in place of the pod's peak.

Each task is a pod: it brings one peak, each failed attempt one of its own. Differs from it: a repetition gets at least
the size that its OOM was recorded with, where Kubernetes would start pods of the target's size until enough OOMs have
moved the percentile. For other tasks an OOM counts from when the task it befell is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.analyzer.backtest.baselines.decaying_histogram import DecayingHistogram
from stepsize.sizes import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.sizing.memory.history import Finished, Task

_TARGET, _LOWER, _UPPER = 0.9, 0.5, 0.95
_MARGIN = 1.15
_SMALLEST_BYTES = 250.0 * MIB
_HALF_LIFE_S = 24 * 3600.0
_SAMPLES_A_DAY = 24 * 60.0
_BUMP_RATIO, _BUMP_BYTES = 1.2, 100.0 * MIB


def after_oom(failed_bytes: float) -> float:
    """What an attempt that was killed with ``failed_bytes`` is taken to have needed."""
    return max(failed_bytes * _BUMP_RATIO, failed_bytes + _BUMP_BYTES)


def ooms_of(task: Task, killed_bytes: Sequence[float]) -> list[tuple[float, float | None]]:
    """A task's kills as samples: what each is recorded with, and when."""
    return [(after_oom(killed), task.submitted_at_s) for killed in killed_bytes]


def _estimate(peaks: DecayingHistogram, fraction: float) -> float:
    return max(peaks.percentile(fraction) * _MARGIN, _SMALLEST_BYTES)


class KubernetesVpa:
    """The recommender at work on one step."""

    def __init__(self) -> None:
        self._peaks = DecayingHistogram(_HALF_LIFE_S)
        self._first_s: float | None = None
        self._last_s: float | None = None
        self._minutes = 0.0

    def size(self, task: Task) -> float:
        """The target."""
        return task.requested_bytes if self._peaks.empty else _estimate(self._peaks, _TARGET)

    def retry(self, task: Task, killed_bytes: tuple[float, ...]) -> float:
        """The size that the OOM is recorded with, or the target with the task's OOMs if that is more."""
        ooms = ooms_of(task, killed_bytes)
        return max(ooms[-1][0], _estimate(self._peaks.with_samples(ooms), _TARGET))

    def learn(self, finished: Finished) -> None:
        """A task that ended, and its failed attempts."""
        for oom in ooms_of(finished.task, finished.killed_bytes):
            self._peaks.add(*oom)
        at_s = finished.task.submitted_at_s
        self._peaks.add(finished.peak_bytes, at_s)
        self._minutes += finished.hours * 60
        if at_s is not None:
            self._first_s = at_s if self._first_s is None else min(self._first_s, at_s)
            self._last_s = at_s if self._last_s is None else max(self._last_s, at_s)

    def bounds(self) -> tuple[float, float]:
        """Between which requests of a running pod are left alone, in bytes; none are, once something is known.

        A task is a new pod, which gets the target: no replay asks for them.
        """
        confidence = self._confidence_days()
        if confidence <= 0:
            return 0.0, float("inf")
        return (
            _estimate(self._peaks, _LOWER) * (1 + 0.001 / confidence) ** -2,
            _estimate(self._peaks, _UPPER) * (1 + 1 / confidence),
        )

    def _confidence_days(self) -> float:
        samples = self._minutes / _SAMPLES_A_DAY
        if self._first_s is None or self._last_s is None:
            return samples
        return min((self._last_s - self._first_s) / (24 * 3600), samples)
