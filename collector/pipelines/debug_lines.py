"""What the ``debug`` exporter shows of a request.

What comes in: requests. What goes out: lines for the operator. A name from outside never starts a line of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stepsize.collector.otlp.request import count_points

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.collector.components.debug_exporter import DebugExporterConfig


class DebugLines:
    """The exporter.

    Args:
        config: how much it shows.
        log: takes a line.
        clock_s: the time, for sampling.
    """

    def __init__(self, config: DebugExporterConfig, log: Callable[[str], None], clock_s: Callable[[], float]) -> None:
        self._config = config
        self._log = log
        self._clock_s = clock_s
        self._second = -1
        self._seen = 0

    def consume(self, message: Any) -> None:
        """Show a request, if it is one of those that are shown."""
        if not self._is_shown():
            return
        self._log(f"debug: {len(message.resource_metrics)} resources, {count_points(message)} points")
        if self._config.verbosity == "detailed":
            for line in str(message).splitlines():  # protobuf's text format escapes what texts hold
                self._log(f"debug:   {line}")
        elif self._config.verbosity == "normal":
            for scope in (scope for resource in message.resource_metrics for scope in resource.scope_metrics):
                for metric in scope.metrics:
                    kind = metric.WhichOneof("data")
                    points = len(getattr(metric, kind).data_points) if kind else 0
                    self._log(f"debug:   {_on_one_line(metric.name)} {kind} {points} points")

    def _is_shown(self) -> bool:
        """As zap samples: the first of a second, then each so-many-th."""
        second = int(self._clock_s())
        if second != self._second:
            self._second, self._seen = second, 0
        self._seen += 1
        beyond = self._seen - self._config.sampling_initial
        if beyond <= 0:
            return True
        return bool(self._config.sampling_thereafter) and beyond % self._config.sampling_thereafter == 0


def _on_one_line(name: str) -> str:
    return name if name.isprintable() else repr(name)
