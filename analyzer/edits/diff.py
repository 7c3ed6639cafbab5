"""Two texts as a unified diff that ``patch`` and ``git apply`` take. Pure.

What comes in: texts and a path. What goes out: a string, empty where they are equal. Line ends are kept, a last line
without one is marked.
"""

from __future__ import annotations

import difflib

_NO_END = "\\ No newline at end of file"
_CONTEXT = 3


def unified(before: str, after: str, path: str) -> str:
    """The difference under ``a/path`` and ``b/path``."""
    lines = difflib.unified_diff(_lines(before), _lines(after), f"a/{path}", f"b/{path}", n=_CONTEXT)
    return "".join(line if line.endswith("\n") else f"{line}\n{_NO_END}\n" for line in lines)


def _lines(text: str) -> list[str]:
    """Lines as ``patch`` counts them: at line feeds alone, not at the other breaks that Python knows."""
    parts = text.split("\n")
    return [f"{part}\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
