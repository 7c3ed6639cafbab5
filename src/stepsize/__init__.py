"""stepsize: measure what every workflow step really uses; request exactly that.

Importing this package costs next to nothing: it runs beside user code, so every part is imported where it is used, and
what it offers to programs (see ``docs/api.md``) when its name is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stepsize.api.current import current
    from stepsize.api.facts import Stats
    from stepsize.api.lake import OpenLake, open_lake
    from stepsize.api.loading import load, loads
    from stepsize.api.notes import annotate
    from stepsize.api.recorded import Recorded
    from stepsize.api.tracked import Tracked
    from stepsize.api.tracking import track
    from stepsize.identity import Outcome, Request

__version__ = "0.1.0"

__all__ = [
    "OpenLake",
    "Outcome",
    "Recorded",
    "Request",
    "Stats",
    "Tracked",
    "__version__",
    "annotate",
    "current",
    "load",
    "loads",
    "open_lake",
    "track",
]

_HOMES = {
    "OpenLake": "stepsize.api.lake",
    "Outcome": "stepsize.identity",
    "Recorded": "stepsize.api.recorded",
    "Request": "stepsize.identity",
    "Stats": "stepsize.api.facts",
    "Tracked": "stepsize.api.tracked",
    "annotate": "stepsize.api.notes",
    "current": "stepsize.api.current",
    "load": "stepsize.api.loading",
    "loads": "stepsize.api.loading",
    "open_lake": "stepsize.api.lake",
    "track": "stepsize.api.tracking",
}
"""Where each name of `__all__` lives (PEP 562)."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'stepsize' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - as the module says

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
