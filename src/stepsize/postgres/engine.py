"""Statements of clients on one DuckDB instance over the lake, for reading alone.

What comes in: a statement as tokens, with the types and values of its parameters. What goes out: its columns and the
record batches of its cells, or :class:`SqlError`. Runs nothing that is no reading statement: by DuckDB's own word of
what a statement is, in a transaction that may only read, on an instance that knows no file but the lake's. Each
statement has a connection of its own and sees one state of the lake.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

from stepsize.errors import LakeError
from stepsize.postgres import catalog, cells, complexity, inference, lexer, types
from stepsize.postgres.cache import Cache
from stepsize.postgres.catalog.rewrites import spaced
from stepsize.postgres.errors import SqlError, of_duckdb
from stepsize.postgres.instance import SCHEMA, SHAPE, Instance, Limits
from stepsize.postgres.lexer import PARAMETER
from stepsize.postgres.names import named
from stepsize.postgres.running import Running
from stepsize.store.version import IS_BEFORE_2

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from stepsize.postgres.catalog import Context
    from stepsize.postgres.lake_views import LakeViews
    from stepsize.postgres.lexer import Token
    from stepsize.postgres.running import Rows, Stoppable
    from stepsize.postgres.types import Column

_REMEMBERED = 512
_LONG = 1 << 16
"""A text that is longer is not remembered."""
_MOST_PARAMETERS = 65_535
_MOST_COLUMNS = 1664
"""As Postgres has it."""
_EXPLAINED = (types.column("explain_key", "VARCHAR"), types.column("explain_value", "VARCHAR"))


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement that can be run.

    Attributes:
        text: for DuckDB, with each parameter cast to its type.
        parameters: by their numbers, from 1.
        columns: of its result.
        used: numbers of the parameters that occur; a client may give others.
        is_explain: whether it is an EXPLAIN, whose result is no table that can be selected from.
        is_volatile: whether it gives other rows each time, of the same lake.
    """

    text: str
    parameters: tuple[Column, ...]
    columns: tuple[Column, ...]
    used: frozenset[int] = frozenset()
    is_explain: bool = False
    is_volatile: bool = False


class Engine:
    """What runs statements.

    Args:
        lake: what makes the views.
        limits: of all clients together.
        tell: takes lines for the operator.

    Raises:
        LakeError: the lake cannot be read.
    """

    def __init__(self, lake: LakeViews, limits: Limits, tell: Callable[[str], None] = lambda _: None) -> None:
        self.limits = limits
        self._tell = tell
        self._told = ""
        self._instance = Instance(lake, limits)
        self._cache = Cache(limits.cache_s, limits.cache_bytes)
        self._lock = threading.Lock()
        self._prepared: OrderedDict[tuple[str, str, tuple[int, ...]], Prepared] = OrderedDict()

    def close(self) -> None:
        """Let go of the instance."""
        self._instance.close()

    def prepare(self, statement: Sequence[Token], context: Context, oids: Sequence[int] = ()) -> Prepared:
        """A statement with the types of its parameters, as far as the client says them.

        Raises:
            SqlError: it is no statement that reads, or names what is not there.
        """
        complexity.check(statement)
        text = catalog.rewritten(list(statement), context)
        key = (lexer.joined(statement), text, tuple(oids))
        with self._lock:
            if (known := self._prepared.get(key)) is not None:
                self._prepared.move_to_end(key)
                return known
        made = self._prepare(text, oids, lexer.words(statement))
        if len(text) > _LONG:
            return made
        with self._lock:
            self._prepared[key] = made
            if len(self._prepared) > _REMEMBERED:
                self._prepared.popitem(last=False)
        return made

    def _prepare(self, text: str, oids: Sequence[int], said: Sequence[Token]) -> Prepared:
        connection = self._instance.connect(SHAPE)
        try:
            is_explain = _checked(connection, text)
            words = lexer.words(lexer.tokens(text))
            shape = self._of_shape(words)
            parameters = _parameters(connection, shape, oids)
            used = frozenset(int(one.text[1:]) for one in words if one.kind == PARAMETER)
            whole = _cast(text, words, parameters)
            if is_explain:
                return Prepared(whole, parameters, _EXPLAINED, used, is_explain=True)
            asked = text if shape == words else spaced(shape)
            relation = _described(connection, asked, shape, parameters)
            found = zip(named(said, relation.columns), map(str, relation.types), strict=True)
            has_oids = any(one.word.startswith("pg_") for one in words)  # who asks the catalogue expects its types
            columns = tuple(types.column(name, kind, has_oids=has_oids) for name, kind in found)
            if len(columns) > _MOST_COLUMNS:
                raise SqlError("54011", f"target lists can have at most {_MOST_COLUMNS} entries")
            is_volatile = any(one.word in self._instance.volatile for one in words)
            return Prepared(whole, parameters, columns, used, is_volatile=is_volatile)
        except duckdb.Error as error:
            raise of_duckdb(error, text) from None
        finally:
            connection.close()

    def _of_shape(self, words: list[Token]) -> list[Token]:
        """A statement that asks the tables of :data:`SHAPE` where it asked the views."""
        found = list(words)
        for place in range(len(words) - 2):
            is_qualifier = words[place].word == SCHEMA and words[place + 1].text == "."
            if is_qualifier and words[place + 2].word in self._instance.relations:
                found[place] = lexer.Token(lexer.NAME, SHAPE)
        return found

    def run(
        self, prepared: Prepared, values: Sequence[Any], formats: Sequence[int], started: Callable[[Stoppable], None]
    ) -> Rows:
        """The rows of a statement, whose cells are for these formats of its columns.

        ``started`` is given what stops it, before it starts.

        Raises:
            SqlError: it failed, or was stopped.
        """
        version = self._refreshed()
        text = prepared.text if prepared.is_explain else _selected(prepared, formats)

        def run(attach: Callable[[Stoppable], None]) -> Rows:
            running = Running(self._instance.connect())
            attach(running)
            return running.start(text, {str(one): values[one - 1] for one in prepared.used})

        if prepared.is_explain or prepared.is_volatile:
            return run(started)
        return self._cache.rows((text, repr(values)), run, started, version)

    def _refreshed(self) -> Hashable:
        """The state of the lake that statements see from here on.

        Raises:
            SqlError: it cannot be read now; the operator has been told why, and clients need not know its files.
        """
        try:
            version = self._instance.refresh()
        except (LakeError, OSError, duckdb.Error) as error:
            why = " ".join(str(error).split())
            if why != self._told:
                self._told = why
                self._tell(f"the lake cannot be read now: {why}")
            raise SqlError("58030", "the lake cannot be read now", hint="Whoever serves it is told why.") from None
        self._told = ""
        return version


def _selected(prepared: Prepared, formats: Sequence[int]) -> str:
    """The statement, its cells as the wire needs them; made so by DuckDB, in its own threads."""
    names = [f"c{number}" for number in range(len(prepared.columns))]
    sources = map(cells.source_of, prepared.columns, names, formats)
    return f"SELECT {', '.join(sources)} FROM (\n{prepared.text}\n) AS q({', '.join(names)})"  # noqa: S608 - checked


def _checked(connection: duckdb.DuckDBPyConnection, text: str) -> bool:
    """Whether a text is an EXPLAIN; it is one statement that reads.

    Raises:
        SqlError: it is not.
    """
    found = connection.extract_statements(text)
    if len(found) != 1:
        raise SqlError("42601", "cannot insert multiple commands into a prepared statement")
    kind = found[0].type
    if kind == duckdb.StatementType.MULTI:
        raise SqlError("0A000", "this takes more than one step; name the values of a PIVOT with IN")
    if kind not in {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}:
        raise SqlError("25006", f"cannot execute {kind.name} in a read-only transaction")
    return bool(kind == duckdb.StatementType.EXPLAIN)


def _parameters(
    connection: duckdb.DuckDBPyConnection, words: Sequence[Token], oids: Sequence[int]
) -> tuple[Column, ...]:
    """The parameters of a statement."""
    used = {int(one.text[1:]) for one in words if one.kind == PARAMETER}
    count = max([len(oids), *used])
    if count > _MOST_PARAMETERS or 0 in used:
        raise SqlError("42P02", f"there is no parameter ${0 if 0 in used else count}")
    said = dict(enumerate(oids, 1))
    unknown = [number for number in sorted(used) if said.get(number, 0) in types.OID_UNKNOWN]

    def plan(query: str) -> str:
        answer = connection.execute("SELECT json_serialize_plan($1, optimize := false)", [query]).fetchone()
        return str(answer[0]) if answer else json.dumps({"error": True})

    by_cast = {number: oid for number, oid in _said_by_cast(words) if number in unknown}
    said.update(by_cast)
    inferred = inference.infer(words, [one for one in unknown if one not in by_cast], plan)
    return tuple(
        types.column("", inferred[number]) if number in inferred else types.parameter(said.get(number, 0))
        for number in range(1, count + 1)
    )


def _said_by_cast(words: Sequence[Token]) -> Iterator[tuple[int, int]]:
    """Parameters that are cast to a type, which Postgres takes them for, and its OID."""
    for place in range(len(words) - 2):
        one, mark, kind = words[place : place + 3]
        internal = types.CASTS.get(kind.text.lower(), "")
        if one.kind == PARAMETER and mark.text == "::" and internal:
            is_array = [after.text for after in words[place + 3 : place + 5]] == ["[", "]"]
            found = types.BY_INTERNAL[internal]
            yield int(one.text[1:]), found.array_oid if is_array else found.oid


def _described(
    connection: duckdb.DuckDBPyConnection, text: str, words: Sequence[Token], parameters: Sequence[Column]
) -> duckdb.DuckDBPyRelation:
    """A statement whose columns can be asked for: NULLs stand for its parameters."""
    if IS_BEFORE_2 and parameters:
        with contextlib.suppress(duckdb.Error):  # a constant is wanted there
            # What is constant and NULL has no type beside ``||``.
            return connection.sql(_cast(text, words, parameters, "(SELECT CAST(NULL AS {kind}))"))
    return connection.sql(_cast(text, words, parameters, "CAST(NULL AS {kind})"))


def _cast(text: str, words: Sequence[Token], parameters: Sequence[Column], null: str = "") -> str:
    """A statement whose parameters are cast to their types; or replaced by ``null`` of ``{kind}``."""
    if not parameters:
        return text
    kinds = [one.duckdb for one in parameters]
    shown = [
        lexer.Token(one.kind, (null or f"CAST({one.text} AS {{kind}})").format(kind=kinds[int(one.text[1:]) - 1]))
        if one.kind == PARAMETER
        else one
        for one in words
    ]
    return spaced(shown)
