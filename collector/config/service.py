"""A whole configuration: its components and what of them is used.

What comes in: the text of an ``otel-config.yaml``. What goes out: a frozen :class:`CollectorConfig`, or a
:class:`ConfigError` with one line that names the place and what is known there. Never opens a socket or a directory.

A component is named ``type`` or ``type/name``. One that is defined and in no pipeline is checked and not used, as
upstream.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize.collector.components.parquet_exporter import ParquetExporterConfig
from stepsize.collector.components.postgres_wire_extension import PostgresWireConfig
from stepsize.collector.components.table import ALIASES, COMPONENTS
from stepsize.collector.config.addresses import check_addresses
from stepsize.collector.config.document import MAX_TEXT_BYTES, parse_yaml
from stepsize.collector.config.language import PlacedError, build, names, option
from stepsize.collector.config.telemetry import TelemetryConfig
from stepsize.collector.pipelines.credentials import can_sign
from stepsize.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CONFIG_FILE = "otel-config.yaml"
_MAX_NAME = 60
_PIPELINE_KEYS = ("receivers", "processors", "exporters")


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Names of the components of one pipeline."""

    receivers: tuple[str, ...] = option(names, default=(), says="whose requests it takes")
    processors: tuple[str, ...] = option(names, default=(), says="what is done to them, in order")
    exporters: tuple[str, ...] = option(names, default=(), says="who gets what is left")

    def validate(self) -> None:
        """Refuse what cannot work."""
        if not self.receivers or not self.exporters:
            raise ValueError("a pipeline needs receivers and exporters")
        for key in _PIPELINE_KEYS:
            named: tuple[str, ...] = getattr(self, key)
            if len(set(named)) < len(named):
                raise ValueError(f"{key} name one twice: {', '.join(named)}")


@dataclass(frozen=True, slots=True)
class CollectorConfig:
    """The components that are used, by their full names, what flows between them, and the collector's own telemetry."""

    pipelines: Mapping[str, Pipeline]
    receivers: Mapping[str, Any]
    processors: Mapping[str, Any]
    exporters: Mapping[str, Any]
    extensions: Mapping[str, Any]
    telemetry: TelemetryConfig

    @property
    def is_relay(self) -> bool:
        """Whether no lake is kept: what is taken is kept until it is sent on."""
        return not self.of_kind(ParquetExporterConfig)

    @property
    def parquet(self) -> ParquetExporterConfig:
        """The lake's exporter; of a relay, what it would be: the directories count there too."""
        return next(iter(self.of_kind(ParquetExporterConfig)), ParquetExporterConfig())

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
        text = _read(path)
    except ConfigError as error:
        raise ConfigError(f"{error}; give a file, or leave --config away for the built-in configuration") from None
    return parse(text, path.name, environ, lambda name: _read(Path(name).expanduser()))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TEXT_BYTES + 1)
        if len(content) > MAX_TEXT_BYTES:
            raise ConfigError(f"cannot read {path}: it is larger than {MAX_TEXT_BYTES} bytes")
        return content.decode("utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"cannot read {path}: it is not UTF-8 text") from None


def parse(
    text: str, source: str, environ: Mapping[str, str], read: Callable[[str], str] | None = None
) -> CollectorConfig:
    """The configuration in ``text``; ``source`` starts the messages of what is wrong with it.

    ``read`` is how ``${file:PATH}`` gets at a file's text; without it such a reference is refused.

    Raises:
        ConfigError: it is wrong; the message starts with the source, the line and the key.
    """
    document = parse_yaml(text, source, environ, read)
    try:
        return _config(document.values)
    except PlacedError as error:
        raise ConfigError(f"{document.named(source, error.place)}: {error}") from None


def _config(values: Any) -> CollectorConfig:
    if not isinstance(values, dict):
        raise PlacedError(f"expected sections {', '.join([*COMPONENTS, 'service'])}", "")
    _known(values, (*COMPONENTS, "service"), "", "section")
    built = {section: _components(section, values.get(section)) for section in COMPONENTS}
    service = values.get("service")
    if not isinstance(service, dict):
        raise PlacedError("a service section with pipelines is needed", "service")
    _known(service, ("extensions", "pipelines", "telemetry"), "service", "key")
    pipelines = _pipelines(service.get("pipelines"))
    used = {
        key: _used(
            {name: f"service.pipelines.{of}.{key}" for of, one in pipelines.items() for name in getattr(one, key)},
            built[key],
            key,
        )
        for key in _PIPELINE_KEYS
    }
    extensions = dict.fromkeys(_named(service.get("extensions"), "service.extensions"), "service.extensions")
    config = CollectorConfig(
        pipelines=pipelines,
        receivers=used["receivers"],
        processors=used["processors"],
        exporters=used["exporters"],
        extensions=_used(extensions, built["extensions"], "extensions"),
        telemetry=build(TelemetryConfig, service.get("telemetry"), "service.telemetry"),
    )
    if len(config.of_kind(ParquetExporterConfig)) > 1:
        raise PlacedError("service.pipelines: one parquet exporter can be used, not several", "service.pipelines")
    check_addresses(config)
    _check_credentials(config)
    _check_lake(config)
    return config


def _check_credentials(config: CollectorConfig) -> None:
    """Refuse an exporter that is to be signed by what signs nothing."""
    for name, exporter in config.exporters.items():
        auth = getattr(exporter, "auth", None)
        if auth is not None and not can_sign(config.extensions.get(auth.authenticator)):
            where = f"exporters.{name}.auth.authenticator"
            raise PlacedError(
                f"{where}: {auth.authenticator!r} is no extension in service.extensions that signs requests; there are "
                "bearertokenauth, and basicauth with client_auth",
                where,
            )


def _check_lake(config: CollectorConfig) -> None:
    """Refuse to serve a lake where none is kept."""
    for name, extension in config.extensions.items():
        if isinstance(extension, PostgresWireConfig) and config.is_relay:
            raise PlacedError(
                f"service.extensions: {name} serves the lake, and a relay keeps none: have a pipeline export to "
                "parquet, or take it out",
                "service.extensions",
            )


def _components(section: str, values: Any) -> dict[str, Any]:
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise PlacedError(f"{section}: expected components, found {values!r}", section)
    types, aliases = COMPONENTS[section], ALIASES.get(section, {})
    built = {}
    for name, inner in values.items():
        where = f"{section}.{name}"
        kind = str(name).partition("/")[0]
        if len(str(name)) > _MAX_NAME:  # it is a part of a file's name
            raise PlacedError(f"{section}: a name goes up to {_MAX_NAME} characters", where)
        kind = aliases.get(kind, kind)
        if kind not in types:
            known = ", ".join(sorted({*types, *aliases}))
            raise PlacedError(f"{section}: unknown type {kind!r}; known: {known}", where)
        built[name] = build(types[kind], inner, where)
    return built


def _pipelines(values: Any) -> dict[str, Pipeline]:
    where = "service.pipelines"
    if not isinstance(values, dict) or not values:
        raise PlacedError(f"{where}: a metrics pipeline is needed", where)
    for name in values:
        if str(name).partition("/")[0] != "metrics":
            said = f"{where}: unknown pipeline {name!r}; stepsize takes metrics only: metrics, metrics/NAME"
            raise PlacedError(said, f"{where}.{name}")
    return {name: build(Pipeline, inner, f"{where}.{name}") for name, inner in values.items()}


def _used(wanted: Mapping[str, str], defined: Mapping[str, Any], section: str) -> dict[str, Any]:
    """Of the components that are defined those that are named; ``wanted`` says where each is."""
    for name in sorted(wanted):
        if name not in defined:
            known = ", ".join(sorted(defined)) or "none"
            raise PlacedError(f"service: {name!r} is not defined under {section}; defined: {known}", wanted[name])
    return {name: config for name, config in defined.items() if name in wanted}


def _named(value: Any, where: str) -> tuple[str, ...]:
    try:
        return names(value)
    except ValueError as error:
        raise PlacedError(f"{where}: {error}", where) from None


def _known(values: Mapping[Any, Any], known: tuple[str, ...], where: str, what: str) -> None:
    for key in values:
        if key not in known:
            prefix = f"{where}: " if where else ""
            place = f"{where}.{key}" if where else str(key)
            raise PlacedError(f"{prefix}unknown {what} {key!r}; known: {', '.join(known)}", place)
