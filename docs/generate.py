"""Write ``docs/reference.md`` and the tables of ``docs/collector.md``: ``make docs``. A test fails where one is old.

What comes in: the tables of ``stepsize.model`` and ``stepsize.settings``, the commands' help, the components of the
collector's configuration. What goes out: Markdown.
"""

from __future__ import annotations

import importlib
import json
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

import click

from stepsize.cli import COMMANDS, cli
from stepsize.collector.components.parquet_exporter import bound_bytes
from stepsize.collector.components.table import ALIASES, COMPONENTS
from stepsize.collector.config.language import Secret, Section, Sections
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
    stepsize = {**cli.context_settings, "terminal_width": 100, "max_content_width": 100}
    return _help_of(importlib.import_module(module).command, name, click.Context(cli, info_name="stepsize", **stepsize))


def _help_of(command: click.Command, name: str, above: click.Context) -> str:
    """As ``stepsize NAME --help`` writes it: what a context is not told it has from the one above."""
    context = click.Context(command, parent=above, info_name=name)
    page = f"### {context.command_path}\n\n```text\n{command.get_help(context)}\n```"
    below = command.commands if isinstance(command, click.Group) else {}
    return "\n\n".join([page, *(_help_of(each, word, context) for word, each in below.items())])


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
    if value is MISSING or value in (None, "", (), Secret("")):
        return ""
    return f"`{_written(row, value)}`"


def _written(row: Field[Any], value: Any) -> str:
    """A default as it would stand in a configuration."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if row.name.endswith("_s") and isinstance(value, (int, float)):
        return _as_go_writes_it(value)
    if isinstance(value, tuple):
        return f"[{', '.join(json.dumps(one) for one in value)}]"
    if row.metadata["parse"] is bound_bytes:
        return f"{value / 2**30:g}GiB" if value >= 1 << 30 else f"{value / 2**20:g}MiB"
    return str(value)


def _as_go_writes_it(seconds: float) -> str:
    """A duration in the largest unit of which it is a whole number."""
    for unit, length_s in (("h", 3600), ("m", 60)):
        if seconds and seconds % length_s == 0:
            return f"{seconds / length_s:.0f}{unit}"
    return f"{seconds * 1000:g}ms" if 0 < seconds < 1 else f"{seconds:.0f}s"


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
        also = {of: alias for alias, of in ALIASES.get(section, {}).items()}
        titles = {name: f"{section}: {name}" + (f", or {also[name]}" if name in also else "") for name in types}
        parts += [_component(titles[name], kind) for name, kind in types.items()]
    parts += ["## service", _component("service.pipelines.NAME", Pipeline)]
    parts.append(_component("service.telemetry", TelemetryConfig))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    COLLECTOR_PAGE.write_text(collector_page(COLLECTOR_PAGE.read_text("utf-8")), encoding="utf-8")
