"""Names of a result's columns, where the query gives none: as Postgres would call them.

What comes in: a query's tokens, and the names that DuckDB gives. What goes out: names. Pure. Programs ask for
``row["count"]``; DuckDB says ``count_star()``. Source: PostgreSQL, src/backend/parser/parse_target.c (FigureColname).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.postgres import lexer
from stepsize.postgres.catalog import operands
from stepsize.postgres.lexer import NAME, NUMBER, OPERATOR, PARAMETER, QUOTED, STRING, Token

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_UNKNOWN = "?column?"
_ENDS = lexer.AFTER_FROM | {"from", "for", "using", "sample"}
_TYPES = {
    "int": "int4",
    "integer": "int4",
    "bigint": "int8",
    "smallint": "int2",
    "double": "float8",
    "float": "float8",
    "real": "float4",
    "boolean": "bool",
    "decimal": "numeric",
    "string": "text",
}
_LITERALS = {
    **{
        name: name
        for name in ("interval", "bytea", "uuid", "date", "timestamp", "timestamptz", "time", "json", "jsonb")
    },
    **_TYPES,
}
"""What a literal is called that has its type before it."""
_NO_ALIAS = frozenset(
    (
        "end",
        "null",
        "true",
        "false",
        "current_user",
        "session_user",
        "user",
        "current_role",
        "current_catalog",
        "current_schema",
        "current_date",
        "current_time",
        "current_timestamp",
        "localtime",
        "localtimestamp",
    )
)
"""Names at the end of an expression that are no alias of it."""
_AFTER_CALL = frozenset({"over", "filter", "within", "ignore", "respect"})


def named(words: Sequence[Token], given: Sequence[str]) -> list[str]:
    """The names of the columns that a query returns, of which DuckDB says these."""
    items = list(_items(words))
    if len(items) != len(given) or any(_is_star(item) for item in items):
        return list(given)
    return [_name(item) or known for item, known in zip(items, given, strict=True)]


def inner_named(words: list[Token], _: object = None) -> list[Token]:
    """The columns of queries within queries called so, too: ``SELECT max(count) FROM (SELECT count(*) FROM t)``."""
    found: list[Token] = []
    levels: list[int | None] = []  # where an item began that is being read, at each level of brackets
    for place, one in enumerate(words):
        if levels and levels[-1] is not None:
            is_over = one.text in {",", ")"} or _is_end(words, place)
            if is_over:
                found += _alias(words[levels[-1] : place])
                levels[-1] = place + 1 if one.text == "," else None
            elif place == levels[-1] and one.says("distinct", "all"):
                levels[-1] = place + 1
        if one.text in {"(", "["}:
            levels.append(None)
        elif one.text in {")", "]"} and levels:
            levels.pop()
        elif levels and one.says("select"):
            levels[-1] = place + 1
        found.append(one)
    return found


def _alias(item: Sequence[Token]) -> list[Token]:
    """What calls an item as Postgres does, where it has no name of its own."""
    if not item or _is_star(item):
        return []
    name = _name(item)
    if not name or name == _UNKNOWN:
        return []
    return [Token(NAME, "AS"), Token(QUOTED, '"' + name.replace('"', '""') + '"')]


def _items(words: Sequence[Token]) -> Iterator[list[Token]]:
    """What is between SELECT and FROM, at the level of the query itself."""
    depth = 0
    item: list[Token] | None = None
    for place, one in enumerate(words):
        if depth == 0 and item is None:
            if one.says("select"):
                item = []
                continue
            if not place and not one.says("with"):
                return
        elif depth == 0 and item is not None and _is_end(words, place):
            break
        depth += (one.text in {"(", "["}) - (one.text in {")", "]"})
        if item is not None:
            if depth == 0 and one.text == ",":
                yield item
                item = []
            elif item or not one.says("distinct", "all"):
                item.append(one)
    if item:
        yield item


def _is_end(words: Sequence[Token], place: int) -> bool:
    """Whether a clause begins here; that of ``WITHIN GROUP`` is part of a call."""
    one = words[place]
    is_within = one.says("group") and place > 0 and words[place - 1].says("within")
    return one.kind == NAME and one.text.lower() in _ENDS and not is_within


def _is_star(item: Sequence[Token]) -> bool:
    is_after_dot = len(item) > 2 and item[-2].text == "."
    first_is = item[0].text.startswith("*") or item[0].says("columns", "on")  # DISTINCT ON, which is left alone
    return first_is or (is_after_dot and item[-1].text.startswith("*"))


def _name(item: Sequence[Token]) -> str:
    """The name of an expression; empty where the query, or the column that it is, gives it one."""
    last = item[-1]
    if len(item) > 1 and item[-2].text == ".":
        return "" if _is_plain(item) else _figured(item)
    if len(item) == 1:
        is_word = last.kind == NAME and last.text.lower() in _NO_ALIAS
        if last.kind == QUOTED or (last.kind == NAME and not is_word):
            return ""
        return _figured(item)
    if last.kind in {NAME, QUOTED} and _is_alias(item):
        return ""
    return _figured(item)


def _is_plain(item: Sequence[Token]) -> bool:
    return all(one.kind in {NAME, QUOTED} if place % 2 == 0 else one.text == "." for place, one in enumerate(item))


def _is_alias(item: Sequence[Token]) -> bool:
    """Whether the name at the end is an alias: it follows an operand, or AS."""
    before, last = item[-2], item[-1]
    if before.says("as"):
        return True
    if last.kind == NAME and last.text.lower() in _NO_ALIAS:
        return False
    if before.kind in {STRING, NUMBER, PARAMETER, QUOTED} or before.text in {")", "]"}:
        return True
    is_type = len(item) > 2 and item[-3].text == "::"
    return before.kind == NAME and (before.says("end", "null", "true", "false") or is_type or len(item) == 2)


def _figured(item: Sequence[Token]) -> str:
    strong, weak = _figure(item)
    return strong or weak or _UNKNOWN


def _figure(item: Sequence[Token]) -> tuple[str, str]:
    """A name that the expression has by a column or function, and one by its type or form."""
    first = item[0]
    if len(item) == 1:
        return "" if first.says("true", "false", "null") else first.word, ""
    if casts := [place for place, one in enumerate(item) if one.text == "::" and operands.start(item[:place]) == 0]:
        kind = item[casts[-1] + 1].word
        if casts[0] and _is_type(item[casts[-1] + 1 :]):
            return _figure(item[: casts[0]])[0], _TYPES.get(kind, kind)
    if (special := _special(item)) is not None:
        return special
    if _is_plain(item):
        return item[-1].word, ""
    if first.text == "(" and _closes(item, 0) == len(item):
        return _figure(item[1:-1]) if not item[1].says("select", "with") else _subquery(item[1:-1])
    return ("", "case") if first.says("case") and item[-1].says("end") else _call(item)


def _special(item: Sequence[Token]) -> tuple[str, str] | None:
    """As :func:`_figure`, of literals with their type before them, times in a zone, elements; None of all else."""
    first = item[0]
    if first.word in _LITERALS and item[1].kind == STRING and all(one.kind == NAME for one in item[2:]):
        return "", _LITERALS[first.word]
    is_in_zone = [one.text.lower() for one in item[-4:-1]] == ["at", "time", "zone"]
    if is_in_zone and not any(map(_is_operator, item[:-4])):
        return "timezone", ""
    if item[-1].text == "]" and (start := _subscribed(item)):
        return _figure(item[:start])
    return None


def _is_operator(one: Token) -> bool:
    return one.kind == OPERATOR or one.says("and", "or", "not", "is", "in", "like", "ilike", "between", "similar")


def _is_type(words: Sequence[Token]) -> bool:
    """Whether these are a type and nothing else: ``numeric(9, 2)``, ``double precision``, ``int[]``."""
    return not any(one.kind == STRING or one.says("at") or _is_operator(one) for one in words)


def _subscribed(item: Sequence[Token]) -> int:
    """Where the bracket opens that the last token closes, if an operand is before it that begins the item."""
    depth = 0
    for at in range(len(item) - 1, -1, -1):
        depth += (item[at].text in {")", "]"}) - (item[at].text in {"(", "["})
        if depth == 0:
            is_array = item[at - 1].says("array")
            return 0 if at == 0 or is_array or operands.start(item[:at]) else at
    return 0


def _call(item: Sequence[Token]) -> tuple[str, str]:
    place = 0
    while place + 2 < len(item) and item[place].kind in {NAME, QUOTED} and item[place + 1].text == ".":
        place += 2
    end = operands.call_end(item, place) if place + 1 < len(item) else 0
    is_array = not end and place + 2 < len(item) and item[place + 1].text == "[" and item[place].says("array")
    if is_array and _closes(item, place + 1) == len(item):
        return "", "array"
    if not end and [one.text for one in item[place + 1 :]] == ["(", ")"]:
        end = len(item)
    if not end or (end < len(item) and item[end].text.lower() not in _AFTER_CALL):
        return "", ""
    called = item[place].word
    if called == "cast":
        kinds = [at for at in range(place, end) if item[at].says("as")]
        kind = item[kinds[-1] + 1].word if kinds else ""
        return (_figure(item[place + 2 : kinds[-1]])[0] if kinds else "", _TYPES.get(kind, kind))
    return called, ""


def _subquery(words: Sequence[Token]) -> tuple[str, str]:
    items = list(_items(words))
    if len(items) != 1:
        return "", ""
    item = items[0]
    return (item[-1].word, "") if not _name(item) else (_figured(item), "")


def _closes(item: Sequence[Token], place: int) -> int:
    """Behind the bracket that closes the one at ``place``."""
    depth = 0
    for at in range(place, len(item)):
        depth += (item[at].text in {"(", "["}) - (item[at].text in {")", "]"})
        if depth == 0:
            return at + 1
    return 0
