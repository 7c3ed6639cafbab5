"""How much a statement may ask of DuckDB's parser and binder, which nobody can interrupt.

What comes in: tokens. What goes out: nothing, or a :class:`SqlError`. Pure. The bounds are far beyond what people and
programs write, and what is within them is parsed in well under a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.postgres.errors import SqlError
from stepsize.postgres.lexer import NAME, OPERATOR, SPACE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.postgres.lexer import Token

_MOST_TOKENS = 50_000
_DEEPEST = 200
_MOST_QUERIES = 500
_LONGEST_RUN = 200
_MOST_EXPANDED = 200_000
"""Tokens, once each alias of a SELECT list stands for what it was given: DuckDB binds it anew each time."""


def check(statement: Sequence[Token]) -> None:
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
            raise _too_complex()
    if _expanded(statement) > _MOST_EXPANDED:
        raise _too_complex()


def _too_complex() -> SqlError:
    return SqlError("54001", "the statement is too complex", hint="It nests too deep, or is too long.")


def _expanded(statement: Sequence[Token]) -> int:
    """The largest item of a list, its aliases replaced by what they stand for, and theirs: `a + a AS b, b + b AS c`.

    Counts too much where a name is a column's after all; only a chain of many doublings makes it many.
    """
    weights: list[dict[str, int]] = [{}]
    items = [0]
    most, last = 0, ""
    for one in statement:
        if one.kind == SPACE:
            continue
        if one.text in {"(", "["}:
            weights.append({})
            items.append(0)
        elif one.text in {")", "]"} and len(items) > 1:
            weights.pop()
            inner = items.pop()
            items[-1] += inner
        elif one.says("select"):
            weights[-1] = {}  # another SELECT of a UNION knows none of these
            items[-1] = 0
        elif one.text == "," or one.says("from"):
            if last:
                weights[-1][last] = items[-1]
            items[-1] = 0
        elif one.word:
            items[-1] += max([1, *(known[one.word] for known in weights if one.word in known)])
        else:
            items[-1] += 1
        last = one.word
        most = max(most, items[-1])
        if most > _MOST_EXPANDED:
            break
    return most
