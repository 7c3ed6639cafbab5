"""``PREPARE`` and ``EXECUTE`` as statements, for clients and poolers that know no other way.

What comes in: the tokens of a statement. What goes out: a :class:`Prepare` or an :class:`Execute`. Pure.
Source: PostgreSQL's documentation, PREPARE, EXECUTE.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.postgres import lexer, types
from stepsize.postgres.errors import SqlError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepsize.postgres.lexer import Token

_UNTYPED = 705
_SHORT = {
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "time": "time without time zone",
    "decimal": "numeric",
    "float": "double precision",
}


@dataclass(frozen=True, slots=True)
class Prepare:
    """A query is to be remembered; ``oids`` of its parameters, as far as they are said."""

    name: str
    oids: tuple[int, ...]
    query: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Execute:
    """What was remembered is to be run; ``arguments`` are expressions."""

    name: str
    arguments: tuple[tuple[Token, ...], ...]


def read_prepare(statement: Sequence[Token]) -> Prepare:
    """``PREPARE name (type, …) AS query``.

    Raises:
        SqlError: it is none; there is no such type.
        IndexError: it ends too early.
    """
    words = lexer.words(statement)
    place = 2
    oids: tuple[int, ...] = ()
    if words[place].text == "(":
        end = _closing(words, place)
        oids = tuple(map(_oid, _separate(words[place + 1 : end])))
        place = end + 1
    if not words[place].says("as"):
        raise SqlError("42601", f'syntax error at or near "{words[place].text}"')
    start = next(at for at, one in enumerate(statement) if one is words[place])
    query = tuple(lexer.trim(statement[start + 1 :]))
    if not query:
        raise IndexError
    return Prepare(_name(words[1]), oids, query)


def read_execute(statement: Sequence[Token]) -> Execute:
    """``EXECUTE name (value, …)``; raises as :func:`read_prepare` does."""
    words = lexer.words(statement)
    if len(words) == 2:
        return Execute(_name(words[1]), ())
    end = _closing(words, 2)
    if words[2].text != "(" or end + 1 < len(words):
        raise SqlError("42601", f'syntax error at or near "{words[2].text}"')
    return Execute(_name(words[1]), tuple(map(tuple, _separate(words[3:end]))))


def _name(word: Token) -> str:
    if not word.word:
        raise SqlError("42601", f'syntax error at or near "{word.text}"')
    return word.word


def _closing(words: Sequence[Token], place: int) -> int:
    depth = 0
    for at in range(place, len(words)):
        depth += (words[at].text in {"(", "["}) - (words[at].text in {")", "]"})
        if depth == 0:
            return at
    raise IndexError


def _separate(words: Sequence[Token]) -> Iterator[list[Token]]:
    """What commas separate, brackets being whole."""
    depth = 0
    item: list[Token] = []
    for one in words:
        depth += (one.text in {"(", "["}) - (one.text in {")", "]"})
        if depth == 0 and one.text == ",":
            yield item
            item = []
        else:
            item.append(one)
    if not item:
        raise SqlError("42601", 'syntax error at or near ")"')
    yield item


def _oid(words: Sequence[Token]) -> int:
    """The number of a type as it is written: ``int``, ``numeric(9, 2)``, ``double precision[]``."""
    is_array = [one.text for one in words[-2:]] == ["[", "]"]
    named = [one.word for one in words if one.word]
    said = " ".join(named[1:] if named[:1] == ["pg_catalog"] else named)
    internal = types.CASTS.get(said, said)
    found = types.BY_INTERNAL.get(internal) or types.BY_NAME.get(_SHORT.get(said, said))
    if found is None:
        if said == "unknown":
            return _UNTYPED
        raise SqlError("42704", f'type "{said}" does not exist')
    return found.array_oid if is_array else found.oid
