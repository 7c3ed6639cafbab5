"""The report as text in one of several formats: one module each, found by this plain table.

What comes in: the frozen records of ``stepsize.analyzer.report``, and for pictures those of
``stepsize.analyzer.course``. What goes out: a string. Never computes advice, never reads a lake, never writes a file. A
format's module is imported when it is asked for: rich and jinja2 take their time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from stepsize.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import PurePath

    from stepsize.analyzer.course import Course, StepKey
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
_WITH_PICTURES = frozenset(("html",))
_SUFFIXES: Mapping[str, str] = {
    ".txt": "table",
    ".json": "json",
    ".csv": "csv",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
}


def render(
    reports: Sequence[StepReport],
    format: str,  # noqa: A002 - the option's own name
    courses: Mapping[StepKey, Course] | None = None,
) -> str:
    """``reports`` in ``format``, without colours.

    Args:
        reports: what to tell.
        format: how.
        courses: of the steps that :func:`steps_drawn` names, for a format with pictures.

    Raises:
        UsageError: no such format; the message names those that are.
    """
    if format not in FORMATS:
        raise UsageError(f"no format is called {format!r}; known are {', '.join(FORMATS)}")
    module = importlib.import_module(FORMATS[format])
    text: str = module.render(reports, courses) if format in _WITH_PICTURES else module.render(reports)
    return text


def steps_drawn(reports: Sequence[StepReport], format: str) -> list[StepKey]:  # noqa: A002 - as above
    """The steps whose courses ``format`` draws."""
    if format not in _WITH_PICTURES:
        return []
    drawn: list[StepKey] = importlib.import_module(FORMATS[format]).steps_drawn(reports)
    return drawn


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
