"""Where the catalogue in use lies: what `stepsize catalog update` fetched, else what ships with the package.

What comes in: settings, or the environment. What goes out: a directory of Parquet files. Never writes.

An update lies in a directory of its own below ``STEPSIZE_CATALOG``, which ``current.json`` names and which is replaced
whole: a reader sees the old or the new one. What was replaced stays until the next update, for whoever is reading it.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.errors import DataError
from stepsize.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

CURRENT = "current.json"


def directory(environ: Mapping[str, str] | None = None) -> Path:
    """The catalogue to read.

    Raises:
        DataError: an update is there and cannot be read.
    """
    return updated(home(Settings.load(environ))) or shipped()


def home(settings: Settings) -> Path:
    """Where updates are kept."""
    return settings.catalog or settings.data / "catalog"


def shipped() -> Path:
    """The catalogue that came with the package."""
    return Path(str(resources.files("stepsize.analyzer"))) / "catalog"


def updated(kept: Path) -> Path | None:
    """The newest update in ``kept``; None where there is none.

    Raises:
        DataError: what names it is damaged.
    """
    try:
        text = (kept / CURRENT).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DataError(f"cannot read {kept / CURRENT}: {error.strerror}; or set STEPSIZE_CATALOG elsewhere") from None
    try:
        name = json.loads(text)["directory"]
    except (ValueError, KeyError, TypeError):
        name = None
    if not isinstance(name, str) or Path(name).name != name or name.startswith("."):
        raise DataError(f"{kept / CURRENT} names no directory: remove it, or run `stepsize catalog update`")
    return kept / name
