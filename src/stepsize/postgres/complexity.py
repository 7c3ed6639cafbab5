"""How much a statement may ask of DuckDB's parser and binder, which nobody can interrupt.

What comes in: tokens. What goes out: nothing, or a :class:`SqlError`. Pure. The bounds are far beyond what people and
programs write, and what is within them is parsed in well under a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.postgres.errors import SqlError
from stepsize.postgres.lexer import NAME, OPERATOR, SPACE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepsize.postgres.lexer import Token

_MOST_TOKENS = 50_000
_DEEPEST = 200
_MOST_QUERIES = 500
_LONGEST_RUN = 200


def check(statement: Iterable[Token]) -> None:
    """Refuse what nests too deep, or is too long.

    Raises:
        SqlError: it is.
    """
    depth = count = queries = run = 0
    for one in statement:
        if one.kind == SPACE:
            continue
        count += 1
        word = one.text.lower() if one.kind == NAME else one.text
        if word in {"(", "[", "{", "case"}:
            depth += 1
        elif word in {")", "]", "}", "end"}:
            depth -= 1
        queries += word in {"select", "from", "values"}
        run = run + 1 if one.kind == OPERATOR or word in {"not", "::"} else (run if one.kind == NAME else 0)
        if depth > _DEEPEST or count > _MOST_TOKENS or queries > _MOST_QUERIES or run > _LONGEST_RUN:
            raise SqlError("54001", "the statement is too complex", hint="It nests too deep, or is too long.")
