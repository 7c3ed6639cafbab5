"""Statements that are about the connection rather than the lake: transactions, settings, cursors.

What comes in: the tokens of a statement. What goes out: what it asks for, or None where it is for the engine. Pure.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from stepsize.postgres import copy_statement, lexer
from stepsize.postgres.copy_statement import Copy
from stepsize.postgres.errors import SqlError
from stepsize.postgres.lexer import NUMBER, Token
from stepsize.postgres.prepare_statement import Execute, Prepare, read_execute, read_prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class Begin:
    """A transaction starts; ``tag`` as it was asked for."""

    tag: str


@dataclass(frozen=True, slots=True)
class Commit:
    """It ends well."""


@dataclass(frozen=True, slots=True)
class Rollback:
    """It ends, or goes back to a savepoint."""

    savepoint: str = ""


@dataclass(frozen=True, slots=True)
class Savepoint:
    """A place in it to go back to; or one that is not needed any more."""

    name: str
    is_released: bool = False


@dataclass(frozen=True, slots=True)
class Set:
    """A setting changes; None: to what it was at first, for the transaction alone where it is local."""

    name: str
    value: str | None
    is_local: bool = False
    tag: str = "SET"


@dataclass(frozen=True, slots=True)
class Show:
    """A setting is asked for; ``all`` for each."""

    name: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Settings, statements or cursors go: all of them, or the one that is named."""

    tag: str
    is_settings: bool = False
    is_statements: bool = False
    is_cursors: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class Declare:
    """A cursor on a query."""

    name: str
    query: tuple[Token, ...]
    is_held: bool


@dataclass(frozen=True, slots=True)
class Fetch:
    """Rows of a cursor; 0 for all that are left."""

    name: str
    rows: int
    is_shown: bool


@dataclass(frozen=True, slots=True)
class Nothing:
    """Something that needs nothing done here."""

    tag: str


Command: TypeAlias = (
    Begin | Commit | Rollback | Savepoint | Set | Show | Forget | Declare | Fetch | Copy | Prepare | Execute | Nothing
)

_WRITES = frozenset(
    (
        *(
            "alter",
            "analyze",
            "attach",
            "call",
            "checkpoint",
            "cluster",
            "comment",
            "create",
            "delete",
            "detach",
        ),
        *("do", "drop", "export", "force", "grant", "import", "insert", "install", "load", "lock", "merge", "notify"),
        *("pragma", "reassign", "refresh", "reindex", "revoke", "security", "truncate", "update", "use", "vacuum"),
    )
)


def recognised(statement: Sequence[Token]) -> Command | None:
    """What a statement asks of the connection; None where it asks something of the lake.

    Raises:
        SqlError: it would write, or is not understood.
    """
    words = lexer.words(statement)
    first = words[0].text.lower()
    if first in _WRITES:
        raise SqlError("25006", f"cannot execute {first.upper()} in a read-only transaction")
    if first == "listen":
        raise SqlError("0A000", "LISTEN is not supported")
    read = _COMMANDS.get(first)
    whole = _WITH_A_QUERY.get(first)
    try:
        if whole is not None:
            return whole(statement)
        return None if read is None else read(words)
    except IndexError:
        raise SqlError("42601", "syntax error at end of input") from None


def _rollback(words: Sequence[Token]) -> Command:
    places = [place for place, one in enumerate(words) if one.says("to")]
    if not places:
        return Rollback()
    rest = [one for one in words[places[0] + 1 :] if not one.says("savepoint")]
    return Rollback(_name(rest[0]))


def _set(words: Sequence[Token]) -> Command:
    rest = list(words[1:])
    is_local = rest[0].says("local")
    if rest[0].says("transaction") or (rest[0].says("session") and rest[1].says("characteristics")):
        return Nothing("SET")
    if rest[0].says("local", "session"):
        rest = rest[1:]
    if rest[0].says("authorization"):
        raise SqlError("42501", "permission denied to set session authorization")
    if rest[0].says("time") and rest[1].says("zone"):
        value = _value(rest[2:])
        return Set("TimeZone", "UTC" if value is not None and value.lower() == "local" else value, is_local)
    if rest[0].says("names"):
        return Set("client_encoding", _value(rest[1:]), is_local)
    name, rest = _dotted(rest)
    if not rest[0].says("to", "="):
        raise SqlError("42601", f'syntax error at or near "{rest[0].text}"')
    return Set(name, _value(rest[1:]), is_local)


def _dotted(words: Sequence[Token]) -> tuple[str, list[Token]]:
    """A name with dots, and what follows it."""
    parts = [_name(words[0])]
    place = 1
    while place + 1 < len(words) and words[place].text == ".":
        parts.append(_name(words[place + 1]))
        place += 2
    return ".".join(parts), list(words[place:])


def _value(words: Sequence[Token]) -> str | None:
    """What a setting is set to; several values as one list."""
    if words[0].says("default"):
        return None
    return "".join(", " if one.text == "," else lexer.literal(one) for one in words)


def _name(word: Token) -> str:
    if not word.word:
        raise SqlError("42601", f'syntax error at or near "{word.text}"')
    return word.word


def _reset(words: Sequence[Token]) -> Command:
    if words[1].says("all"):
        return Forget("RESET", is_settings=True)
    if words[1].says("time"):
        return Set("TimeZone", None, tag="RESET")
    return Set(_dotted(words[1:])[0], None, tag="RESET")


def _show(words: Sequence[Token]) -> Command:
    said = " ".join(one.text.lower() for one in words[1:])
    known = {
        "time zone": "TimeZone",
        "transaction isolation level": "transaction_isolation",
        "session authorization": "session_authorization",
        "names": "client_encoding",
    }
    return Show(known.get(said) or _dotted(words[1:])[0])


def _discard(words: Sequence[Token]) -> Command:
    is_all = words[1].says("all")
    return Forget(
        "DISCARD ALL" if is_all else f"DISCARD {words[1].text.upper()}",
        is_settings=is_all,
        is_statements=is_all or words[1].says("plans"),
        is_cursors=is_all,
    )


def _deallocate(words: Sequence[Token]) -> Command:
    rest = [one for one in words[1:] if not one.says("prepare")]
    if rest[0].says("all"):
        return Forget("DEALLOCATE ALL", is_statements=True)
    return Forget("DEALLOCATE", is_statements=True, name=_name(rest[0]))


def _close(words: Sequence[Token]) -> Command:
    if words[1].says("all"):
        return Forget("CLOSE CURSOR ALL", is_cursors=True)
    return Forget("CLOSE CURSOR", is_cursors=True, name=_name(words[1]))


def _declare(statement: Sequence[Token]) -> Command:
    words = lexer.words(statement)
    places = [place for place, one in enumerate(words) if one.says("for")]
    if not places:
        raise SqlError("42601", "syntax error: a cursor is declared FOR a query")
    options = words[2 : places[0]]
    if any(one.says("binary") for one in options):
        raise SqlError("0A000", "binary cursors are not supported")
    is_held = any(one.says("with") and after.says("hold") for one, after in itertools.pairwise(options))
    start = next(place for place, one in enumerate(statement) if one is words[places[0]])
    return Declare(_name(words[1]), tuple(lexer.trim(statement[start + 1 :])), is_held)


_BACKWARDS = ("prior", "backward", "first", "last", "absolute", "relative")


def _fetch(words: Sequence[Token]) -> Command:
    is_shown = words[0].says("fetch")
    rest = list(words[1:])
    rows = 1
    while rest and not rest[0].says("from", "in") and len(rest) > 1:
        one = rest.pop(0)
        if one.says(*_BACKWARDS) or one.text == "-":
            raise SqlError("55000", "cursor can only scan forward")
        if one.says("all"):
            rows = 0
        elif one.kind == NUMBER and one.text.isdecimal():
            rows = int(one.text)
            if rows == 0:
                raise SqlError("0A000", "FETCH 0 is not supported")
        elif not one.says("next", "forward"):
            raise SqlError("42601", f'syntax error at or near "{one.text}"')
    if rest and rest[0].says("from", "in"):
        rest.pop(0)
    return Fetch(_name(rest[0]), rows, is_shown)


_COMMANDS: dict[str, Callable[[Sequence[Token]], Command]] = {
    "begin": lambda _: Begin("BEGIN"),
    "start": lambda _: Begin("START TRANSACTION"),
    "commit": lambda _: Commit(),
    "end": lambda _: Commit(),
    "rollback": _rollback,
    "abort": lambda _: Rollback(),
    "savepoint": lambda words: Savepoint(_name(words[1])),
    "release": lambda words: Savepoint(_name(words[-1]), is_released=True),
    "set": _set,
    "reset": _reset,
    "show": _show,
    "discard": _discard,
    "deallocate": _deallocate,
    "close": _close,
    "fetch": _fetch,
    "move": _fetch,
    "unlisten": lambda _: Nothing("UNLISTEN"),
}
_WITH_A_QUERY: dict[str, Callable[[Sequence[Token]], Command]] = {
    "copy": copy_statement.read,
    "declare": _declare,
    "execute": read_execute,
    "prepare": read_prepare,
}
"""Those that are given the whole statement, with the spaces in it."""
