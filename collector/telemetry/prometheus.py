"""Metrics as Prometheus reads them.

What comes in: families. What goes out: text of the exposition format 0.0.4. Never does I/O.

Names are given out as they are, without suffixes for units and types, as the OpenTelemetry Collector does by default
(`without_units`, `without_type_suffix`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.collector.telemetry.registry import SUM

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepsize.collector.telemetry.registry import Family

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_VALUE_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})


def exposition(families: Iterable[Family], **constant: str) -> str:
    """The text of ``families``; ``constant`` labels are put on every series."""
    lines: list[str] = []
    for family in families:
        lines.append(f"# HELP {family.name} {family.description.translate(_HELP_ESCAPES)}")
        lines.append(f"# TYPE {family.name} {'counter' if family.kind == SUM else 'gauge'}")
        lines += [f"{family.name}{_written({**constant, **dict(labels)})} {value}" for labels, value in family.samples]
    return "\n".join([*lines, ""])


def _written(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{text.translate(_VALUE_ESCAPES)}"' for name, text in labels.items()) + "}"
