"""The report as text in one of several formats: one module each, found by this plain table.

What comes in: the frozen records of ``stepsize.analyzer.report``. What goes out: a string. Never computes advice, never
writes a file. A format's module is imported when it is asked for: rich and jinja2 take their time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from stepsize.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import PurePath

    from stepsize.analyzer.report import StepReport

DEFAULT_FORMAT = "table"
FORMATS: Mapping[str, str] = {
    "table": "stepsize.analyzer.formats.table",
    "json": "stepsize.analyzer.formats.json_text",
    "csv": "stepsize.analyzer.formats.csv_text",
    "markdown": "stepsize.analyzer.formats.markdown",
    "html": "stepsize.analyzer.formats.html_page",
}
"""Format → module whose ``render(reports) -> str`` makes it."""
_SUFFIXES: Mapping[str, str] = {
    ".txt": "table",
    ".json": "json",
    ".csv": "csv",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
}


def render(reports: Sequence[StepReport], format: str) -> str:  # noqa: A002 - the option's own name
    """``reports`` in ``format``, without colours.

    Raises:
        UsageError: no such format; the message names those that are.
    """
    if format not in FORMATS:
        raise UsageError(f"no format is called {format!r}; known are {', '.join(FORMATS)}")
    text: str = importlib.import_module(FORMATS[format]).render(reports)
    return text


def format_of(path: PurePath) -> str:
    """The format that a file's suffix stands for.

    Raises:
        UsageError: it stands for none.
    """
    found = _SUFFIXES.get(path.suffix.lower())
    if found is None:
        raise UsageError(
            f"{path.name}: its suffix stands for no format; name it {', '.join(_SUFFIXES)} or give --format"
        )
    return found
