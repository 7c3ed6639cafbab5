"""Functions and operators that mean something else in DuckDB, or take other arguments there.

What comes in: the tokens of a statement. What goes out: tokens. Pure. Rewrites as the package's docstring describes
them; ``rewrites`` says in which order they are done. What they call is in ``sql/70_values.sql``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import duckdb

from stepsize.postgres import lexer
from stepsize.postgres.catalog import operands
from stepsize.postgres.lexer import MARK, NAME, NUMBER, OPERATOR, STRING, Token

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.postgres.catalog.rewrites import Context

_OPEN, _CLOSE, _COMMA = Token(MARK, "("), Token(MARK, ")"), Token(MARK, ",")
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


def _text(value: str) -> Token:
    return Token(STRING, "'" + value.replace("'", "''") + "'")


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
        found += [words[place], _OPEN, *inner, _CLOSE] if made is None else made
        place = end
    return found


def _called(name: str, *arguments: list[Token]) -> list[Token]:
    parts = [part for one in arguments for part in (_COMMA, *one)]
    return [Token(NAME, name), _OPEN, *parts[1:], _CLOSE]


def _by_count(name: Token, inner: list[Token]) -> list[Token] | None:
    other = _BY_COUNT.get((name.word, len(_arguments(inner))))
    return [Token(NAME, other), _OPEN, *inner, _CLOSE] if other else None


def _extract(_: Token, inner: list[Token]) -> list[Token] | None:
    """``extract(second from x)`` with its fraction."""
    other = _FRACTIONS.get(lexer.literal(inner[0]).lower()) if len(inner) > 2 and inner[1].says("from") else None
    return _called(other, inner[2:]) if other else None


def _date_part(_: Token, inner: list[Token]) -> list[Token] | None:
    arguments = _arguments(inner)
    is_named = len(arguments) == 2 and len(arguments[0]) == 1 and arguments[0][0].kind == STRING
    other = _FRACTIONS.get(lexer.literal(arguments[0][0]).lower()) if is_named else None
    return _called(other, arguments[1]) if other else None


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
    taken = _called("regexp_extract", inner[:-2], [pattern], [Token(NUMBER, "1" if groups else "0")])
    found = _called("regexp_matches", inner[:-2], [pattern])
    return [_OPEN, *_words("CASE", "WHEN"), *found, *_words("THEN"), *taken, *_words("END"), _CLOSE]


def _words(*texts: str) -> list[Token]:
    return [Token(NAME, one) for one in texts]


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
        parts += [_COMMA, *_called("regexp_extract", said, pattern, [Token(NUMBER, str(group))])]
    items = [Token(MARK, "["), *parts[1:], Token(MARK, "]")]
    matches = _called("regexp_matches", said, pattern)
    return [_OPEN, *_words("CASE", "WHEN"), *matches, *_words("THEN"), *items, *_words("END"), _CLOSE]


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
        parts.append([_text(said[place : one.start()] + ("%" if one[2] == "%" else ""))])
        place = one.end()
        if one[2] == "%":
            continue
        number = int(one[1]) if one[1] else number + 1
        if number >= len(arguments):
            return None  # too few, which DuckDB says as well
        quoted = {"s": "", "I": "quote_ident", "L": "quote_nullable"}[one[2]]
        parts.append(_called(quoted, arguments[number]) if quoted else arguments[number])
    parts.append([_text(said[place:])])
    return _called("concat", *parts)


_CALLS: dict[str, Callable[[Token, list[Token]], list[Token] | None]] = {
    **{name: _by_count for name, _ in _BY_COUNT},
    "extract": _extract,
    "date_part": _date_part,
    "substring": _substring,
    "regexp_match": _regexp_match,
    "format": _format,
}


# -- rows in a list of columns ---------------------------------------------------------------------------------------

_BEHIND_ITEMS = (
    "from",
    "where",
    "group",
    "having",
    "order",
    "limit",
    "offset",
    "union",
    "intersect",
    "except",
    "window",
)


def rows_of_series(words: list[Token], _: Context) -> list[Token]:
    """``SELECT generate_series(…)`` gives rows; within other calls it is DuckDB's list."""
    found: list[Token] = []
    levels = [False]  # whether this level of brackets is in a list of columns
    place = 0
    while place < len(words):
        one = words[place]
        if one.text == "(":
            levels.append(False)
        elif one.text == ")" and len(levels) > 1:
            levels.pop()
        elif one.says("select"):
            levels[-1] = True
        elif one.kind == NAME and one.text.lower() in _BEHIND_ITEMS:
            levels[-1] = False
        end = operands.call_end(words, place) if levels[-1] and one.word == "generate_series" else 0
        if end:
            found += _called("unnest", words[place:end])
            place = end
        else:
            found.append(one)
            place += 1
    return found


# -- literals --------------------------------------------------------------------------------------------------------


def bytes_of(words: list[Token], _: Context) -> list[Token]:
    """``'\\x00ff'::bytea`` is ``'\\x00\\xFF'::bytea``, and all else that is not plain is written so."""
    found = list(words)
    for place, one in enumerate(words):
        if one.kind != STRING:
            continue
        after = words[place + 1 : place + 3]
        is_cast = len(after) == 2 and after[0].says("::", "as") and after[1].says("bytea")
        is_prefixed = place > 0 and words[place - 1].says("bytea")
        if not is_cast and not is_prefixed:
            continue
        if (content := _bytes(lexer.literal(one))) is not None:
            found[place] = Token(STRING, "'" + "".join(f"\\x{byte:02X}" for byte in content) + "'")
    return found


def _bytes(said: str) -> bytes | None:
    r"""Of Postgres's form, ``\x00ff``, and of its older one, ``a\000\\``; None of DuckDB's, ``\x00\xff``."""
    if said.startswith("\\x"):
        try:
            return bytes.fromhex(said[2:])
        except ValueError:
            return None
    if re.fullmatch(r"(?:[^\\]|\\\\|\\[0-3][0-7]{2})*", said, re.DOTALL) is None:
        return None
    parts = re.split(r"(\\\\|\\[0-3][0-7]{2})", said)
    return b"".join(
        bytes([int(part[1:], 8)]) if place % 2 and part != "\\\\" else (b"\\" if place % 2 else part.encode())
        for place, part in enumerate(parts)
    )


# -- operators -------------------------------------------------------------------------------------------------------

_MATCHES = {"~": ("", ""), "~*": ("", "i"), "!~": ("NOT", ""), "!~*": ("NOT", "i")}
_COMPARISONS = frozenset({"=", "<", ">", "<=", ">=", "<>", "!="})
_OLDER = int(duckdb.__version__.split(".")[0]) < 2
"""Before 2, ``~`` has to match the whole text, and there is no ``~*``."""


def operators(words: list[Token], _: Context) -> list[Token]:
    """``SIMILAR TO``, ``#>``, ``#>>`` and ``?`` with literals; ``~`` and its like on older versions of DuckDB."""
    found: list[Token] = []
    place = 0
    while place < len(words):
        one = words[place]
        after = words[place + 1] if place + 1 < len(words) else None
        is_literal = after is not None and after.kind == STRING
        if after is None:
            made = None
        elif _OLDER and one.kind == OPERATOR and one.text in _MATCHES and found:
            made = _matched(found, words, place)
        elif one.text in {"#>", "#>>"} and is_literal:
            path = _text(_path(lexer.literal(after)))
            made = [*found, Token(OPERATOR, "->" if one.text == "#>" else "->>"), path], place + 2
        elif one.text == "?" and is_literal and found:
            start = operands.start(found)
            key = lexer.literal(after).replace("\\", "\\\\").replace('"', '\\"')
            made = [*found[:start], *_called("json_exists", found[start:], [_text(f'$."{key}"')])], place + 2
        elif one.says("similar") and after.says("to") and place + 2 < len(words) and words[place + 2].kind == STRING:
            pattern = _text(_similar(lexer.literal(words[place + 2])))
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
    end = _operand_end(words, place + 1)
    arguments = [found[start:], words[place + 1 : end], *([[_text(flags)]] if flags else [])]
    made = _called("regexp_matches", *arguments)
    whole = [_OPEN, *_words(negation), *made, _CLOSE] if negation else made
    return [*found[:start], *whole], end


def _operand_end(words: list[Token], place: int) -> int:
    """Behind the operand that begins here, and casts and elements of it."""
    end = _closing(words, place) if words[place].text == "(" else operands.call_end(words, place) or place + 1
    while end + 1 < len(words) and words[end].text in {"::", ".", "["}:
        end = _closing(words, end) if words[end].text == "[" else end + 2
        if end < len(words) and words[end].text == "(" and words[end - 2].text in {"::", "."}:
            end = _closing(words, end)
    return end


def _closing(words: list[Token], place: int) -> int:
    depth = 0
    for at in range(place, len(words)):
        depth += (words[at].text in {"(", "["}) - (words[at].text in {")", "]"})
        if depth == 0:
            return at + 1
    return len(words)
