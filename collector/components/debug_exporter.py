"""``exporters: debug``: shows what arrives on standard error.

Key as upstream's debugexporter: ``verbosity`` basic (one line a request), normal (one line a metric) or detailed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepsize.collector.config.language import choice, option
from stepsize.collector.otlp.request import count_points

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class DebugExporterConfig:
    """How much it shows."""

    verbosity: str = option(choice("basic", "normal", "detailed"), default="basic")


def debug_observer(config: DebugExporterConfig, log: Callable[[str], None]) -> Callable[[Any], None]:
    """An observer for an intake."""

    def observe(message: Any) -> None:
        if config.verbosity == "detailed":
            log(f"debug: {message}")
            return
        log(f"debug: {len(message.resource_metrics)} resources, {count_points(message)} points")
        if config.verbosity == "normal":
            for scope in (scope for resource in message.resource_metrics for scope in resource.scope_metrics):
                for metric in scope.metrics:
                    kind = metric.WhichOneof("data")
                    log(f"debug:   {metric.name} {kind} {len(getattr(metric, kind).data_points)} points")

    return observe
