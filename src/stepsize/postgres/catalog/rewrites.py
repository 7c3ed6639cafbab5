"""Statements as Postgres understands them, in the words that DuckDB understands.

What comes in: the tokens of a statement, and whose it is. What goes out: tokens. Pure. See the package's docstring.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from stepsize.postgres import lexer, names, values
from stepsize.postgres.catalog import byte_literals, calls, functions, operands, operators
from stepsize.postgres.lexer import MARK, NAME, NUMBER, OPERATOR, PARAMETER, QUOTED, STRING, Token


@dataclass(frozen=True, slots=True)
class Context:
    """Who asks.

    Attributes:
        user: the name given at the start.
        process: the number of the connection.
        settings: what ``SHOW`` says, by names in lower case.
    """

    user: str = ""
    process: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)


Words: TypeAlias = list[Token]
Rewrite: TypeAlias = Callable[[Words, Context], Words]


def rewritten(statement: Words, context: Context) -> str:
    """The text of a statement for DuckDB; as it was written, spaces and all, where nothing had to be changed."""
    before = lexer.words(statement)
    words = before
    for rewrite in REWRITES:
        words = rewrite(words, context)
    return lexer.joined(statement) if words == before else spaced(words)


def spaced(words: Words) -> str:
    """Tokens as text, with spaces but around dots."""
    parts: list[str] = []
    for place, word in enumerate(words):
        if place and word.text != "." and words[place - 1].text != ".":
            parts.append(" ")
        parts.append(word.text)
    return "".join(parts)


def word(text: str) -> Token:
    """A plain name or keyword."""
    return Token(NAME, text)


def text(value: str) -> Token:
    """A string."""
    return Token(STRING, "'" + value.replace("'", "''") + "'")


def _unqualified(words: Words, _: Context) -> Words:
    """``pg_catalog.x`` is x, which the search path finds; ``information_schema.x`` is in a schema of ours."""
    found: Words = []
    skip = False
    for place, one in enumerate(words):
        is_qualifier = (
            one.kind in {NAME, QUOTED}
            and place + 2 < len(words)
            and words[place + 1].text == "."
            and (not place or words[place - 1].text != ".")
        )
        if skip:
            skip = False
        elif is_qualifier and one.word == "pg_catalog":
            skip = True  # the dot
        elif is_qualifier and one.word == "information_schema":
            found.append(word("information"))
        else:
            found.append(one)
    return found


def _plain_operators(words: Words, _: Context) -> Words:
    """``OPERATOR(pg_catalog.~)`` is ``~``."""
    found: Words = []
    place = 0
    while place < len(words):
        if words[place].says("operator") and place + 3 < len(words) and words[place + 1].text == "(":
            end = place + 2
            while end < len(words) and words[end].kind in {NAME, MARK} and words[end].text not in "()":
                end += 1
            if end + 1 < len(words) and words[end].kind == OPERATOR and words[end + 1].text == ")":
                found.append(words[end])
                place = end + 2
                continue
        found.append(words[place])
        place += 1
    return found


_COLLATIONS = frozenset({"default", "C", "c", "POSIX", "posix", "ucs_basic"})


def _without_collations(words: Words, _: Context) -> Words:
    """What is collated by default, or by its bytes, is collated as it is here."""
    found: Words = []
    skip = False
    for place, one in enumerate(words):
        after = words[place + 1] if place + 1 < len(words) else None
        if skip:
            skip = False
        elif one.says("collate") and after is not None and after.word in _COLLATIONS:
            skip = True
        else:
            found.append(one)
    return found


_IDENTITY = frozenset({"current_user", "session_user", "current_role", "user"})


def _who_asks(words: Words, context: Context) -> Words:
    """``current_user`` and its like, written without brackets or with them; never a column's or alias's name."""
    found: Words = []
    for place, one in enumerate(words):
        before = words[place - 1] if place else None
        after = words[place + 1] if place + 1 < len(words) else None
        is_name = before is not None and (before.text == "." or before.says("as", "from", "join"))
        is_name = is_name or (after is not None and after.text in {".", "("})
        if one.kind == NAME and one.text.lower() in _IDENTITY and not is_name:
            found.append(text(context.user))
        else:
            found.append(one)
    return found


def _settings(words: Words, context: Context) -> Words:
    """``current_setting('name')`` and ``pg_backend_pid()``, which differ between connections."""
    found: Words = []
    place = 0
    while place < len(words):
        one = words[place]
        end = operands.call_end(words, place)
        if end and one.says("pg_backend_pid"):
            found.append(Token(NUMBER, str(context.process)))
            place = end
        elif end and one.says("current_setting") and words[place + 2].kind == STRING:
            value = context.settings.get(lexer.literal(words[place + 2]).lower())
            found += words[place:end] if value is None else [text(value)]
            place = end
        else:
            found.append(one)
            place += 1
    return found


_REG = {
    "regclass": ("relation_number", "relation_name"),
    "regtype": ("type_number", "type_name"),
    "regnamespace": ("schema_number", "schema_name"),
    "regproc": ("function_number", "function_name"),
    "regprocedure": ("function_number", "function_name"),
    "regrole": ("role_number", "role_name"),
}
"""Type → the macros that make a number of a name, and a name of a number."""


def _object_names(words: Words, _: Context) -> Words:
    """``'tasks'::regclass`` is a number, and ``c.oid::regclass`` a name; compared with a name, both are names."""
    found: Words = []
    place = named_end = 0
    while place < len(words):
        after = words[place + 1] if place + 1 < len(words) else None
        if words[place].text != "::" or after is None or after.word not in _REG:
            found.append(words[place])
            place += 1
            continue
        start = operands.start(found)
        operand, found = found[start:], found[:start]
        to_number, to_name = _REG[after.word]
        is_compared = bool(found) and found[-1].text in {"=", "<>", "!="} and named_end == len(found) - 1
        rest = words[place + 2 : place + 4]
        place += 2
        if [one.text for one in rest] == ["[", "]"]:
            found += [*operand, Token(OPERATOR, "::"), word("VARCHAR"), *rest]  # of numbers, as they are
            place += 2
        elif not _is_text(operand):
            found += _called(to_name, operand)
            named_end = len(found)
        elif is_compared or (len(rest) == 2 and rest[0].text == "::" and rest[1].says("text", "varchar")):
            found += _called(to_name, _called(to_number, operand))
        else:
            found += _called(to_number, operand)
    return found


def _called(name: str, operand: Words) -> Words:
    return [word(name), Token(MARK, "("), *operand, Token(MARK, ")")]


_TEXTS = frozenset({"quote_ident", "format", "concat", "lower", "current_schema"})


def _is_text(operand: Words) -> bool:
    """Whether this is a name rather than a number, as far as that can be seen."""
    if len(operand) == 1:
        return operand[0].kind in {STRING, PARAMETER}
    if operand[-2].text == "::":
        return operand[-1].says("text", "varchar")
    return operand[0].word in _TEXTS or (operand[0].text == "(" and any(one.text == "||" for one in operand))


def _lists(words: Words, _: Context) -> Words:
    """``'{a,b}'::text[]`` is ``[a, b]``: of plain elements, as people and drivers write them."""
    found = list(words)
    for place in range(len(words) - 4):
        one, *rest = words[place : place + 5]
        is_list = rest[0].says("::", "as") and rest[2].text == "[" and rest[3].text == "]"
        if one.kind == STRING and is_list and (inside := lexer.literal(one)).startswith("{") and inside.endswith("}"):
            plain = inside[1:-1]
            if not set(plain) & set("{}\\"):
                found[place] = text(f"[{plain}]")
    return found


_IN = {("=", "any"): ("IN",), ("=", "some"): ("IN",), ("<>", "all"): ("NOT", "IN"), ("!=", "all"): ("NOT", "IN")}


def _compared_lists(words: Words, _: Context) -> Words:
    """``= ANY('{1,2}')`` is ``IN ('1', '2')``, of whatever type they are; however many brackets are around it."""
    found: Words = []
    place = 0
    while place < len(words):
        one = words[place]
        opened = place + 2
        while opened < len(words) and words[opened].text == "(":
            opened += 1
        depth = opened - place - 2
        is_list = one.kind == OPERATOR and depth > 0 and opened + depth < len(words) and words[opened].kind == STRING
        said = _IN.get((one.text, words[place + 1].text.lower())) if is_list else None
        is_closed = is_list and all(after.text == ")" for after in words[opened + 1 : opened + 1 + depth])
        if said and is_closed and (items := _quoted_items(lexer.literal(words[opened]))):
            found += [*map(word, said), Token(MARK, "("), *items, Token(MARK, ")")]
            place = opened + 1 + depth
        else:
            found.append(one)
            place += 1
    return found


def _quoted_items(said: str) -> Words:
    """Those of an array as a text has it; nothing where it is none."""
    if not said.startswith("{"):
        return []
    items = [word("NULL") if item is None else text(item) for item in values.items_of(said)]
    return [part for item in items for part in (Token(MARK, ","), item)][1:]


_EXACT = (*map(word, ("DECIMAL", "(", "38", ",", "9", ")")),)


def _numbers(words: Words, _: Context) -> Words:
    """``numeric`` without a precision has nine decimals: DuckDB would give it three."""
    found: Words = []
    for place, one in enumerate(words):
        before = words[place - 1] if place else None
        after = words[place + 1].text if place + 1 < len(words) else ""
        is_cast = before is not None and (before.text == "::" or (before.says("as") and after == ")"))
        found += _EXACT if is_cast and one.says("numeric", "decimal") and after != "(" else (one,)
    return found


REWRITES: tuple[Rewrite, ...] = (
    names.inner_named,
    _unqualified,
    _plain_operators,
    _without_collations,
    _who_asks,
    _settings,
    calls.renamed,
    calls.in_from,
    calls.casts_to_objects,
    calls.no_function,
    _object_names,
    _lists,
    _compared_lists,
    _numbers,
    byte_literals.bytes_of,
    operators.operators,
    functions.calls,
    calls.rows_of_series,
)
"""In the order in which they are done."""
