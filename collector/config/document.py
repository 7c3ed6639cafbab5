"""The text of a configuration: YAML within bounds, and what ``${…}`` stands for.

What comes in: text, an environment, a way to read files. What goes out: plain values, and in which line each key
stands; a :class:`ConfigError` that names the place otherwise. Never reads a file or a process's environment by itself:
both are handed in.

``${env:NAME}`` and ``${NAME}`` stand for an environment variable, ``${env:NAME:-default}`` for a default where it is
not set or empty, ``${file:PATH}`` for what is in a file, ``$$`` for a dollar sign
(opentelemetry.io/docs/collector/configuration). Where upstream puts nothing in the place of a variable that is not set,
and goes on, this one refuses: without its variable ``client_ca_file`` would admit everybody and ``endpoint`` listen to
everybody. A text of a few hundred bytes whose aliases unfold to gigabytes is refused before it does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

from stepsize.collector.config.language import PlacedError, Variable
from stepsize.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_TEXT_BYTES = 256 << 10
"""A configuration, or a file that it names."""
MAX_VALUES = 50_000
"""Values in all, after aliases are unfolded."""
_MAX_MERGED_MAPPINGS = 100
_MAX_PLACE = 1000
"""Characters of a path to a key."""
_REFERENCE = re.compile(
    r"\$\$"
    r"|\$\{file:(?P<file>[^}]+)\}"
    r"|\$\{(?:env:)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}"
    r"|\$\{[^}]*\}"
)


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML document.

    Attributes:
        values: what it says, references filled in.
        lines: lines of keys, from 1, by the path to each: ``receivers.otlp.protocols``, ``processors.x.actions[0]``.
    """

    values: Any
    lines: Mapping[str, int]

    def line_of(self, place: str) -> int | None:
        """The line of the key at ``place``, or of the nearest that it is a part of."""
        while place and place not in self.lines:
            place = place[: max(place.rfind("."), place.rfind("["), 0)]
        return self.lines.get(place)

    def named(self, source: str, place: str) -> str:
        """How a message about ``place`` begins: ``otel-config.yaml:12``."""
        line = self.line_of(place)
        return source if line is None else f"{source}:{line}"


def parse_yaml(
    text: str, source: str, environ: Mapping[str, str], read: Callable[[str], str] | None = None
) -> Document:
    """A YAML document, references in it filled in.

    Args:
        text: the document.
        source: starts the messages of what is wrong with it.
        environ: environment variables.
        read: the text of a file by its path; raises `ConfigError`. Without it, ``${file:…}`` is refused.

    Raises:
        ConfigError: it is no YAML, is too large, or names a variable or file that is not there.
    """
    lines: dict[str, int] = {}
    values = _values(text, source, lines)
    document = Document(values, lines)
    try:
        return Document(_Filling(environ, read).fill(values, ""), lines)
    except PlacedError as error:
        raise ConfigError(f"{document.named(source, error.place)}: {error}") from None
    except RecursionError:
        raise ConfigError(f"{source}: not valid YAML: it is nested too deeply") from None


def _values(text: str, source: str, lines: dict[str, int] | None = None) -> Any:
    """The values of a text; ``lines`` takes where they stand."""
    if len(text) > MAX_TEXT_BYTES:
        raise ConfigError(f"{source}: it is larger than {MAX_TEXT_BYTES} bytes")
    try:
        return _loaded(_Loader(text), lines)
    except RecursionError:
        raise ConfigError(f"{source}: not valid YAML: it is nested too deeply") from None
    except ValueError as error:  # a date such as 2026-13-01
        raise ConfigError(f"{source}: not valid YAML: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise ConfigError(f"{source}{where}: not valid YAML: {problem}") from None


def _loaded(loader: _Loader, lines: dict[str, int] | None) -> Any:
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if lines is not None:
            _note_lines(node, "", lines)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _note_lines(node: yaml.Node, path: str, lines: dict[str, int]) -> None:
    """Where each key below ``node`` stands; of what aliases unfold to, and of long paths, no more than is ever read."""
    if len(lines) >= MAX_VALUES or len(path) > _MAX_PLACE:
        return
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                place = f"{path}.{key.value}" if path else key.value
                lines[place] = key.start_mark.line + 1
                _note_lines(value, place, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            place = f"{path}[{index}]"
            lines[place] = value.start_mark.line + 1
            _note_lines(value, place, lines)


class _Loader(yaml.SafeLoader):
    """Safe YAML without what is never meant: a key given twice, an alias inside what it stands for, a bomb."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._composing: list[Any] = []
        self._merged = 0

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

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """As in the base (it copies what ``<<`` merges), in bounds: merges of merges grow without end."""
        for key, value in node.value:
            merges = key.tag == "tag:yaml.org,2002:merge"
            if merges and isinstance(value, yaml.SequenceNode) and len(value.value) > _MAX_MERGED_MAPPINGS:
                raise ConstructorError(None, None, "too many mappings are merged into one", key.start_mark)
        super().flatten_mapping(node)
        self._merged += len(node.value)
        if self._merged > MAX_VALUES:
            raise ConstructorError(None, None, f"it unfolds to more than {MAX_VALUES} values", node.start_mark)


@dataclass(slots=True)
class _Filling:
    """Fills references in; counts what it makes."""

    environ: Mapping[str, str]
    read: Callable[[str], str] | None
    made: int = 0

    def fill(self, value: Any, place: str) -> Any:
        """``value``, which stands at ``place``, with every reference in it filled in.

        Raises:
            PlacedError: a reference names what is not there.
        """
        self.made += 1
        if self.made > MAX_VALUES:
            raise PlacedError(f"not valid YAML: it unfolds to more than {MAX_VALUES} values", "")
        if isinstance(value, dict):
            return {key: self.fill(inner, f"{place}.{key}" if place else str(key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.fill(inner, f"{place}[{index}]") for index, inner in enumerate(value)]
        if not isinstance(value, str):
            return value
        whole = _REFERENCE.fullmatch(value)
        if whole and whole["file"]:  # the value is all that the file holds: a list, say
            return _values(self._file(whole["file"], place), f"{place}: {whole['file']}")
        filled = _REFERENCE.sub(lambda match: self._text(match, place), value)
        return Variable(filled, _as_yaml(filled)) if whole and whole["name"] else filled

    def _text(self, match: re.Match[str], place: str) -> str:
        if match[0] == "$$":
            return "$"
        if match["file"]:
            return self._file(match["file"], place).rstrip("\r\n")
        name = match["name"]
        if name is None:
            known = "${env:NAME}, ${env:NAME:-default} or ${file:PATH}"
            raise PlacedError(f"{place}: {match[0]} is not understood; use {known}", place)
        found = self.environ.get(name)
        if not found and match["default"] is not None:  # as in a shell, `:-` stands in for an empty one too
            found = match["default"]
        if found is None:
            remedy = f"set it, or write ${{env:{name}:-}} if nothing is to stand there"
            raise PlacedError(f"{place}: environment variable {name} is not set; {remedy}", place)
        return found

    def _file(self, path: str, place: str) -> str:
        if self.read is None:
            raise PlacedError(f"{place}: ${{file:{path}}} is not understood here: no files are read", place)
        try:
            return self.read(path)
        except ConfigError as error:
            raise PlacedError(f"{place}: {error}", place) from None


def _as_yaml(text: str) -> Any:
    """A variable's text as YAML, as upstream takes it where a key wants more than text; itself where it is none."""
    try:
        return _values(text, "")
    except ConfigError:
        return text
