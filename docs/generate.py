"""Write ``docs/reference.md`` from the tables in the code: ``make docs``. A test fails where it is out of date.

What comes in: the tables of ``stepsize.model`` and ``stepsize.settings``, the commands' help. What goes out: Markdown.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from stepsize.cli import COMMANDS
from stepsize.model import METRICS, POINT_COLUMNS, TASK_COLUMNS, Column
from stepsize.settings import table

PAGE = Path(__file__).with_name("reference.md")
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


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
