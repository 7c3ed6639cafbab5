"""What a statement is, in the state that its connection is in.

What comes in: the tokens of a statement. What goes out: a :class:`~stepsize.postgres.state.Statement` that can be run,
or an :class:`SqlError`. Runs nothing but the values that an EXECUTE gives.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stepsize.postgres import cells, commands, lexer, types, values
from stepsize.postgres.catalog import Context
from stepsize.postgres.catalog.rewrites import spaced
from stepsize.postgres.copy_statement import Copy
from stepsize.postgres.errors import SqlError
from stepsize.postgres.prepare_statement import Execute
from stepsize.postgres.state import Statement, show_columns
from stepsize.postgres.transaction import FAILED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.postgres.engine import Engine
    from stepsize.postgres.guard import Guard
    from stepsize.postgres.lexer import Token
    from stepsize.postgres.state import State
    from stepsize.postgres.types import Column

ENDS = (commands.Commit, commands.Rollback)
"""Commands that are taken in a transaction that has failed."""


class Understanding:
    """Of one connection.

    Args:
        engine: prepares what reads the lake.
        guard: is told what runs.
        state: of the connection.
        user: whose it is.
        process: its number.
    """

    def __init__(self, engine: Engine, guard: Guard, state: State, user: str, process: int) -> None:
        self._engine = engine
        self._guard = guard
        self._state = state
        self._user = user
        self._process = process

    def statement(self, tokens: Sequence[Token], oids: Sequence[int] = ()) -> Statement:
        """A statement that can be run.

        Raises:
            SqlError: it cannot be, or not now.
        """
        command = commands.recognised(tokens)
        if self._state.transaction.status == FAILED and not isinstance(command, ENDS):
            raise self._state.transaction.refusal()
        if command is None:
            return self._asked(tokens, oids)
        if isinstance(command, commands.Show):
            return self._shown(command, tokens)
        if isinstance(command, commands.Fetch):
            fetched = self._state.cursor(command.name).portal.columns
            return Statement(command=command, columns=fetched if command.is_shown else ())
        if isinstance(command, (commands.Declare, Copy)):
            return self._with_a_query(command, oids)
        return self._executed(command) if isinstance(command, Execute) else Statement(command=command)

    def _asked(self, tokens: Sequence[Token], oids: Sequence[int]) -> Statement:
        context = Context(self._user, self._process, self._state.settings.all())
        prepared = self._engine.prepare(tokens, context, oids)
        return Statement(prepared=prepared, columns=prepared.columns)

    def _shown(self, command: commands.Show, tokens: Sequence[Token]) -> Statement:
        if self._state.shown(command.name) is not None:
            return Statement(command=command, columns=show_columns(command.name))
        try:
            return self._asked(tokens, ())
        except SqlError:  # nor does DuckDB have something of this name to show
            raise SqlError("42704", f'unrecognized configuration parameter "{command.name}"') from None

    def _with_a_query(self, command: commands.Declare | Copy, oids: Sequence[int]) -> Statement:
        found = self.query_of(command.query, oids)
        if isinstance(command, Copy) and found.parameters:
            raise SqlError("42P02", "there is no parameter $1")
        return replace(found, command=command, columns=())

    def query_of(self, query: Sequence[Token], oids: Sequence[int] = ()) -> Statement:
        """The query that is part of a statement; as :meth:`statement` beside."""
        try:
            found = self.statement(query, oids)
        except SqlError as failed:
            failed.position = 0  # which is that of the query, not of the statement
            raise
        if found.prepared is None or found.command is not None or found.prepared.is_explain:
            raise SqlError("42601", "a query that reads is expected in this statement")
        return found

    def _executed(self, command: Execute) -> Statement:
        """The statement that was prepared under a name, with its values."""
        found = self._state.statement(command.name)
        wanted, given = len(found.parameters), len(command.arguments)
        if wanted != given:
            raise SqlError(
                "42601",
                f'wrong number of parameters for prepared statement "{command.name}"',
                hint=f"Expected {wanted} parameters but got {given}.",
            )
        return replace(found, bound=tuple(map(self._value, command.arguments, found.parameters)))

    def _value(self, expression: Sequence[Token], parameter: Column) -> object:
        """What an expression is that stands for a parameter."""
        if len(expression) == 1 and expression[0].kind in {lexer.STRING, lexer.NUMBER}:
            return values.value(lexer.literal(expression[0]).encode(), types.TEXT, parameter)
        asked = lexer.tokens(f"SELECT {spaced(list(expression))}")
        statement = self.query_of(list(asked))
        if statement.prepared is None or statement.parameters or len(statement.columns) != 1:
            raise SqlError("42601", "a prepared statement is given values")
        rows = self._engine.run(statement.prepared, (), (types.TEXT,), self._guard.attach)
        try:
            batch = rows.next()
        finally:
            rows.close()
        if batch is None or batch.num_rows != 1:
            raise SqlError("42601", "a prepared statement is given values")
        (cell,) = cells.cells(batch.columns[0], statement.columns[0], types.TEXT).to_pylist()
        return values.value(cell, types.TEXT, parameter)
