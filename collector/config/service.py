"""A whole configuration: its components and what of them is used.

What comes in: the text of an ``otel-config.yaml``. What goes out: a frozen :class:`CollectorConfig`, or a
:class:`ConfigError` with one line that names the place and what is known there. Never opens a socket or a directory.

A component is named ``type`` or ``type/name``. One that is defined and in no pipeline is checked and not used, as
upstream.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize.collector.components.parquet_exporter import ParquetExporterConfig
from stepsize.collector.components.table import COMPONENTS
from stepsize.collector.config.document import MAX_TEXT_BYTES, parse_yaml
from stepsize.collector.config.language import Endpoint, build, names, option
from stepsize.collector.config.telemetry import TelemetryConfig
from stepsize.collector.pipelines.credentials import can_sign
from stepsize.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

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
        ConfigError: it is wrong.
    """
    values = parse_yaml(text, source, environ, read)
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
        pipelines=pipelines,
        receivers=used["receivers"],
        processors=used["processors"],
        exporters=used["exporters"],
        extensions=_used(extensions, built["extensions"], "extensions", source),
        telemetry=build(TelemetryConfig, service.get("telemetry"), f"{source}: service.telemetry"),
    )
    if len(config.of_kind(ParquetExporterConfig)) > 1:
        raise ConfigError(f"{source}: service.pipelines: one parquet exporter can be used, not several")
    _check_addresses(config, source)
    _check_credentials(config, source)
    return config


def _check_credentials(config: CollectorConfig, source: str) -> None:
    """Refuse an exporter that is to be signed by what signs nothing."""
    for name, exporter in config.exporters.items():
        auth = getattr(exporter, "auth", None)
        if auth is not None and not can_sign(config.extensions.get(auth.authenticator)):
            raise ConfigError(
                f"{source}: exporters.{name}.auth.authenticator: {auth.authenticator!r} is no extension in "
                "service.extensions that signs requests; there are bearertokenauth, and basicauth with client_auth"
            )


def _check_addresses(config: CollectorConfig, source: str) -> None:
    """Refuse two components that would listen on the same address; port 0 is a free one each time."""
    taken: dict[Endpoint, str] = {}
    for section in ("receivers", "exporters", "extensions"):
        for name, component in getattr(config, section).items():
            for endpoint in _endpoints(component):
                if endpoint.port and endpoint in taken:
                    raise ConfigError(
                        f"{source}: {section}.{name}: {endpoint} is the address of {taken[endpoint]} already"
                    )
                taken[endpoint] = f"{section}.{name}"


def _endpoints(component: Any) -> Iterator[Endpoint]:
    """The addresses that a component listens on."""
    for row in fields(component):
        value = getattr(component, row.name)
        if isinstance(value, Endpoint):
            yield value
        elif is_dataclass(value):
            yield from _endpoints(value)


def _components(section: str, values: Any, source: str) -> dict[str, Any]:
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{source}: {section}: expected components, found {values!r}")
    types = COMPONENTS[section]
    built = {}
    for name, inner in values.items():
        kind = str(name).partition("/")[0]
        if len(str(name)) > _MAX_NAME:  # it is a part of a file's name
            raise ConfigError(f"{source}: {section}: a name goes up to {_MAX_NAME} characters")
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
