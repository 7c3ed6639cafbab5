"""Write ``docs/reference.md`` and the tables of ``docs/collector.md``: ``make docs``. A test fails where one is old.

What comes in: the tables of ``stepsize.model`` and ``stepsize.settings``, the commands' help, the components of the
collector's configuration. What goes out: Markdown.
"""

from __future__ import annotations

import importlib
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

import click

from stepsize.cli import COMMANDS
from stepsize.collector.components.table import COMPONENTS
from stepsize.collector.config.language import Section, Sections
from stepsize.collector.config.service import Pipeline, TelemetryConfig
from stepsize.model import METRICS, POINT_COLUMNS, TASK_COLUMNS, Column
from stepsize.settings import table

PAGE = Path(__file__).with_name("reference.md")
COLLECTOR_PAGE = Path(__file__).with_name("collector.md")
MARK = "<!-- from here on written by `make docs` -->"
OTHER_VARIABLES = (
    "OpenTelemetry's other variables of its OTLP exporters (`OTEL_EXPORTER_OTLP_HEADERS`, `_TIMEOUT`, `_CERTIFICATE`, "
    "`_COMPRESSION`, …) and `OTEL_RESOURCE_ATTRIBUTES` mean what OpenTelemetry says. The collector has its settings in "
    "`otel-config.yaml`, which reads `STEPSIZE_LISTEN` for the address it listens on."
)
SENT_BY_WHOM = (
    "Any OpenTelemetry SDK may send these. Our own agent sends scratch space where a task has a temporary directory of "
    "its own, and use of GPUs as the sum over a task's devices; others may send it by device."
)


def _rows(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _columns(columns: tuple[Column, ...]) -> str:
    return _rows(("column", "type", "meaning"), [(f"`{c.name}`", f"`{c.type}`", c.description) for c in columns])


def _help(name: str, module: str) -> str:
    command: click.Command = importlib.import_module(module).command
    context = click.Context(command, info_name=f"stepsize {name}", terminal_width=100, max_content_width=100)
    return f"### stepsize {name}\n\n```text\n{command.get_help(context)}\n```"


def page() -> str:
    """The whole page."""
    metrics = [
        (f"`{m.name}`", m.kind.value, f"`{m.unit}`", " ".join(f"`{a}`" for a in m.attributes), m.description)
        for m in METRICS.values()
    ]
    settings = [(f"`{name}`", f"`{default}`" if default else "", meaning) for name, default, meaning in table()]
    return (
        "\n\n".join(
            [
                "# Reference",
                "Generated from the code by `make docs`.",
                "## Commands",
                *(_help(name, module) for name, module in COMMANDS.items()),
                "## Environment variables",
                "An option on the command line wins over the variable; an empty variable counts as not set.",
                _rows(("variable", "default", "meaning"), settings),
                OTHER_VARIABLES,
                "## Metrics",
                SENT_BY_WHOM,
                _rows(("metric", "kind", "unit", "attributes", "meaning"), metrics),
                "## View `tasks`",
                "One row per attempt of a task.",
                _columns(TASK_COLUMNS),
                "## View `points`",
                _columns(POINT_COLUMNS),
            ]
        )
        + "\n"
    )


def keys(kind: type[Any], prefix: str = "") -> list[tuple[str, Field[Any]]]:
    """Every key of a component's configuration, those of its sections after them."""
    found = []
    for row in fields(kind):
        key = f"{prefix}{row.metadata['key'] or row.name}"
        found.append((key, row))
        parse = row.metadata["parse"]
        if isinstance(parse, Section):
            found += keys(parse.kind, f"{key}.")
        elif isinstance(parse, Sections):
            found += keys(parse.kind, f"{key}[].")
    return found


def _default(row: Field[Any]) -> str:
    if row.default is MISSING and row.default_factory is MISSING:
        return "*needed*"
    value = row.default
    if value is MISSING or value in (None, "", ()):
        return ""
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if row.name.endswith("_s") and isinstance(value, (int, float)):
        return f"`{value * 1000:g}ms`" if 0 < value < 1 else f"`{value:.0f}s`"
    return f"`{value}`"


def meaning(row: Field[Any]) -> str:
    """What a key is for; of a section, what its class says where it says nothing itself."""
    parse = row.metadata["parse"]
    if not row.metadata["says"] and isinstance(parse, (Section, Sections)):
        return (parse.kind.__doc__ or "").splitlines()[0].rstrip(".")
    said: str = row.metadata["says"]
    return said


def _component(title: str, kind: type[Any], level: str = "###") -> str:
    rows = [(f"`{key}`", _default(row), meaning(row)) for key, row in keys(kind)]
    return f"{level} {title}\n\n" + (_rows(("key", "default", "meaning"), rows) if rows else "It has no keys.")


def collector_page(text: str) -> str:
    """``docs/collector.md``: what is written by hand in ``text``, and every key there is."""
    parts = [text.partition(MARK)[0] + MARK]
    for section, types in COMPONENTS.items():
        parts.append(f"## {section}")
        parts += [_component(f"{section}: {name}", kind) for name, kind in types.items()]
    parts += ["## service", _component("service.pipelines.NAME", Pipeline)]
    parts.append(_component("service.telemetry", TelemetryConfig))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    COLLECTOR_PAGE.write_text(collector_page(COLLECTOR_PAGE.read_text("utf-8")), encoding="utf-8")
