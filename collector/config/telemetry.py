"""``service.telemetry``: what a collector says of itself. Keys as upstream's service/telemetry and otelconf.

``metrics.readers`` is empty by default, where upstream serves Prometheus on localhost:8888: two collectors on one
machine, one a task's own, must not fight for a port that nobody asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from stepsize.collector.components.client_tls import HttpClientTlsConfig, existing_file
from stepsize.collector.components.otlphttp_exporter import OtlpHttpExporterConfig, url
from stepsize.collector.config.language import (
    Secret,
    Section,
    Sections,
    choice,
    flag,
    option,
    required_text,
    secret,
    whole,
    word,
)
from stepsize.collector.telemetry.log import ENCODINGS, LEVELS

_MAX_PORT = 65_535


def _always(value: Any) -> bool:
    """A flag that can only be what it is by default."""
    if not flag(value):
        raise ValueError("only true is supported: names are given out as the documentation has them")
    return True


@dataclass(frozen=True, slots=True)
class LogsConfig:
    """The collector's lines (``service.telemetry.logs``)."""

    level: str = option(word(*LEVELS), default="info", says="the lowest level that is written to standard error")
    encoding: str = option(choice(*ENCODINGS), default="console", says="lines as text, or as JSON objects")


@dataclass(frozen=True, slots=True)
class PrometheusReaderConfig:
    """An endpoint for Prometheus, at ``/metrics``."""

    host: str = option(required_text, default="localhost", says="the address to listen on")
    port: int = option(whole, default=8888, says="the port; 0 lets the system choose")
    without_scope_info: bool = option(_always, default=True, says="no labels for scopes")
    without_type_suffix: bool = option(_always, default=True, says="no `_total` after names")
    without_units: bool = option(_always, default=True, says="no units after names")

    def validate(self) -> None:
        """Refuse what cannot work."""
        if self.port > _MAX_PORT:
            raise ValueError(f"port goes up to {_MAX_PORT}")


@dataclass(frozen=True, slots=True)
class PullExporterConfig:
    """What pulls."""

    prometheus: PrometheusReaderConfig = option(Section(PrometheusReaderConfig), says="Prometheus")


@dataclass(frozen=True, slots=True)
class PullReaderConfig:
    """Metrics that somebody else fetches."""

    exporter: PullExporterConfig = option(Section(PullExporterConfig), says="who does")


@dataclass(frozen=True, slots=True)
class HeaderConfig:
    """One header."""

    name: str = option(required_text, says="its name")
    value: Secret = option(secret, says="what it says")


@dataclass(frozen=True, slots=True)
class OtlpReaderConfig:
    """Where metrics are sent."""

    endpoint: str = option(url, says="where to; `/v1/metrics` is added where it has no path")
    protocol: str = option(choice("http/protobuf"), default="http/protobuf", says="how they travel")
    headers: tuple[HeaderConfig, ...] = option(Sections(HeaderConfig), default=(), says="headers to send")
    certificate: str = option(
        existing_file, default="", says="a file with the authorities to trust, in place of the system's"
    )


@dataclass(frozen=True, slots=True)
class PeriodicExporterConfig:
    """Who is sent to."""

    otlp: OtlpReaderConfig = option(Section(OtlpReaderConfig), says="OTLP")


@dataclass(frozen=True, slots=True)
class PeriodicReaderConfig:
    """Metrics that are sent now and then."""

    exporter: PeriodicExporterConfig = option(Section(PeriodicExporterConfig), says="where to")
    interval_ms: int = option(whole, default=60_000, key="interval", says="milliseconds between two sendings")
    timeout_ms: int = option(whole, default=30_000, key="timeout", says="milliseconds that one may take")

    def validate(self) -> None:
        """Refuse what cannot work."""
        if not self.interval_ms or not self.timeout_ms:
            raise ValueError("interval and timeout must be above 0")

    @property
    def exporter_config(self) -> OtlpHttpExporterConfig:
        """The same in the words of the exporter that sends."""
        otlp = self.exporter.otlp
        has_path = bool(urlsplit(otlp.endpoint).path.strip("/"))
        return OtlpHttpExporterConfig(
            endpoint="" if has_path else otlp.endpoint,
            metrics_endpoint=otlp.endpoint if has_path else "",
            tls=HttpClientTlsConfig(ca_file=otlp.certificate),
            headers=tuple((header.name, header.value) for header in otlp.headers),
            timeout_s=self.timeout_ms / 1000,
        )


@dataclass(frozen=True, slots=True)
class ReaderConfig:
    """One way out for the collector's own metrics."""

    pull: PullReaderConfig | None = option(Section(PullReaderConfig), default=None, says="served here")
    periodic: PeriodicReaderConfig | None = option(Section(PeriodicReaderConfig), default=None, says="sent from here")

    def validate(self) -> None:
        """Refuse what cannot work."""
        if (self.pull is None) == (self.periodic is None):
            raise ValueError("give one of pull and periodic")


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """The collector's own metrics (``service.telemetry.metrics``)."""

    level: str = option(
        word("none", "basic", "normal", "detailed"), default="normal", says="`none` switches all readers off"
    )
    readers: tuple[ReaderConfig, ...] = option(Sections(ReaderConfig), default=(), says="ways out for the metrics")


@dataclass(frozen=True, slots=True)
class TelemetryConfig:
    """``service.telemetry``."""

    logs: LogsConfig = option(Section(LogsConfig), factory=LogsConfig, says="the collector's lines")
    metrics: MetricsConfig = option(Section(MetricsConfig), factory=MetricsConfig, says="the collector's own metrics")
