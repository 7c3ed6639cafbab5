"""The environment: settings that are wrong, and names that mean nothing.

What comes in: environment variables. What goes out: the settings, where they can be read, and findings.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from stepsize.commands.checks.finding import Finding, Level
from stepsize.errors import ConfigError
from stepsize.settings import Settings, table

if TYPE_CHECKING:
    from collections.abc import Mapping

_PART = "settings"
_OTHERS = frozenset(
    {"STEPSIZE_LISTEN", "STEPSIZE_PYTHON", "STEPSIZE_PYTHONPATH", "STEPSIZE_REQUEST", "STEPSIZE_TRACKED"}
)
"""Variables that are no settings: the collector's configuration names one, the rest are handed on between processes."""


def check_environment(environ: Mapping[str, str], data: str | None) -> tuple[Settings | None, list[Finding]]:
    """The settings, ``None`` where one is wrong, and what is to be said of them."""
    unknown = list(_unknown(environ))
    try:
        settings = Settings.load(environ, data=data)
    except ConfigError as error:
        said = f"{error}; nothing is tracked"
        return None, [Finding(_PART, Level.FAULT, said, "correct or unset the variable"), *unknown]
    if settings.sdk_disabled:
        off = Finding(_PART, Level.NOTE, "OTEL_SDK_DISABLED=true: nothing is tracked", "unset it")
        return settings, [off, *unknown]
    where = settings.metrics_endpoint or settings.endpoint or f"the collector of {settings.data}"
    return settings, [Finding(_PART, Level.WELL, f"points go to {where}"), *unknown]


def _unknown(environ: Mapping[str, str]) -> list[Finding]:
    known = {name for name, _, _ in table()} | _OTHERS
    found = []
    for name in sorted(environ):
        if name.startswith("STEPSIZE_") and name not in known:
            near = difflib.get_close_matches(name, known, 1)
            remedy = f"did you mean {near[0]}?" if near else "see docs/reference.md for those there are"
            found.append(Finding(_PART, Level.NOTE, f"{name} is no variable of stepsize's", remedy))
    return found
