"""``exporters: prometheus``: an HTTP endpoint with the last value of each series, for Prometheus to scrape.

Keys and defaults as upstream's prometheusexporter; the text format alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from stepsize.collector.config.language import (
    Endpoint,
    Section,
    choice,
    duration_s,
    flag,
    listen_address,
    option,
    pairs,
    text,
)

STRATEGIES = ("UnderscoreEscapingWithSuffixes", "UnderscoreEscapingWithoutSuffixes")


@dataclass(frozen=True, slots=True)
class ResourceConversionConfig:
    """``resource_to_telemetry_conversion``."""

    enabled: bool = option(flag, default=False, says="whether every resource attribute becomes a label of every series")
    exclude_service_attributes: bool = option(
        flag, default=False, says="without those that are `job` and `instance` already"
    )


@dataclass(frozen=True, slots=True)
class PrometheusExporterConfig:
    """Where it listens, and how series are named."""

    endpoint: Endpoint = option(listen_address, says="`HOST:PORT` to listen on; series are at `/metrics`")
    namespace: str = option(text, default="", says="starts every name")
    const_labels: tuple[tuple[str, str], ...] = option(pairs, default=(), says="labels of every series")
    send_timestamps: bool = option(flag, default=False, says="whether the points' times are shown")
    metric_expiration_s: float = option(
        duration_s, default=300.0, key="metric_expiration", says="a series without news is shown for so long"
    )
    resource_to_telemetry_conversion: ResourceConversionConfig = option(
        Section(ResourceConversionConfig), factory=ResourceConversionConfig, says="resource attributes as labels"
    )
    without_scope_info: bool = option(flag, default=False, says="whether labels `otel_scope_…` are left out")
    add_metric_suffixes: bool = option(flag, default=True, says="whether names end in unit and `_total`")
    translation_strategy: str = option(
        choice("", *STRATEGIES),
        default="",
        says=f"`{STRATEGIES[0]}` or `{STRATEGIES[1]}`, in place of `add_metric_suffixes`",
    )

    def validate(self) -> None:
        """Refuse what cannot work."""
        if self.metric_expiration_s <= 0:
            raise ValueError("metric_expiration must be above 0")

    @property
    def suffixes(self) -> bool:
        """Whether names end in unit and ``_total``."""
        return self.translation_strategy == STRATEGIES[0] if self.translation_strategy else self.add_metric_suffixes
