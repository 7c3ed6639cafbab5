"""Text as DuckDB's SQL writes it, for statements that take no parameters (ATTACH, CREATE VIEW).

What comes in: text. What goes out: SQL. Never does I/O. Standard library only.
"""

from __future__ import annotations


def literal(text: str) -> str:
    """``text`` as a literal, quotes in it doubled."""
    return "'" + text.replace("'", "''") + "'"
