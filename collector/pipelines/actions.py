"""Actions on attributes, as the ``attributes`` and ``resource`` processors do them.

What comes in: configurations, once; repeated ``KeyValue`` fields, often. What goes out: the fields, changed in place.
Meanings as upstream's internal/coreinternal/attraction. Never fails: what cannot be converted stays as it is.
"""

from __future__ import annotations

import hashlib
import re
import struct
from typing import TYPE_CHECKING, Any

from stepsize.collector.pipelines.values import as_text, find, plain, set_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepsize.collector.components.actions import ActionConfig

    Action = Callable[[Any], None]

_INT64 = range(-(2**63), 2**63)
_INT = re.compile(r"[+-]?\d{1,19}")
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity)|nan", re.IGNORECASE)


def compile_actions(configs: Sequence[ActionConfig]) -> Action:
    """One function that does all of the actions, in order, to a repeated ``KeyValue``."""
    actions = [_compiled(config) for config in configs]

    def act(attributes: Any) -> None:
        for action in actions:
            action(attributes)

    return act


def _compiled(config: ActionConfig) -> Action:
    if config.action in ("insert", "update", "upsert"):
        return _setter(config)
    if config.action == "delete":
        return _on_keys(config, lambda attributes, index: attributes.__delitem__(index))
    if config.action == "hash":
        return _on_keys(config, lambda attributes, index: _hash(attributes[index].value))
    if config.action == "extract":
        return _extractor(config)
    return lambda attributes: _convert(find(attributes, config.key), config.converted_type)


def _setter(config: ActionConfig) -> Action:
    inserts, updates = config.action in ("insert", "upsert"), config.action in ("update", "upsert")

    def act(attributes: Any) -> None:
        target = find(attributes, config.key)
        if (target is None and not inserts) or (target is not None and not updates):
            return
        value = config.value
        if value is None:
            source = find(attributes, config.from_attribute) if config.from_attribute else None
            value = config.default_value if source is None else plain(source)
            if value is None and source is None:
                return
        set_plain(attributes.add(key=config.key).value if target is None else target, value)

    return act


def _on_keys(config: ActionConfig, do: Callable[[Any, int], None]) -> Action:
    def act(attributes: Any) -> None:
        for index in reversed(range(len(attributes))):
            key = attributes[index].key
            if key == config.key or (config.pattern is not None and config.pattern.search(key)):
                do(attributes, index)

    return act


def _extractor(config: ActionConfig) -> Action:
    assert config.pattern
    compiled = config.pattern

    def act(attributes: Any) -> None:
        source = find(attributes, config.key)
        if source is None or source.WhichOneof("value") != "string_value":
            return
        match = compiled.search(source.string_value)
        if match is None:
            return
        for name, found in match.groupdict(default="").items():
            target = find(attributes, name)
            set_plain(attributes.add(key=name).value if target is None else target, found)

    return act


def _hash(value: Any) -> None:
    """SHA-256 in hex of the bytes of a value; nothing in, nothing out, as upstream has it."""
    found = plain(value)
    if isinstance(found, bool):
        content = bytes([found])
    elif isinstance(found, int):
        content = struct.pack("<q", found)
    elif isinstance(found, float):
        content = struct.pack("<d", found)
    else:
        content = found.encode() if isinstance(found, str) else as_text(found).encode()
    set_plain(value, hashlib.sha256(content).hexdigest() if content else "")


def _convert(value: Any, to: str) -> None:
    if value is None:
        return
    found = plain(value)
    if to == "string":
        if not isinstance(found, str):
            set_plain(value, as_text(found))
    elif isinstance(found, (str, bool, int, float)):
        converted = _whole(found) if to == "int" else _double(found)
        if converted is not None:
            set_plain(value, converted)


def _whole(found: str | float) -> int | None:
    if isinstance(found, str) and not _INT.fullmatch(found):
        return None
    try:
        made = int(found)
    except (ValueError, OverflowError):  # NaN, infinity
        return None
    return made if made in _INT64 else None


def _double(found: str | float) -> float | None:
    if isinstance(found, str) and not _FLOAT.fullmatch(found):
        return None
    return float(found)
