"""The actions of the ``attributes`` and ``resource`` processors, and what they may be limited to.

Keys as upstream's attraction package (``Settings``) and filterconfig (``MatchConfig``), as far as metrics go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepsize.collector.components.patterns import pattern
from stepsize.collector.config.language import (
    Sections,
    choice,
    names,
    option,
    required_text,
    structure_of,
    text,
    word,
)

if TYPE_CHECKING:
    import re

ACTIONS = ("insert", "update", "upsert", "delete", "hash", "extract", "convert")
_SETTERS = ("insert", "update", "upsert")
_SOURCES = ("value", "from_attribute")
_USED = {
    **{setter: {"value", "from_attribute", "default_value"} for setter in _SETTERS},
    "delete": {"pattern"},
    "hash": {"pattern"},
    "extract": {"pattern"},
    "convert": {"converted_type"},
}


def attribute_value(value: Any) -> Any:
    """What an attribute may hold: text, a number, a boolean, or lists and mappings of them."""
    value = structure_of(value)
    if isinstance(value, list):
        return [attribute_value(inner) for inner in value]
    if isinstance(value, dict):
        return {required_text(key): attribute_value(inner) for key, inner in value.items()}
    if not isinstance(value, (str, bool, int, float)):
        raise TypeError(f"expected text, a number, true or false, a list or a mapping, found {value!r}")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"expected a number of 64 bits, found {value}")
    return text(value) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class ActionConfig:
    """One action on the attributes of a data point or resource."""

    action: str = option(
        word(*ACTIONS), says="`insert`, `update`, `upsert`, `delete`, `hash` (SHA-256), `extract`, `convert`"
    )
    key: str = option(required_text, default="", says="the attribute")
    value: Any = option(attribute_value, default=None, says="what it is set to")
    from_attribute: str = option(
        required_text, default="", says="the attribute whose value it is set to; nothing is done where there is none"
    )
    default_value: Any = option(
        attribute_value, default=None, says="what it is set to where `from_attribute` is not there"
    )
    pattern: re.Pattern[str] | None = option(
        pattern,
        default=None,
        says="`delete`, `hash`: attributes whose names match, too; `extract`: its named groups become attributes",
    )
    converted_type: str = option(
        choice("int", "double", "string"), default="", says="of `convert`: `int`, `double` or `string`"
    )

    def validate(self) -> None:
        """Refuse what cannot work, and what an action does not use."""
        given = {
            name
            for name in ("value", "from_attribute", "default_value", "pattern", "converted_type")
            if self._has(name)
        }
        if unused := sorted(given - _USED[self.action]):
            raise ValueError(f"action {self.action} does not use {', '.join(unused)}")
        if not self.key and (self.action not in ("delete", "hash") or self.pattern is None):
            raise ValueError(f"action {self.action} needs a key")
        if self.action in _SETTERS:
            self._validate_sources(given)
        if self.action == "extract":
            groups = self.pattern.groupindex if self.pattern else {}
            if not groups or len(groups) != (self.pattern.groups if self.pattern else 0):
                raise ValueError("action extract needs a pattern, every group of which has a name: (?P<name>…)")
        if self.action == "convert" and not self.converted_type:
            raise ValueError("action convert needs a converted_type")

    def _has(self, name: str) -> bool:
        return getattr(self, name) not in (None, "") or (name == "value" and self.value == "")

    def _validate_sources(self, given: set[str]) -> None:
        if not given:
            raise ValueError(f"action {self.action} needs a value, from_attribute or default_value")
        if given.issuperset(_SOURCES):
            raise ValueError("give a value or from_attribute, not both")


@dataclass(frozen=True, slots=True)
class AttributeMatchConfig:
    """An attribute, and what its value has to be."""

    key: str = option(required_text, says="the attribute")
    value: Any = option(
        attribute_value,
        default=None,
        says="its value (a pattern where `match_type` is `regexp`); any where it is left out",
    )


MATCH_TYPES = ("strict", "regexp")


@dataclass(frozen=True, slots=True)
class MatchConfig:
    """Metrics by name and by resource; all that is given has to match."""

    match_type: str = option(choice(*MATCH_TYPES), says="`strict` or `regexp`")
    metric_names: tuple[str, ...] = option(names, default=(), says="names of metrics; one has to match")
    resources: tuple[AttributeMatchConfig, ...] = option(
        Sections(AttributeMatchConfig), default=(), says="resource attributes; one has to match"
    )

    def validate(self) -> None:
        """Refuse what cannot work."""
        if not self.metric_names and not self.resources:
            raise ValueError("metric_names or resources are needed")
        check_patterns(self.match_type, self.metric_names, self.resources)


def check_patterns(match_type: str, named: tuple[str, ...], attributes: tuple[AttributeMatchConfig, ...]) -> None:
    """Refuse patterns that cannot be compiled.

    Raises:
        ValueError: one cannot.
    """
    if match_type == "regexp":
        for written in (*named, *(one.value for one in attributes if one.value is not None)):
            pattern(written)
