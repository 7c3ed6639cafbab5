"""What a connection remembers: settings, transaction, prepared statements, portals; and the commands that change these.

What comes in: commands. What goes out: their tags, or a :class:`SqlError`. Does no I/O, and runs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from stepsize.postgres import commands, messages, types
from stepsize.postgres.errors import SqlError
from stepsize.postgres.transaction import OUTSIDE, Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stepsize.postgres.commands import Command
    from stepsize.postgres.engine import Prepared
    from stepsize.postgres.portal import Portal
    from stepsize.postgres.running import Stoppable
    from stepsize.postgres.settings import SessionSettings
    from stepsize.postgres.types import Column

_MOST_STATEMENTS = 1000
_MOST_PORTALS = 64
_MOST_BYTES = 32 << 20
"""Of the texts of a connection's prepared statements, and of the values of its portals."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that was parsed: for the engine, for the connection, a cursor's for both, or empty.

    What an EXECUTE runs has the values of its parameters in ``bound``.
    """

    prepared: Prepared | None = None
    command: Command | None = None
    columns: tuple[Column, ...] = ()
    bound: tuple[object, ...] | None = None

    @property
    def parameters(self) -> tuple[Column, ...]:
        """Of what the engine runs, as far as they have no values yet."""
        return self.prepared.parameters if self.prepared and self.bound is None else ()

    @property
    def size(self) -> int:
        """Of its text, about."""
        return len(self.prepared.text) if self.prepared else 0

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing but spaces and comments."""
        return self.prepared is None and self.command is None


@dataclass(slots=True)
class Open:
    """A portal, the statement that it is of, the values of its parameters, and what of it runs."""

    statement: Statement
    portal: Portal
    given: tuple[object, ...] = ()
    running: Stoppable | None = None

    @property
    def size(self) -> int:
        """Of its values, about."""
        return sum(len(one) for one in self.given if isinstance(one, (str, bytes, list)))


class State:
    """Of one connection."""

    def __init__(self, settings: SessionSettings) -> None:
        self.settings = settings
        self.transaction = Transaction(settings)
        self.statements: dict[str, Statement] = {}
        self.portals: dict[str, Open] = {}
        self._told: dict[str, str] = {}
        self._performers: dict[type, Callable[..., str]] = {
            commands.Begin: self._begin,
            commands.Commit: self._commit,
            commands.Rollback: self._rollback,
            commands.Savepoint: self._savepoint,
            commands.Set: self._set,
            commands.Forget: self._forget,
        }

    def perform(self, command: Command) -> str:
        """Do what a command asks; its tag.

        Raises:
            SqlError: it cannot be done.
        """
        if isinstance(command, commands.Nothing):
            return command.tag
        return self._performers[type(command)](command)

    # -- statements and portals --------------------------------------------------------------------------------------

    def statement(self, name: str) -> Statement:
        """The statement of that name; errors as of :meth:`perform`."""
        if (found := self.statements.get(name)) is None:
            raise SqlError("26000", f'prepared statement "{name}" does not exist')
        return found

    def add_statement(self, name: str, statement: Statement) -> None:
        """Remember one, in place of an unnamed one."""
        if name and name in self.statements:
            raise SqlError("42P05", f'prepared statement "{name}" already exists')
        if name:
            self._check_room(statement.size)
        if len(self.statements) >= _MOST_STATEMENTS:
            raise SqlError("54000", f"a connection may have {_MOST_STATEMENTS} prepared statements at a time")
        self.statements[name] = statement

    def _check_room(self, size: int) -> None:
        held = sum(one.size for one in self.statements.values()) + sum(one.size for one in self.portals.values())
        if held + size > _MOST_BYTES:
            raise SqlError("54000", f"a connection's statements and portals may have {_MOST_BYTES >> 20} MiB together")

    def portal(self, name: str) -> Open:
        """The portal of that name; errors as of :meth:`perform`."""
        if (found := self.portals.get(name)) is None:
            raise SqlError("34000", f'portal "{name}" does not exist')
        return found

    def cursor(self, name: str) -> Open:
        """As :meth:`portal`, as SQL calls it."""
        if (found := self.portals.get(name)) is None:
            raise SqlError("34000", f'cursor "{name}" does not exist')
        return found

    def add_portal(self, name: str, opened: Open) -> None:
        """Remember one, in place of an unnamed one."""
        if name and name in self.portals:
            raise SqlError("42P03", f'cursor "{name}" already exists')
        if name:
            self._check_room(opened.size)
        if len(self.portals) >= _MOST_PORTALS:
            raise SqlError("54000", f"a connection may have {_MOST_PORTALS} portals at a time")
        self.end_portal(name)
        self.portals[name] = opened

    def end_portal(self, name: str) -> None:
        """Let go of one, if it is there."""
        if (opened := self.portals.pop(name, None)) is not None:
            opened.portal.close()

    def end_portals(self, ends: Callable[[Portal], bool]) -> None:
        """Let go of those that end."""
        for name in [name for name, opened in self.portals.items() if ends(opened.portal)]:
            self.end_portal(name)

    # -- commands ----------------------------------------------------------------------------------------------------

    def _begin(self, command: commands.Begin) -> str:
        self.transaction.begin()
        return command.tag

    def _commit(self, _: commands.Commit) -> str:
        return "COMMIT" if self._end(well=True) else "ROLLBACK"

    def _rollback(self, command: commands.Rollback) -> str:
        if command.savepoint:
            self.transaction.back_to(command.savepoint)
        else:
            self._end(well=False)
        return "ROLLBACK"

    def _end(self, *, well: bool) -> bool:
        is_well = self.transaction.end(well=well)
        self.end_portals(lambda portal: not (portal.outlives and is_well))
        return is_well

    def _savepoint(self, command: commands.Savepoint) -> str:
        if command.is_released:
            self.transaction.release(command.name)
            return "RELEASE"
        self.transaction.save(command.name)
        return "SAVEPOINT"

    def _set(self, command: commands.Set) -> str:
        if command.is_local:
            if self.transaction.status == OUTSIDE:
                return command.tag  # as in Postgres, which warns that it changes nothing
            self.transaction.set_locally(command.name)
        self.settings.set(command.name, command.value)
        return command.tag

    def _forget(self, command: commands.Forget) -> str:
        if command.tag == "DISCARD ALL" and self.transaction.status != OUTSIDE:
            raise SqlError("25001", "DISCARD ALL cannot run inside a transaction block")
        if command.is_settings:
            self.settings.reset()
        if command.is_statements and command.name:
            self.statement(command.name)
            del self.statements[command.name]
        elif command.is_statements:
            self.statements.clear()
        if command.is_cursors and command.name:
            self.cursor(command.name)
            self.end_portal(command.name)
        elif command.is_cursors:
            self.end_portals(lambda _: True)
        return command.tag

    # -- settings ----------------------------------------------------------------------------------------------------

    def shown(self, name: str) -> str | None:
        """What SHOW says of a setting; None where there is none of this name."""
        return "" if name == "all" else self.settings.get(name)

    def shown_rows(self, statement: Statement) -> pa.RecordBatch:
        """The rows of a SHOW."""
        name = statement.columns[0].name
        if len(statement.columns) == 1:
            return pa.record_batch([pa.array([self.shown(name)], pa.string())], [name])
        shown = list(self.settings.shown())
        columns = [[one for one, _ in shown], [value for _, value in shown], [""] * len(shown)]
        return pa.record_batch([pa.array(one, pa.string()) for one in columns], ["name", "setting", "description"])

    def report(self) -> Iterator[bytes]:
        """Tell the client which of the settings that it is told unasked are others than it knows."""
        for name, value in self.settings.reported().items():
            if self._told.get(name) != value:
                self._told[name] = value
                yield messages.parameter_status(name, value)


def show_columns(name: str) -> tuple[Column, ...]:
    """Of a SHOW of this."""
    names = ("name", "setting", "description") if name == "all" else (name,)
    return tuple(types.column(one, "VARCHAR") for one in names)
