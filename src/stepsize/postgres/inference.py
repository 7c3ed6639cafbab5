"""Of what type the parameters of a statement are, where the client does not say.

What comes in: a statement's tokens, and what serializes a plan. What goes out: a name of DuckDB's for each parameter.
Postgres gives an untyped parameter the type that an untyped literal would get in its place; so does this: each is
replaced by such a literal, DuckDB plans the statement, and the plan says what the literal is cast to. What that does
not tell is an interval or a number where it is reckoned with, else text.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, Any

from stepsize.postgres.catalog.rewrites import spaced
from stepsize.postgres.lexer import NUMBER, PARAMETER, STRING, Token

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

_MARK = re.compile("\N{SECTION SIGN}parameter ([0-9]+);")
_TEXT = "VARCHAR"
_MOST_TRIED = 32


def infer(words: Sequence[Token], unknown: Collection[int], plan: Callable[[str], str]) -> dict[int, str]:
    """The types of the parameters whose numbers are ``unknown``.

    Args:
        words: the statement, without spaces.
        unknown: numbers of parameters.
        plan: gives DuckDB's ``json_serialize_plan`` of a query that is not optimized.
    """
    found = {number: "BIGINT" for number in _counts(words) if number in unknown}
    rest = [number for number in unknown if number not in found]
    if not rest:
        return found
    if (types := _planned(words, set(rest), plan)) is None:
        types = {}
        for number in rest[:_MOST_TRIED]:
            types.update(_planned(words, {number}, plan) or {})
    for number in sorted(set(rest[:_MOST_TRIED]) - types.keys()):
        types[number] = _reckoned(words, number, plan) or _TEXT
    return {**dict.fromkeys(rest, _TEXT), **types, **found}


def _reckoned(words: Sequence[Token], number: int, plan: Callable[[str], str]) -> str | None:
    """What a parameter can be that is reckoned with, as in ``now() - $1``, where DuckDB could take it for several."""
    for kind in ("INTERVAL", "DOUBLE"):
        cast = Token(NUMBER, f"CAST(NULL AS {kind})")
        stand_ins = [
            cast if one.kind == PARAMETER and int(one.text[1:]) == number else _stand_in(words, place, set())
            for place, one in enumerate(words)
        ]
        if not json.loads(plan(spaced(stand_ins))).get("error"):
            return kind
    return None


def _counts(words: Sequence[Token]) -> Iterator[int]:
    """Parameters that say how many rows."""
    for before, one in itertools.pairwise(words):
        if one.kind == PARAMETER and before.says("limit", "offset"):
            yield int(one.text[1:])


def _planned(words: Sequence[Token], marked: set[int], plan: Callable[[str], str]) -> dict[int, str] | None:
    """What the plan says of the parameters that are marked; None where there is no plan."""
    listed: set[int] = set()
    stand_ins: list[Token] = []
    place = 0
    while place < len(words):
        if words[place].says("any", "all", "some") and _is_one_parameter(words, place + 1):
            listed.add(int(words[place + 2].text[1:]))  # compared with each element as with the literal
            stand_ins.append(_stand_in(words, place + 2, marked))
            place += 4
        else:
            stand_ins.append(_stand_in(words, place, marked))
            place += 1
    answer = json.loads(plan(spaced(stand_ins)))
    if not isinstance(answer, dict) or answer.get("error"):
        return None
    return {number: f"{kind}[]" if number in listed else kind for number, kind in _casts(answer)}


def _is_one_parameter(words: Sequence[Token], place: int) -> bool:
    """Whether ``($1)`` begins here."""
    return [one.text if one.kind != PARAMETER else "$" for one in words[place : place + 3]] == ["(", "$", ")"]


def _stand_in(words: Sequence[Token], place: int, marked: set[int]) -> Token:
    one = words[place]
    if one.kind != PARAMETER:
        return one
    if place and words[place - 1].says("limit", "offset"):
        return Token(NUMBER, "1")
    if int(one.text[1:]) not in marked:
        return Token(NUMBER, "NULL")
    return Token(STRING, f"'\N{SECTION SIGN}parameter {one.text[1:]};'")


def _casts(node: Any, above: dict[str, Any] | None = None) -> Iterator[tuple[int, str]]:
    """Number and type of each marked literal below a node; ``above`` is the expression it is in."""
    if isinstance(node, list):
        for one in node:
            yield from _casts(one, above)
    elif isinstance(node, dict):
        if isinstance(value := node.get("value"), str) and (marks := _MARK.findall(value)):
            is_cast = above is not None and above.get("type") == "OPERATOR_CAST"
            is_whole = _MARK.fullmatch(value)  # else it is part of a text, as in '%' || $1
            kind = _name(above["return_type"]) if is_cast and is_whole and above is not None else _TEXT
            yield from ((int(mark), kind) for mark in marks)
            return
        inner = node if isinstance(node.get("return_type"), dict) else above
        for one in node.values():
            yield from _casts(one, inner)


def _name(kind: dict[str, Any]) -> str:
    """DuckDB's name of a type that a plan has."""
    more = kind.get("type_info") or {}
    if kind["id"] == "DECIMAL":
        return "DECIMAL(38,9)"  # of what it is compared with, which would round it
    if kind["id"] in {"LIST", "ARRAY"}:
        return f"{_name(more['child_type'])}[]"
    if kind["id"] in {"STRUCT", "MAP", "UNION", "ENUM"} or more.get("alias") == "JSON":
        return _TEXT
    return str(kind["id"])
