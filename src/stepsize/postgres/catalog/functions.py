"""Functions that mean something else in DuckDB, or take other arguments there.

What comes in: the tokens of a statement. What goes out: tokens. Pure. Rewrites as the package's docstring describes
them; ``rewrites`` says in which order they are done. What they call is in ``sql/70_values.sql``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stepsize.postgres import lexer
from stepsize.postgres.catalog import making, operands
from stepsize.postgres.lexer import MARK, NAME, NUMBER, STRING, Token

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.postgres.catalog.rewrites import Context

_BY_COUNT = {
    ("date_trunc", 3): "_date_trunc",
    ("encode", 2): "_encode",
    ("decode", 2): "_decode",
    ("lpad", 2): "_lpad",
    ("rpad", 2): "_rpad",
    ("array_to_string", 3): "_array_to_string",
    ("to_timestamp", 2): "_to_timestamp",
    ("every", 1): "bool_and",
    ("length", 1): "_length",
    ("octet_length", 1): "_octet_length",
    ("bit_length", 1): "_bit_length",
    ("to_hex", 1): "_to_hex",
    ("make_timestamptz", 6): "_make_timestamptz",
    ("make_timestamptz", 7): "_make_timestamptz",
}
"""Name and number of arguments → what is called in its place. A macro with the name of a function of DuckDB's would be
called by the lake's views too, so these have names of their own."""
_FRACTIONS = {
    **dict.fromkeys(("second", "seconds", "sec", "secs"), "_seconds"),
    **dict.fromkeys(("millisecond", "milliseconds", "msec", "msecs"), "_milliseconds"),
}
"""Parts of a time that have a fraction in Postgres → what gives it."""


def _arguments(inner: list[Token]) -> list[list[Token]]:
    """What commas separate in a call."""
    found: list[list[Token]] = [[]]
    depth = 0
    for one in inner:
        depth += (one.text in {"(", "[", "{"}) - (one.text in {")", "]", "}"})
        if depth == 0 and one.text == ",":
            found.append([])
        else:
            found[-1].append(one)
    return found if inner else []


def calls(words: list[Token], _: Context) -> list[Token]:
    """Calls that DuckDB has otherwise, from the innermost outwards."""
    found: list[Token] = []
    place = 0
    while place < len(words):
        end = operands.call_end(words, place) if words[place].word in _CALLS else 0
        if not end or (place and words[place - 1].text == "."):
            found.append(words[place])
            place += 1
            continue
        inner = calls(words[place + 2 : end - 1], _)
        made = _CALLS[words[place].word](words[place], inner)
        found += [words[place], making.OPEN, *inner, making.CLOSE] if made is None else made
        place = end
    return found


def _by_count(name: Token, inner: list[Token]) -> list[Token] | None:
    other = _BY_COUNT.get((name.word, len(_arguments(inner))))
    return [Token(NAME, other), making.OPEN, *inner, making.CLOSE] if other else None


def _extract(_: Token, inner: list[Token]) -> list[Token] | None:
    """``extract(second from x)`` with its fraction."""
    other = _FRACTIONS.get(lexer.literal(inner[0]).lower()) if len(inner) > 2 and inner[1].says("from") else None
    return making.called(other, inner[2:]) if other else None


def _date_part(_: Token, inner: list[Token]) -> list[Token] | None:
    arguments = _arguments(inner)
    is_named = len(arguments) == 2 and len(arguments[0]) == 1 and arguments[0][0].kind == STRING
    other = _FRACTIONS.get(lexer.literal(arguments[0][0]).lower()) if is_named else None
    return making.called(other, arguments[1]) if other else None


def _groups(pattern: str) -> int | None:
    """How many groups a regular expression has; None where Python does not understand it."""
    try:
        return re.compile(pattern).groups
    except (re.error, RecursionError, OverflowError):
        return None


def _substring(_: Token, inner: list[Token]) -> list[Token] | None:
    """``substring(x from 'a(.)b')`` is the group, or all that was found; NULL where nothing was."""
    if len(inner) < 3 or not inner[-2].says("from") or inner[-1].kind != STRING:
        return None
    pattern = inner[-1]
    if (groups := _groups(lexer.literal(pattern))) is None:
        return None
    taken = making.called("regexp_extract", inner[:-2], [pattern], [Token(NUMBER, "1" if groups else "0")])
    found = making.called("regexp_matches", inner[:-2], [pattern])
    return making.where(found, taken)


def _regexp_match(_: Token, inner: list[Token]) -> list[Token] | None:
    """``regexp_match(x, 'a(.)(.)')`` is the groups, or all that was found, as an array."""
    arguments = _arguments(inner)
    if len(arguments) != 2 or len(arguments[1]) != 1 or arguments[1][0].kind != STRING:
        return None
    said, pattern = arguments
    if (groups := _groups(lexer.literal(pattern[0]))) is None:
        return None
    parts: list[Token] = []
    for group in range(1, groups + 1) if groups else (0,):
        parts += [making.COMMA, *making.called("regexp_extract", said, pattern, [Token(NUMBER, str(group))])]
    items = [Token(MARK, "["), *parts[1:], Token(MARK, "]")]
    matches = making.called("regexp_matches", said, pattern)
    return making.where(matches, items)


_SPECIFIER = re.compile(r"%(?:([1-9][0-9]*)\$)?([sIL%])")


def _format(_: Token, inner: list[Token]) -> list[Token] | None:
    """``format('%s is %I', a, b)``; what has no ``%`` is DuckDB's own."""
    arguments = _arguments(inner)
    if not arguments or len(arguments[0]) != 1 or arguments[0][0].kind != STRING:
        return None
    said = lexer.literal(arguments[0][0])
    if "%" not in said or said.count("%") != sum(one[0].count("%") for one in _SPECIFIER.finditer(said)):
        return None
    parts: list[list[Token]] = []
    place, number = 0, 0
    for one in _SPECIFIER.finditer(said):
        parts.append([making.text(said[place : one.start()] + ("%" if one[2] == "%" else ""))])
        place = one.end()
        if one[2] == "%":
            continue
        number = int(one[1]) if one[1] else number + 1
        if number >= len(arguments):
            return None  # too few, which DuckDB says as well
        quoted = {"s": "", "I": "quote_ident", "L": "quote_nullable"}[one[2]]
        parts.append(making.called(quoted, arguments[number]) if quoted else arguments[number])
    parts.append([making.text(said[place:])])
    return making.called("concat", *parts)


_CALLS: dict[str, Callable[[Token, list[Token]], list[Token] | None]] = {
    **{name: _by_count for name, _ in _BY_COUNT},
    "extract": _extract,
    "date_part": _date_part,
    "substring": _substring,
    "regexp_match": _regexp_match,
    "format": _format,
}
