"""``exporters: debug``: shows what arrives, on standard error.

Keys and defaults as upstream's debugexporter.
"""

from __future__ import annotations

from dataclasses import dataclass

from stepsize.collector.config.language import choice, option, whole


@dataclass(frozen=True, slots=True)
class DebugExporterConfig:
    """How much it shows."""

    verbosity: str = option(
        choice("basic", "normal", "detailed"),
        default="basic",
        says="`basic`: a line a request; `normal`: a line a metric; `detailed`: everything",
    )
    sampling_initial: int = option(whole, default=2, says="so many requests of each second are shown")
    sampling_thereafter: int = option(whole, default=1, says="and after these each so-many-th; 0: none")


def debug_observer(config, log):  # type: ignore[no-untyped-def]
    def observe(message):  # type: ignore[no-untyped-def]
        from stepsize.collector.otlp.request import count_points

        log(f"debug: {len(message.resource_metrics)} resources, {count_points(message)} points")
        if config.verbosity == "normal":
            for scope in (scope for resource in message.resource_metrics for scope in resource.scope_metrics):
                for metric in scope.metrics:
                    kind = metric.WhichOneof("data")
                    log(f"debug:   {metric.name} {kind} {len(getattr(metric, kind).data_points)} points")

    return observe
