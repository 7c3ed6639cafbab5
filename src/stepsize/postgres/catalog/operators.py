"""Operators that DuckDB does not have, or has otherwise.

What comes in: the tokens of a statement. What goes out: tokens. Pure. A rewrite as the package's docstring describes
them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stepsize.postgres import lexer
from stepsize.postgres.catalog import making, operands
from stepsize.postgres.lexer import OPERATOR, STRING, Token
from stepsize.store.version import IS_BEFORE_2

if TYPE_CHECKING:
    from stepsize.postgres.catalog.rewrites import Context

_MATCHES = {"~": ("", ""), "~*": ("", "i"), "!~": ("NOT", ""), "!~*": ("NOT", "i")}
_COMPARISONS = frozenset({"=", "<", ">", "<=", ">=", "<>", "!="})
_ARROWS = frozenset({"->", "->>"})


def operators(words: list[Token], _: Context) -> list[Token]:
    """``SIMILAR TO``, ``#>``, ``#>>`` and ``?`` with literals; ``->`` and ``->>``, which bind less in DuckDB than
    comparisons; ``~`` and its like, which have to match the whole text before DuckDB 2."""
    found: list[Token] = []
    place = 0
    while place < len(words):
        one = words[place]
        after = words[place + 1] if place + 1 < len(words) else None
        is_literal = after is not None and after.kind == STRING
        if after is None:
            made = None
        elif IS_BEFORE_2 and one.kind == OPERATOR and one.text in _MATCHES and found:
            made = _matched(found, words, place)
        elif one.text in _ARROWS and is_literal and found:
            start = operands.start(found)
            made = [*found[:start], making.OPEN, *found[start:], one, after, making.CLOSE], place + 2
        elif one.text in {"#>", "#>>"} and is_literal:
            path = making.text(_path(lexer.literal(after)))
            made = [*found, Token(OPERATOR, "->" if one.text == "#>" else "->>"), path], place + 2
        elif one.text == "?" and is_literal and found:
            start = operands.start(found)
            key = lexer.literal(after).replace("\\", "\\\\").replace('"', '\\"')
            exists = making.called("json_exists", found[start:], [making.text(f'$."{key}"')])
            made = [*found[:start], *exists], place + 2
        elif one.says("similar") and after.says("to") and place + 2 < len(words) and words[place + 2].kind == STRING:
            pattern = making.text(_similar(lexer.literal(words[place + 2])))
            made = [*found, one, after, pattern], place + 3
        else:
            made = None
        if made is None:
            found.append(one)
            place += 1
        else:
            found, place = made
    return found


def _path(said: str) -> str:
    """``{a,0}`` as DuckDB has it: ``$."a"[0]``."""
    parts = [one.strip().strip('"') for one in said.strip("{}").split(",") if one.strip()]
    return "$" + "".join(f"[{one}]" if one.isdecimal() else f'."{one}"' for one in parts)


def _similar(pattern: str) -> str:
    """A pattern of SIMILAR TO as the regular expression that DuckDB takes there."""
    parts = re.findall(r"\\.|\[(?:\^)?\]?[^\]]*\]|.", pattern, re.DOTALL)
    known = {"%": ".*", "_": ".", ".": "\\.", "^": "\\^", "$": "\\$"}
    return "".join(known.get(one, one) for one in parts)


def _matched(found: list[Token], words: list[Token], place: int) -> tuple[list[Token], int] | None:
    """``a ~ b`` as ``regexp_matches(a, b)``."""
    negation, flags = _MATCHES[words[place].text]
    start = operands.start(found)
    while start > 1 and found[start - 1].kind == OPERATOR and found[start - 1].text not in _COMPARISONS:
        start = operands.start(found[: start - 1])  # what binds as much, or more
    end = operands.end(words, place + 1)
    arguments = [found[start:], words[place + 1 : end], *([[making.text(flags)]] if flags else [])]
    made = making.called("regexp_matches", *arguments)
    whole = [making.OPEN, *making.names(negation), *made, making.CLOSE] if negation else made
    return [*found[:start], *whole], end
