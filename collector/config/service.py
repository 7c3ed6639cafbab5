"""A whole configuration: its components and what of them is used.

What comes in: the text of an ``otel-config.yaml``. What goes out: a frozen :class:`CollectorConfig`, or a
:class:`ConfigError` with one line that names the place and what is known there. Never opens a socket or a directory.

A component is named ``type`` or ``type/name``. One that is defined and in no pipeline is checked and not used, as
upstream.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from stepsize.collector.components.parquet_exporter import ParquetExporterConfig
from stepsize.collector.components.table import COMPONENTS
from stepsize.collector.config.language import Section, build, choice, names, option, parse_yaml
from stepsize.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONFIG_FILE = "otel-config.yaml"
_PIPELINE_KEYS = ("receivers", "processors", "exporters")


@dataclass(frozen=True, slots=True)
class LogsConfig:
    """``service.telemetry.logs``."""

    level: str = option(choice("debug", "info", "warn", "error"), default="info")


@dataclass(frozen=True, slots=True)
class TelemetryConfig:
    """``service.telemetry``."""

    logs: LogsConfig = option(Section(LogsConfig), factory=LogsConfig)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Names of the components of one pipeline."""

    receivers: tuple[str, ...] = option(names, default=())
    processors: tuple[str, ...] = option(names, default=())
    exporters: tuple[str, ...] = option(names, default=())

    def validate(self) -> None:
        """Refuse what cannot work."""
        if not self.receivers or not self.exporters:
            raise ValueError("a pipeline needs receivers and exporters")


@dataclass(frozen=True, slots=True)
class CollectorConfig:
    """The components that are used, by their full names, and the telemetry of the collector itself."""

    receivers: Mapping[str, Any]
    processors: Mapping[str, Any]
    exporters: Mapping[str, Any]
    extensions: Mapping[str, Any]
    telemetry: TelemetryConfig

    @property
    def parquet(self) -> ParquetExporterConfig:
        """The lake's exporter."""
        return next(config for config in self.exporters.values() if isinstance(config, ParquetExporterConfig))

    def of_kind(self, kind: type[Any]) -> list[Any]:
        """The configurations of one kind that are used."""
        sections = (self.receivers, self.processors, self.exporters, self.extensions)
        return [config for section in sections for config in section.values() if isinstance(config, kind)]


def default_text() -> str:
    """The ``otel-config.yaml`` that is shipped, which is the configuration where none is given."""
    return (resources.files("stepsize.collector") / CONFIG_FILE).read_text("utf-8")


def load(path: Path, environ: Mapping[str, str]) -> CollectorConfig:
    """The configuration in a file.

    Raises:
        ConfigError: it cannot be read, or is wrong.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(
            f"cannot read {path}: {reason}; give a file, or leave --config away for the built-in configuration"
        ) from None
    return parse(text, path.name, environ)


def parse(text: str, source: str, environ: Mapping[str, str]) -> CollectorConfig:
    """The configuration in ``text``; ``source`` starts the messages of what is wrong with it.

    Raises:
        ConfigError: it is wrong.
    """
    values = parse_yaml(text, source, environ)
    if not isinstance(values, dict):
        raise ConfigError(f"{source}: expected sections {', '.join([*COMPONENTS, 'service'])}")
    _known(values, (*COMPONENTS, "service"), f"{source}:", "section")
    built = {section: _components(section, values.get(section), source) for section in COMPONENTS}
    service = values.get("service")
    if not isinstance(service, dict):
        raise ConfigError(f"{source}: a service section with pipelines is needed")
    _known(service, ("extensions", "pipelines", "telemetry"), f"{source}: service:", "key")
    pipelines = _pipelines(service.get("pipelines"), source)
    used = {
        key: _used({name for one in pipelines.values() for name in getattr(one, key)}, built[key], key, source)
        for key in _PIPELINE_KEYS
    }
    extensions = set(_named(service.get("extensions"), f"{source}: service.extensions"))
    config = CollectorConfig(
        receivers=used["receivers"],
        processors=used["processors"],
        exporters=used["exporters"],
        extensions=_used(extensions, built["extensions"], "extensions", source),
        telemetry=build(TelemetryConfig, service.get("telemetry"), f"{source}: service.telemetry"),
    )
    if len(config.of_kind(ParquetExporterConfig)) != 1:
        raise ConfigError(f"{source}: service.pipelines: exactly one parquet exporter has to be used")
    return config


def _components(section: str, values: Any, source: str) -> dict[str, Any]:
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{source}: {section}: expected components, found {values!r}")
    types = COMPONENTS[section]
    built = {}
    for name, inner in values.items():
        kind = str(name).partition("/")[0]
        if kind not in types:
            raise ConfigError(f"{source}: {section}: unknown type {kind!r}; known: {', '.join(sorted(types))}")
        built[name] = build(types[kind], inner, f"{source}: {section}.{name}")
    return built


def _pipelines(values: Any, source: str) -> dict[str, Pipeline]:
    where = f"{source}: service.pipelines"
    if not isinstance(values, dict) or not values:
        raise ConfigError(f"{where}: a metrics pipeline is needed")
    for name in values:
        if str(name).partition("/")[0] != "metrics":
            raise ConfigError(f"{where}: unknown pipeline {name!r}; stepsize takes metrics only: metrics, metrics/NAME")
    return {name: build(Pipeline, inner, f"{where}.{name}") for name, inner in values.items()}


def _used(wanted: set[str], defined: Mapping[str, Any], section: str, source: str) -> dict[str, Any]:
    for name in sorted(wanted):
        if name not in defined:
            known = ", ".join(sorted(defined)) or "none"
            raise ConfigError(f"{source}: service: {name!r} is not defined under {section}; defined: {known}")
    return {name: config for name, config in defined.items() if name in wanted}


def _named(value: Any, where: str) -> tuple[str, ...]:
    try:
        return names(value)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None


def _known(values: Mapping[Any, Any], known: tuple[str, ...], where: str, what: str) -> None:
    for key in values:
        if key not in known:
            raise ConfigError(f"{where} unknown {what} {key!r}; known: {', '.join(known)}")
