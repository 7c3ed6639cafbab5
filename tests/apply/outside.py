"""What of a flow's source no edit may touch."""

from __future__ import annotations

import ast

SIZES = ("resources", "needs", "kubernetes", "batch", "timeout")


def outside(text: str) -> bytes:
    """The text without the lines of decorators that say sizes, and of imports from Metaflow: found by Python itself."""
    dropped: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("metaflow"):
            dropped.update(range(node.lineno, (node.end_lineno or 0) + 1))
        for decorator in getattr(node, "decorator_list", ()):
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            name = called.attr if isinstance(called, ast.Attribute) else called.id
            if name.removeprefix("metaflow_") in SIZES:
                dropped.update(range(decorator.lineno, decorator.end_lineno + 1))
    lines = text.splitlines(keepends=True)
    return "".join(line for number, line in enumerate(lines, 1) if number not in dropped).encode()
