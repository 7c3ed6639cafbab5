"""The text of a configuration: YAML within bounds, and what ``${…}`` stands for.

What comes in: text, an environment, a way to read files. What goes out: plain values; a :class:`ConfigError` that names
the place otherwise. Never reads a file or a process's environment by itself: both are handed in.

``${env:NAME}`` and ``${NAME}`` stand for an environment variable, ``${env:NAME:-default}`` for a default where it is
not set, ``${file:PATH}`` for what is in a file, ``$$`` for a dollar sign
(opentelemetry.io/docs/collector/configuration). A text of a few hundred bytes whose aliases unfold to gigabytes is
refused before it does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

from stepsize.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_TEXT_BYTES = 256 << 10
"""A configuration, or a file that it names."""
MAX_VALUES = 50_000
"""Values in all, after aliases are unfolded."""
_MAX_MERGED_MAPPINGS = 100
_REFERENCE = re.compile(
    r"\$\$"
    r"|\$\{file:(?P<file>[^}]+)\}"
    r"|\$\{(?:env:)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}"
    r"|\$\{[^}]*\}"
)


def parse_yaml(text: str, source: str, environ: Mapping[str, str], read: Callable[[str], str] | None = None) -> Any:
    """The values of a YAML document, references filled in.

    Args:
        text: the document.
        source: starts the messages of what is wrong with it.
        environ: environment variables.
        read: the text of a file by its path; raises `ConfigError`. Without it, ``${file:…}`` is refused.

    Raises:
        ConfigError: it is no YAML, is too large, or names a variable or file that is not there.
    """
    values = _values(text, source)
    try:
        return _Filling(environ, read).fill(values, source)
    except RecursionError:
        raise ConfigError(f"{source}: not valid YAML: it is nested too deeply") from None


def _values(text: str, source: str) -> Any:
    if len(text) > MAX_TEXT_BYTES:
        raise ConfigError(f"{source}: it is larger than {MAX_TEXT_BYTES} bytes")
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a safe loader, with more refusals
    except RecursionError:
        raise ConfigError(f"{source}: not valid YAML: it is nested too deeply") from None
    except ValueError as error:  # a date such as 2026-13-01
        raise ConfigError(f"{source}: not valid YAML: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise ConfigError(f"{source}{where}: not valid YAML: {problem}") from None


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

    def fill(self, value: Any, where: str) -> Any:
        """``value`` with every reference in it filled in."""
        self.made += 1
        if self.made > MAX_VALUES:
            raise ConfigError(f"{where.partition(':')[0]}: not valid YAML: it unfolds to more than {MAX_VALUES} values")
        if isinstance(value, dict):
            return {key: self.fill(inner, f"{where}: {key}") for key, inner in value.items()}
        if isinstance(value, list):
            return [self.fill(inner, where) for inner in value]
        if not isinstance(value, str):
            return value
        whole = _REFERENCE.fullmatch(value)
        if whole and whole["file"]:  # the value is all that the file holds: a list, say
            return _values(self._file(whole["file"], where), f"{where}: {whole['file']}")
        return _REFERENCE.sub(lambda match: self._text(match, where), value)

    def _text(self, match: re.Match[str], where: str) -> str:
        if match[0] == "$$":
            return "$"
        if match["file"]:
            return self._file(match["file"], where).rstrip("\r\n")
        name = match["name"]
        if name is None:
            raise ConfigError(
                f"{where}: {match[0]} is not understood; use ${{env:NAME}}, ${{env:NAME:-default}} or ${{file:PATH}}"
            )
        found = self.environ.get(name) or match["default"]  # as in a shell, `:-` stands in for an empty one too
        if found is None:
            raise ConfigError(
                f"{where}: environment variable {name} is not set; set it or give ${{env:{name}:-default}}"
            )
        return found

    def _file(self, path: str, where: str) -> str:
        if self.read is None:
            raise ConfigError(f"{where}: ${{file:{path}}} is not understood here: no files are read")
        try:
            return self.read(path)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
