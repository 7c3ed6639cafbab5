"""Calls and casts as Postgres has them, in the way that DuckDB has them.

What comes in: the tokens of a statement. What goes out: tokens. Pure. Rewrites as the package's docstring describes
them; ``rewrites`` says in which order they are done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.postgres import lexer
from stepsize.postgres.catalog import making, operands
from stepsize.postgres.lexer import MARK, NAME, OPERATOR, QUOTED, STRING, Token

if TYPE_CHECKING:
    from stepsize.postgres.catalog.rewrites import Context

_RENAMED = {
    "json_build_object": "json_object",
    "jsonb_build_object": "json_object",
    "json_build_array": "json_array",
    "jsonb_build_array": "json_array",
    "json_agg": "json_group_array",
    "jsonb_agg": "json_group_array",
    "json_object_agg": "json_group_object",
    "jsonb_object_agg": "json_group_object",
}
"""Functions of any number of arguments, or of groups of rows, which no macro can be."""
_SETS = frozenset({"generate_series", "generate_subscripts", "unnest", "regexp_split_to_table"})
"""What gives rows of one column."""
_VALUES = frozenset(
    (*("json_array_elements", "jsonb_array_elements", "json_array_elements_text", "jsonb_array_elements_text"),)
)
"""What gives rows of a column ``value``, and is a macro here."""
_SCALARS = _VALUES | {
    *("string_to_array", "regexp_split_to_array", "parse_ident", "current_schemas", "version"),
    *("current_schema", "current_database"),
    *("json_object_keys", "jsonb_object_keys"),
}
"""What gives a value, and is a table of one row in FROM, or of several; DuckDB knows it as a value alone."""
_ENDS = lexer.AFTER_FROM | {"select"}
_JOINS = frozenset({"join", "cross", "left", "right", "inner", "full", "natural"})
_AFTER_ITEMS = lexer.AFTER_FROM | {"from"}
_NO_ALIAS = _ENDS | _JOINS | {"on", "using", "with", "for", "as"}
_OF_THEIR_OWN = frozenset({"extract", "trim", "substring", "overlay"})
"""Functions with a FROM among their arguments."""


def renamed(words: list[Token], _: Context) -> list[Token]:
    """``json_build_object(…)`` is ``json_object(…)``."""
    found: list[Token] = []
    for place, one in enumerate(words):
        is_called = one.kind == NAME and place + 1 < len(words) and words[place + 1].text == "("
        other = _RENAMED.get(one.text.lower()) if is_called else None
        found.append(Token(NAME, other) if other else one)
    return found


def in_from(words: list[Token], context: Context) -> list[Token]:
    """``FROM f(x) AS a`` has a column ``a``, whatever a function of one column is called; a value is a row there."""
    found: list[Token] = []
    levels = [False]  # whether this level of brackets is in a FROM
    place = 0
    while place < len(words):
        one = words[place]
        if one.text == "(":
            before = words[place - 1] if place else one
            levels.append(before.word not in _OF_THEIR_OWN and levels[-1] and before.says("from", "join", ","))
        elif one.text == ")" and len(levels) > 1:
            levels.pop()
        elif one.says("from") and _is_clause(words, place):
            levels[-1] = True
        elif one.kind == NAME and one.text.lower() in _ENDS:
            levels[-1] = False
        is_item = place > 0 and words[place - 1].says("from", "join", "lateral", ",") and levels[-1]
        end = _aliased(words, place) if is_item else 0
        if end:
            found += _as_table(words[place:end], context)
            place = end
        else:
            found.append(one)
            place += 1
    return found


def _is_clause(words: list[Token], place: int) -> bool:
    """Whether this FROM begins a clause: it is no ``IS DISTINCT FROM``, and no argument of EXTRACT or its like."""
    if place and words[place - 1].says("distinct"):
        return False
    depth = 0
    for at in range(place - 1, -1, -1):
        depth += (words[at].text == ")") - (words[at].text == "(")
        if depth < 0:
            return not at or words[at - 1].text.lower() not in _OF_THEIR_OWN
    return True


def _aliased(words: list[Token], place: int) -> int:
    """Behind a call of such a function and its plain alias, if it must have one; 0 where that is not what is here."""
    end = operands.call_end(words, place)
    if not end or words[place].word not in _SETS | _SCALARS:
        return 0
    if words[place].word in _SCALARS and (end == len(words) or words[end].text.lower() in {*_ENDS, *_JOINS, ",", ")"}):
        return end
    if end >= len(words):
        return 0
    if words[end].says("as"):
        end += 1
    if end >= len(words) or words[end].kind not in {NAME, QUOTED} or words[end].text.lower() in _NO_ALIAS:
        return 0
    has_columns = end + 1 < len(words) and words[end + 1].text == "("
    return 0 if has_columns else end + 1


def _as_table(item: list[Token], context: Context) -> list[Token]:
    alias = item[-1]
    call = item[:-2] if item[-2].says("as") else item[:-1]
    if alias.text == ")":
        alias, call = item[0], item
    call = [call[0], *in_from(call[1:], context)]
    if call[0].word in _SCALARS:
        call = [Token(MARK, "("), Token(NAME, "SELECT"), *call, Token(MARK, ")")]
    column = Token(NAME, "value") if item[0].word in _VALUES else alias
    return [*call, Token(NAME, "AS"), alias, Token(MARK, "("), column, Token(MARK, ")")]


_FUNCTION_COLUMNS = frozenset(
    ("typinput", "typoutput", "typreceive", "typsend", "typmodin", "typmodout", "typanalyze", "typsubscript")
)
"""Of pg_type, which hold names of functions here."""


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
        elif one.kind == NAME and one.text.lower() in _AFTER_ITEMS:
            levels[-1] = False
        end = operands.call_end(words, place) if levels[-1] and one.word == "generate_series" else 0
        if end:
            found += making.called("unnest", words[place:end])
            place = end
        else:
            found.append(one)
            place += 1
    return found


def no_function(words: list[Token], _: Context) -> list[Token]:
    """``typreceive != 0`` is ``typreceive != '-'``, which is how Postgres writes that number of a function.

    And ``proc.oid = type.typreceive`` compares names.
    """
    found = list(words)
    for place in range(len(words) - 2):
        column, comparison, number = words[place : place + 3]
        if column.word in _FUNCTION_COLUMNS and comparison.text in {"=", "<>", "!="} and number.text == "0":
            found[place + 2] = Token(STRING, "'-'")
        is_joined = column.word == "oid" and comparison.text == "=" and place + 4 < len(words)
        if is_joined and words[place + 3].text == "." and words[place + 4].word in _FUNCTION_COLUMNS:
            found[place] = Token(NAME, "proname")
    return found


_OBJECTS = frozenset({"regclass", "regtype", "regnamespace", "regproc", "regprocedure", "regrole"})
_TEXTS = frozenset({"text", "varchar"})


def casts_to_objects(words: list[Token], context: Context) -> list[Token]:
    """``CAST(x AS regclass)`` is ``x::regclass``; what is cast to a text first is written so too."""
    found: list[Token] = []
    place = 0
    while place < len(words):
        end = operands.call_end(words, place) if words[place].says("cast") else 0
        kind = words[end - 2] if end > 4 else None
        if kind is not None and kind.word in _OBJECTS and words[end - 3].says("as"):
            found += [*_operand(words[place + 2 : end - 3], context), Token(OPERATOR, "::"), kind]
            place = end
        else:
            found.append(words[place])
            place += 1
    return found


def _operand(inner: list[Token], context: Context) -> list[Token]:
    if len(inner) == 1:
        return inner
    is_cast = inner[0].says("cast") and operands.call_end(inner, 0) == len(inner) and inner[-3].says("as")
    if is_cast and inner[-2].word in _TEXTS:
        return [Token(MARK, "("), *inner[2:-3], Token(MARK, ")"), Token(OPERATOR, "::"), inner[-2]]
    return [Token(MARK, "("), *casts_to_objects(inner, context), Token(MARK, ")")]
