"""The configuration language: environment variables in text, and sections checked key by key.

What comes in: text of YAML, dataclasses that declare keys. What goes out: plain values, or instances of those
dataclasses; a :class:`ConfigError` that names the place otherwise. Never reads a file or a process's environment: both
are handed in.

``${env:NAME}`` and ``${NAME}`` stand for an environment variable, ``${env:NAME:-default}`` for a default where it is
not set, ``$$`` for a dollar sign (opentelemetry.io/docs/collector/configuration).
"""

from __future__ import annotations

import re
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from yaml.composer import ComposerError

from stepsize.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
_REFERENCE = re.compile(r"\$\$|\$\{(?:env:)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|\$\{[^}]*\}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_yaml(text: str, source: str, environ: Mapping[str, str]) -> Any:
    """The values of a YAML document, environment variables filled in.

    Raises:
        ConfigError: it is no YAML, or names a variable that is not set.
    """
    try:
        values = yaml.load(text, _Loader)  # noqa: S506 - a safe loader, with more refusals
    except RecursionError:
        raise ConfigError(f"{source}: not valid YAML: it is nested too deeply") from None
    except ValueError as error:  # a date such as 2026-13-01
        raise ConfigError(f"{source}: not valid YAML: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise ConfigError(f"{source}{where}: not valid YAML: {problem}") from None
    return _expanded(values, source, environ)


class _Loader(yaml.SafeLoader):
    """Safe YAML without what is never meant: a key given twice, an alias inside what it stands for."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._composing: list[Any] = []

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """As in the base; refuses an alias that stands for what it is a part of."""
        if self.check_event(yaml.AliasEvent):
            alias = self.peek_event()  # type: ignore[no-untyped-call]  # its stub has no types
            if alias.anchor in self._composing:
                raise ComposerError(None, None, f"alias *{alias.anchor} contains itself", alias.start_mark)
        return super().compose_node(parent, index)

    def compose_sequence_node(self, anchor: Any) -> yaml.SequenceNode:
        """As in the base."""
        self._composing.append(anchor)
        node = super().compose_sequence_node(anchor)
        self._composing.pop()
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """As in the base; refuses a key that is there twice (YAML 1.2.2, 3.2.1.3: keys are unique)."""
        self._composing.append(anchor)
        node = super().compose_mapping_node(anchor)
        self._composing.pop()
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise ComposerError(None, None, f"key {key.value!r} is given twice", key.start_mark)
                seen.add((key.tag, key.value))
        return node


def _expanded(value: Any, where: str, environ: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _expanded(inner, f"{where}: {key}", environ) for key, inner in value.items()}
    if isinstance(value, list):
        return [_expanded(inner, where, environ) for inner in value]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        name = match["name"]
        if name is None:
            raise ConfigError(f"{where}: {match[0]} is not understood; use ${{env:NAME}} or ${{env:NAME:-default}}")
        found = environ.get(name) or match["default"]  # as in a shell, `:-` stands in for an empty one too
        if found is None:
            raise ConfigError(
                f"{where}: environment variable {name} is not set; set it or give ${{env:{name}:-default}}"
            )
        return found

    return _REFERENCE.sub(replace, value)


def option(
    parse: Callable[[Any], Any] | Section, *, default: Any = MISSING, factory: Any = MISSING, key: str = ""
) -> Any:
    """A key of a section: how its value is read, and what stands where it is left out."""
    metadata = {"parse": parse, "key": key}
    if factory is not MISSING:
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Section:
    """A parser of a nested section; a key without a value stands for the section with its defaults."""

    kind: type[Any]


def build(kind: type[T], value: Any, where: str) -> T:
    """An instance of the dataclass ``kind`` from a mapping; calls its ``validate`` where it has one.

    Raises:
        ConfigError: a key is unknown or missing, or a value is refused; the message starts with ``where``.
    """
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected keys and values, found {value!r}")
    known = {row.metadata["key"] or row.name: row for row in fields(kind)}  # type: ignore[arg-type]  # a dataclass
    for key in value:
        if key not in known:
            raise ConfigError(f"{where}: unknown key {key!r}; known: {', '.join(sorted(known)) or 'none'}")
    made = kind(**{known[key].name: _value(known[key], inner, f"{where}.{key}") for key, inner in value.items()})
    validate = getattr(made, "validate", None)
    if validate is not None:
        try:
            validate()
        except ValueError as error:
            raise ConfigError(f"{where}: {error}") from None
    return made


def _value(row: Any, value: Any, where: str) -> Any:
    parse = row.metadata["parse"]
    if isinstance(parse, Section):
        return build(parse.kind, value, where)
    try:
        return parse(value)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{where}: {error}") from None


def text(value: Any) -> str:
    """Text."""
    if not isinstance(value, (str, int, float)):
        raise TypeError(f"expected text, found {value!r}")
    return str(value)


def whole(value: Any) -> int:
    """A whole number, not negative."""
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise ValueError(f"expected a whole number, found {value!r}") from None
    if isinstance(value, (bool, float)) or number < 0:
        raise ValueError(f"expected a whole number from 0, found {value!r}")
    return number


def duration_s(value: Any) -> float:
    """A duration as Go writes it (``200ms``, ``1h30m``, ``0s``), in seconds."""
    written = str(value).strip()
    parts = _DURATION.findall(written)
    if written == "0":
        return 0.0
    if not parts or "".join(number + unit for number, unit in parts) != written:
        raise ValueError(f"expected a duration such as 10s, 200ms or 1h30m, found {value!r}")
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def directory_path(value: Any) -> Path | None:
    """A directory, ``~`` expanded; empty is None."""
    written = text(value)
    if "://" in written:
        raise ValueError(f"object stores are not written yet; give a local directory, not {written!r}")
    return Path(written).expanduser().absolute() if written else None


def names(value: Any) -> tuple[str, ...]:
    """A list of names."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"expected a list of names, found {value!r}")
    return tuple(value)


def choice(*words: str) -> Callable[[Any], str]:
    """One of ``words``."""

    def parse(value: Any) -> str:
        if value not in words:
            raise ValueError(f"expected {' or '.join(words)}, found {value!r}")
        return str(value)

    return parse


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to listen; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def listen_address(value: Any) -> Endpoint:
    """``HOST:PORT``, ``[IPv6]:PORT`` or ``:PORT`` (every address), as Go's net package takes them."""
    host, colon, port = text(value).rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65_535 or (":" in host and not host.startswith("[")):
        raise ValueError(f"expected HOST:PORT, found {value!r}")
    return Endpoint(host.strip("[]") or "0.0.0.0", int(port))  # noqa: S104 - asked for by name
