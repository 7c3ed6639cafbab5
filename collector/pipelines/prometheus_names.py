"""OpenTelemetry's names as Prometheus's.

What comes in: names, units, attributes. What goes out: names and labels. Pure. The rules are those of upstream's
pkg/translator/prometheus (README.md, "Full normalization", "Labels") and of OpenTelemetry's specification
("Prometheus and OpenMetrics Compatibility").
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9:]+")
_NOT_IN_LABELS = re.compile(r"[^a-zA-Z0-9_]")
_UNITS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tibibytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "B": "bytes",
    "KB": "kilobytes",
    "MB": "megabytes",
    "GB": "gigabytes",
    "TB": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "1": "",
    "%": "percent",
    "$": "dollars",
}
_PER_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}


def metric_name(
    name: str,
    unit: str,
    *,
    namespace: str = "",
    suffixes: bool = True,
    is_counter: bool = False,
    is_gauge: bool = False,
) -> str:
    """The name of a metric; empty where no character of it can be kept."""
    tokens = _tokens(name)
    if suffixes and tokens:
        main, _, per = unit.partition("/")
        _add(tokens, main, _UNITS, [])
        _add(tokens, per, _PER_UNITS, ["per"])
        if is_counter:
            tokens = [*(token for token in tokens if token != "total"), "total"]  # noqa: S105 - a suffix
        elif is_gauge and unit == "1":
            tokens = [*(token for token in tokens if token != "ratio"), "ratio"]  # noqa: S105 - a suffix
    made = "_".join([*_tokens(namespace), *tokens]) if tokens else ""
    return f"_{made}" if made[:1].isdigit() else made


def label_name(key: str) -> str:
    """The name of a label."""
    made = _NOT_IN_LABELS.sub("_", key)
    if made[:1].isdigit():
        return f"key_{made}"
    return f"key{made}" if made.startswith("_") and not made.startswith("__") else made


def labels(attributes: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Attributes as labels; values of those that get one name are joined with ``;``, in the order of their keys."""
    made: dict[str, str] = {}
    for key, value in sorted(attributes):
        name = label_name(key)
        if name:
            made[name] = f"{made[name]};{value}" if name in made else value
    return made


def _tokens(name: str) -> list[str]:
    return [token for token in _NOT_IN_NAMES.split(name) if token]


def _add(tokens: list[str], unit: str, known: dict[str, str], before: list[str]) -> None:
    """Append a unit, unless it is an annotation (in braces) or the name has it."""
    unit = unit.strip()
    if not unit or "{" in unit or "}" in unit:
        return
    word = known.get(unit, "_".join(_tokens(unit)))
    if word and word not in tokens:
        tokens += [*before, word]
