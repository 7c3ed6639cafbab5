"""The configuration language: sections checked key by key, and how each kind of value is written.

What comes in: plain values, dataclasses that declare keys. What goes out: instances of those dataclasses; a
:class:`ConfigError` that names the place otherwise. Never shows a secret: neither in an error nor in a ``repr``.
"""

from __future__ import annotations

import re
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from stepsize.errors import ConfigError
from stepsize.setting_values import STORE, store_address

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def option(
    parse: Callable[[Any], Any] | Section | Sections,
    *,
    default: Any = MISSING,
    factory: Any = MISSING,
    key: str = "",
    says: str = "",
) -> Any:
    """A key of a section: how its value is read, what stands where it is left out, and its line in the manual."""
    metadata = {"parse": parse, "key": key, "says": says}
    if factory is not MISSING:
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Section:
    """A parser of a nested section; a key without a value stands for the section with its defaults."""

    kind: type[Any]


@dataclass(frozen=True, slots=True)
class Sections:
    """A parser of a list of nested sections, which become a tuple."""

    kind: type[Any]


class PlacedError(ConfigError):
    """What is wrong with a configuration, and the key that it is about: ``receivers.otlp.protocols.http.endpoint``."""

    def __init__(self, message: str, place: str) -> None:
        super().__init__(message)
        self.place = place


class Variable(str):  # noqa: SLOT000 - it holds more than a text
    """What a variable holds that stands for a whole value: a text, and what it is as YAML where more is wanted."""

    structure: Any

    def __new__(cls, text: str, structure: Any) -> Variable:  # noqa: PYI034 - `typing.Self` is younger than Python 3.10
        """As ``text``; ``structure`` is the same as YAML."""
        made = super().__new__(cls, text)
        made.structure = structure
        return made


def structure_of(value: Any) -> Any:
    """A value; of a variable's text, what it is as YAML: a list, a mapping, a number."""
    return value.structure if isinstance(value, Variable) else value


@dataclass(frozen=True, slots=True)
class Secret:
    """Text that is never shown: only :meth:`reveal` has it."""

    _text: str = field(repr=False)

    def __str__(self) -> str:
        return "[REDACTED]"  # as the Collector's configopaque has it

    def __repr__(self) -> str:
        return "[REDACTED]"

    def reveal(self) -> str:
        """The text itself, for the wire alone."""
        return self._text


def build(kind: type[T], value: Any, where: str) -> T:
    """An instance of the dataclass ``kind`` from a mapping; calls its ``validate`` where it has one.

    A key without a value is one that is left out, but for sections, which have their defaults then.

    Raises:
        PlacedError: a key is unknown or missing, or a value is refused; the message starts with ``where``.
    """
    value = structure_of(value)
    if value is None:
        value = {}
    if not isinstance(value, dict):
        found = repr(value) if isinstance(value, (int, float)) else f"a {type(value).__name__}"  # it may hold a secret
        raise PlacedError(f"{where}: expected keys and values, found {found}", where)
    known = {row.metadata["key"] or row.name: row for row in fields(kind)}  # type: ignore[arg-type]  # a dataclass
    for key in value:
        if key not in known:
            said = f"{where}: unknown key {key!r}; known: {', '.join(sorted(known)) or 'none'}"
            raise PlacedError(said, f"{where}.{key}")
    given = {
        known[key].name: _value(known[key], inner, f"{where}.{key}")
        for key, inner in value.items()
        if inner is not None or isinstance(known[key].metadata["parse"], Section)
    }
    for key, row in known.items():
        if row.name not in given and row.default is MISSING and row.default_factory is MISSING:
            raise PlacedError(f"{where}: {key} is needed", where)
    made = kind(**given)
    validate = getattr(made, "validate", None)
    if validate is not None:
        try:
            validate()
        except ValueError as error:
            raise PlacedError(f"{where}: {error}", where) from None
    return made


def _value(row: Any, value: Any, where: str) -> Any:
    parse = row.metadata["parse"]
    if isinstance(parse, Section):
        return build(parse.kind, value, where)
    if isinstance(parse, Sections):
        listed = structure_of(value)
        if not isinstance(listed, list):
            raise PlacedError(f"{where}: expected a list of sections", where)
        return tuple(build(parse.kind, inner, f"{where}[{index}]") for index, inner in enumerate(listed))
    try:
        return parse(value)
    except (ValueError, TypeError) as error:
        raise PlacedError(f"{where}: {error}", where) from None


def text(value: Any) -> str:
    """Text."""
    if not isinstance(value, (str, int, float)):
        raise TypeError(f"expected text, found {value!r}")
    written = str(value)
    if not written.isprintable() and any("\ud800" <= sign <= "\udfff" for sign in written):
        raise ValueError("expected text that can be written as UTF-8")
    return written


def required_text(value: Any) -> str:
    """Text that is not empty."""
    written = text(value)
    if not written:
        raise ValueError("expected text that is not empty")
    return written


def secret(value: Any) -> Secret:
    """Text that is never shown."""
    if not isinstance(value, (str, int, float)):
        raise TypeError(f"expected text, found a {type(value).__name__}")
    return Secret(str(value))


def flag(value: Any) -> bool:
    """True or false; as text too, since an environment variable holds nothing else."""
    if value is True or value == "true":
        return True
    if value is False or value == "false":
        return False
    raise ValueError(f"expected true or false, found {value!r}")


def always(value: Any) -> bool:
    """A flag of upstream's that can only be set here."""
    if not flag(value):
        raise ValueError("only true is supported")
    return True


def number(value: Any) -> float:
    """A number, not negative."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"expected a number, found {value!r}") from None
    if isinstance(value, bool) or not 0 <= found < float("inf"):
        raise ValueError(f"expected a number from 0, found {value!r}")
    return found


def pairs(value: Any) -> tuple[tuple[str, str], ...]:
    """Names and texts."""
    return tuple((name, text(inner)) for name, inner in _named(value))


def secret_pairs(value: Any) -> tuple[tuple[str, Secret], ...]:
    """Names and texts that are never shown: headers."""
    return tuple((name, secret(inner)) for name, inner in _named(value))


def _named(value: Any) -> list[tuple[str, Any]]:
    """What a mapping holds, or a list of ``name`` and ``value`` as upstream's configopaque takes it, too."""
    found = structure_of(value)
    if isinstance(found, list) and all(isinstance(one, dict) and one.keys() == {"name", "value"} for one in found):
        found = {one["name"]: one["value"] for one in found}
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise ValueError("expected names and texts")
    return list(found.items())


def whole(value: Any) -> int:
    """A whole number, not negative."""
    try:
        found = -1 if isinstance(value, (bool, float)) else int(value)
    except (TypeError, ValueError):
        raise ValueError(f"expected a whole number, found {value!r}") from None
    if found < 0:
        raise ValueError(f"expected a whole number from 0, found {value!r}")
    return found


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
        raise ValueError(f"give a local directory, not {written!r}")
    return Path(written).expanduser().absolute() if written else None


def lake_place(value: Any) -> Path | str | None:
    """Where a lake lies: a directory, as :func:`directory_path` has it, or ``s3://BUCKET/PREFIX``."""
    written = text(value)
    if written.startswith(STORE):
        return store_address(written)
    if "://" in written:
        raise ValueError(f"give a local directory, or s3://BUCKET/PREFIX, not {written!r}")
    return directory_path(value)


def names(value: Any) -> tuple[str, ...]:
    """A list of names."""
    value = structure_of(value)
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


def word(*words: str) -> Callable[[Any], str]:
    """One of ``words``, in upper or lower case, as upstream takes its levels."""
    parse = choice(*words)
    return lambda value: parse(value.lower() if isinstance(value, str) else value)


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
