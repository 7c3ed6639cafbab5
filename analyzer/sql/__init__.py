"""The analyzer's SQL, one query per file.

What comes in: a query's name. What goes out: its text. Never builds SQL from values: those are parameters.
"""

from __future__ import annotations

from importlib import resources


def query_text(name: str) -> str:
    """The text of ``<name>.sql`` in this folder."""
    return resources.files(__name__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
