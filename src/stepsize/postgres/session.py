"""One client after it was let in: its messages in, the server's out.

What comes in: messages. What goes out: bytes to send, as they come, so that whoever sends them decides how fast. Does
no I/O of its own; what runs statements is given to it. Source: PostgreSQL's documentation, 55.2 (message flow).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from stepsize.postgres import commands, lexer, messages, types, values
from stepsize.postgres.copy_statement import Copy
from stepsize.postgres.copying import CopyPortal, format_of
from stepsize.postgres.errors import FatalError, SqlError, out_of_memory
from stepsize.postgres.portal import Portal, description
from stepsize.postgres.prepare_statement import Prepare
from stepsize.postgres.running import Kept
from stepsize.postgres.settings import SessionSettings, milliseconds
from stepsize.postgres.state import Open, State, Statement
from stepsize.postgres.transaction import FAILED, OUTSIDE
from stepsize.postgres.understanding import ENDS, Understanding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from stepsize.postgres.commands import Command
    from stepsize.postgres.engine import Engine
    from stepsize.postgres.guard import Guard
    from stepsize.postgres.running import Rows, Stoppable

Piece: TypeAlias = bytes | memoryview


class Session:
    """The client.

    Args:
        engine: runs what reads the lake.
        guard: is told what runs, and stops it.
        user: who it is.
        process: the connection's number.
        said: parameters of the start-up.
    """

    def __init__(self, engine: Engine, guard: Guard, user: str, process: int, said: Mapping[str, str]) -> None:
        self._engine = engine
        self._guard = guard
        self._process = process
        self._state = State(SessionSettings(user, said))
        self._understanding = Understanding(engine, guard, self._state, user, process)
        self._is_skipping = False
        self._handlers: dict[type, Callable[..., Iterator[Piece]]] = {
            messages.Query: self._query,
            messages.Parse: self._parse,
            messages.Bind: self._bind,
            messages.Describe: self._describe,
            messages.Execute: self._execute,
            messages.Close: self._close,
            messages.Malformed: self._malformed,
        }

    @property
    def is_in_transaction(self) -> bool:
        """Whether the client has a transaction open."""
        return self._state.transaction.status != OUTSIDE

    def greet(self, secret: bytes) -> Iterator[Piece]:
        """What follows the authentication."""
        yield from self._state.report()
        yield messages.backend_key(self._process, secret)
        yield messages.ready(self._state.transaction.status)

    def close(self) -> None:
        """Let go of everything."""
        self._state.end_portals(lambda _: True)

    def handle(self, message: messages.Message) -> Iterator[Piece]:
        """What answers a message; bytes are to be sent in their order, some may be held back until it says otherwise.

        Raises:
            FatalError: the connection is to end.
        """
        if isinstance(message, messages.Sync):
            yield from self._sync()
            return
        if self._is_skipping or isinstance(message, (messages.Flush, messages.CopyMessage)):
            return
        handler = self._handlers.get(type(message), self._unsupported)
        self._guard.begin(self._timeout_s())
        try:
            yield from handler(message)
        except FatalError:
            raise
        except SqlError as failed:
            yield from self._failed(message, failed)
        except MemoryError:
            yield from self._failed(message, out_of_memory())
        finally:
            self._guard.end()

    def _failed(self, message: messages.Message, failed: SqlError) -> Iterator[Piece]:
        self._state.transaction.fail()
        yield messages.error(failed)
        if isinstance(message, messages.Query) or (isinstance(message, messages.Malformed) and message.is_query):
            yield messages.ready(self._state.transaction.status)
        else:
            self._is_skipping = True

    def _timeout_s(self) -> float:
        own_s = milliseconds(self._state.settings.get("statement_timeout") or "0") / 1000
        most_s = self._engine.limits.statement_s
        return min(own_s, most_s) if own_s else most_s

    def _unsupported(self, message: messages.Message) -> Iterator[Piece]:
        raise SqlError("0A000", f"messages of type {type(message).__name__} are not supported")

    def _malformed(self, message: messages.Malformed) -> Iterator[Piece]:
        raise SqlError(message.code, message.message)

    # -- simple queries ----------------------------------------------------------------------------------------------

    def _query(self, message: messages.Query) -> Iterator[Piece]:
        self._state.end_portal("")
        self._state.statements.pop("", None)
        found = lexer.statements(message.text)
        if not found:
            yield messages.EMPTY_QUERY
        for tokens in found:
            self._guard.begin(self._timeout_s())
            statement = self._understanding.statement(tokens)
            if statement.parameters and statement.bound is None:
                raise SqlError("42P02", "there is no parameter $1")
            formats = [types.TEXT] * len(statement.columns)
            opened = self._opened(statement, (), formats)
            if statement.columns:
                yield opened.portal.description()
            try:
                yield from self._run(opened, 0)
            finally:
                opened.portal.close()
        if not self.is_in_transaction:
            self._state.end_portals(lambda portal: not portal.outlives)
        yield messages.ready(self._state.transaction.status)

    # -- the extended protocol ---------------------------------------------------------------------------------------

    def _sync(self) -> Iterator[Piece]:
        self._is_skipping = False
        if not self.is_in_transaction:
            self._state.end_portals(lambda portal: not portal.outlives)
        yield messages.ready(self._state.transaction.status)

    def _parse(self, message: messages.Parse) -> Iterator[Piece]:
        found = lexer.statements(message.text)
        if len(found) > 1:
            raise SqlError("42601", "cannot insert multiple commands into a prepared statement")
        statement = self._understanding.statement(found[0], message.types) if found else Statement()
        self._state.add_statement(message.name, statement)
        yield messages.PARSE_COMPLETE

    def _bind(self, message: messages.Bind) -> Iterator[Piece]:
        statement = self._state.statement(message.statement)
        parameters = statement.parameters
        if len(message.values) != len(parameters):
            raise SqlError(
                "08P01", f"bind message supplies {len(message.values)} parameters, but {len(parameters)} are required"
            )
        if self._state.transaction.status == FAILED and not isinstance(statement.command, ENDS):
            raise self._state.transaction.refusal()
        formats = _spread(message.formats, len(parameters), types.TEXT)
        given = tuple(map(values.value, message.values, formats, parameters))
        shown = _spread(message.result_formats, len(statement.columns), types.TEXT)
        self._state.add_portal(message.portal, self._opened(statement, given, shown))
        yield messages.BIND_COMPLETE

    def _describe(self, message: messages.Describe) -> Iterator[Piece]:
        if message.is_portal:
            portal = self._state.portal(message.name).portal
            yield portal.description() if portal.columns else messages.NO_DATA
            return
        statement = self._state.statement(message.name)
        yield messages.parameter_description([one.oid for one in statement.parameters])
        if statement.columns:
            yield description(statement.columns, [types.TEXT] * len(statement.columns))
        else:
            yield messages.NO_DATA

    def _execute(self, message: messages.Execute) -> Iterator[Piece]:
        yield from self._run(self._state.portal(message.portal), max(message.rows, 0))

    def _close(self, message: messages.Close) -> Iterator[Piece]:
        if message.is_portal:
            self._state.end_portal(message.name)
        else:
            self._state.statements.pop(message.name, None)
        yield messages.CLOSE_COMPLETE

    # -- statements and portals --------------------------------------------------------------------------------------

    def _opened(
        self, statement: Statement, given: Sequence[object], formats: Sequence[int], *, outlives: bool = False
    ) -> Open:
        opened: Open
        command = statement.command
        given = given if statement.bound is None else statement.bound
        if isinstance(command, Copy) and statement.prepared is not None:
            formats = [format_of(command.options)] * len(statement.prepared.columns)

        def run() -> Rows:
            if statement.prepared is None:
                return Kept([self._state.shown_rows(statement)])
            return self._engine.run(statement.prepared, given, formats, attach)

        def attach(running: Stoppable) -> None:
            opened.running = running
            self._guard.attach(running)

        tag = "EXPLAIN" if statement.prepared and statement.prepared.is_explain else "SELECT"
        tag = "SHOW" if isinstance(command, commands.Show) else tag
        if isinstance(command, Copy) and statement.prepared is not None:
            portal: Portal = CopyPortal(statement.prepared.columns, command.options, run)
        else:
            portal = Portal(statement.columns, formats, run, tag, outlives=outlives)
        opened = Open(statement, portal, tuple(given))
        return opened

    def _run(self, opened: Open, rows: int) -> Iterator[Piece]:
        statement = opened.statement
        command = statement.command
        if self._state.transaction.status == FAILED and not isinstance(command, ENDS) and not statement.is_empty:
            raise self._state.transaction.refusal()
        if opened.running is not None:
            self._guard.attach(opened.running)
        if statement.is_empty:
            yield messages.EMPTY_QUERY
        elif isinstance(command, commands.Fetch):
            cursor = self._state.cursor(command.name)
            if cursor.running is not None:
                self._guard.attach(cursor.running)
            tag = "FETCH" if command.is_shown else "MOVE"
            yield from cursor.portal.fetch(command.rows, tag, is_shown=command.is_shown)
        elif command is None or isinstance(command, (commands.Show, Copy)):
            yield from opened.portal.fetch(rows)
        else:
            yield messages.complete(self._perform(command, opened))
            yield from self._state.report()

    def _perform(self, command: Command, opened: Open) -> str:
        if isinstance(command, commands.Declare):
            return self._declare(command, opened)
        if isinstance(command, Prepare):
            return self._prepare(command)
        return self._state.perform(command)

    def _prepare(self, command: Prepare) -> str:
        found = self._understanding.query_of(command.query, command.oids)
        self._state.add_statement(command.name, found)
        return "PREPARE"

    def _declare(self, command: commands.Declare, opened: Open) -> str:
        state = self._state
        if not command.is_held and not self.is_in_transaction:
            raise SqlError("25P01", "DECLARE CURSOR can only be used in transaction blocks")
        prepared = opened.statement.prepared
        assert prepared is not None  # as it was understood
        statement = Statement(prepared=prepared, columns=prepared.columns)
        formats = [types.TEXT] * len(statement.columns)
        state.add_portal(command.name, self._opened(statement, opened.given, formats, outlives=command.is_held))
        return "DECLARE CURSOR"


def _spread(formats: Sequence[int], count: int, default: int) -> tuple[int, ...]:
    """A format for each, where one stands for all and none for the default."""
    if len(formats) not in {0, 1, count}:
        raise SqlError("08P01", f"message has {len(formats)} formats, but there are {count} values")
    if any(one not in {types.TEXT, types.BINARY} for one in formats):
        raise SqlError("22023", "unsupported format code")
    if len(formats) == count:
        return tuple(formats)
    return tuple(formats or (default,)) * count
