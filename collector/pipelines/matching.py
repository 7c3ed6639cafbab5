"""``include`` and ``exclude``: which metrics, which resources.

What comes in: configurations, once; names and attributes, often. What goes out: whether they match. ``strict`` is
equality, ``regexp`` a search without anchors, as RE2's MatchString.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from stepsize.collector.components.patterns import pattern
from stepsize.collector.pipelines.values import as_text, find, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepsize.collector.components.actions import AttributeMatchConfig, MatchConfig

_REMEMBERED = 4096


def name_matcher(match_type: str, names: Sequence[str]) -> Callable[[str], bool]:
    """Whether a name is one of ``names``; what was asked lately is remembered."""
    if match_type == "strict":
        return frozenset(names).__contains__
    patterns = [pattern(name) for name in names]

    @lru_cache(_REMEMBERED)
    def matches(name: str) -> bool:
        return any(one.search(name) for one in patterns)

    return matches


def attribute_matcher(match_type: str, wanted: AttributeMatchConfig) -> Callable[[Any], bool]:
    """Whether a repeated ``KeyValue`` holds an attribute."""
    if wanted.value is None:
        return lambda attributes: find(attributes, wanted.key) is not None
    if match_type == "strict":

        def equals(attributes: Any) -> bool:
            found = find(attributes, wanted.key)
            if found is None:
                return False
            value = plain(found)
            return isinstance(value, bool) == isinstance(wanted.value, bool) and bool(value == wanted.value)

        return equals
    compiled = pattern(wanted.value)

    def matches(attributes: Any) -> bool:
        found = find(attributes, wanted.key)
        return found is not None and compiled.search(as_text(plain(found))) is not None

    return matches


def metric_matcher(config: MatchConfig | None) -> Callable[[Any, str], bool] | None:
    """Whether a metric of a resource (its attributes, its name) matches all that ``config`` asks for."""
    if config is None:
        return None
    names = name_matcher(config.match_type, config.metric_names) if config.metric_names else None
    resources = [attribute_matcher(config.match_type, wanted) for wanted in config.resources]

    def matches(attributes: Any, name: str) -> bool:
        return (names is None or names(name)) and (not resources or any(one(attributes) for one in resources))

    return matches
