"""One client after it was let in: its messages in, the server's out.

What comes in: messages. What goes out: bytes to send, as they come, so that whoever sends them decides how fast. Does
no I/O of its own; what runs statements is given to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.postgres import lexer, messages, rows, types
from stepsize.postgres.errors import SqlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stepsize.postgres.engine import Engine, Running
    from stepsize.postgres.lexer import Token

_STATUS = {
    "server_version": "16.4",
    "server_encoding": "UTF8",
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "integer_datetimes": "on",
    "standard_conforming_strings": "on",
    "default_transaction_read_only": "on",
    "in_hot_standby": "off",
    "is_superuser": "off",
    "application_name": "",
}


class Session:
    """The client."""

    def __init__(self, engine: Engine, user: str, started: Callable[[Running], None]) -> None:
        self._engine = engine
        self.user = user
        self._started = started
        self._status = b"I"

    def greet(self, process: int, secret: bytes) -> Iterator[bytes]:
        """What follows the authentication."""
        for name, value in (*_STATUS.items(), ("session_authorization", self.user)):
            yield messages.parameter_status(name, value)
        yield messages.backend_key(process, secret)
        yield messages.ready(self._status)

    def handle(self, message: messages.Message) -> Iterator[bytes]:
        """What answers a message."""
        if isinstance(message, messages.Query):
            yield from self._query(message.text)

    def _query(self, text: str) -> Iterator[bytes]:
        found = lexer.statements(text)
        if not found:
            yield messages.EMPTY_QUERY
        try:
            for statement in found:
                yield from self._statement(statement)
        except SqlError as failed:
            if self._status == b"T":
                self._status = b"E"
            yield messages.error(failed)
        yield messages.ready(self._status)

    def _statement(self, statement: list[Token]) -> Iterator[bytes]:
        first = statement[0].text.upper()
        if first in {"BEGIN", "START"}:
            self._status = b"T"
            yield messages.complete("BEGIN")
        elif first in {"COMMIT", "END", "ROLLBACK", "ABORT"}:
            is_well = self._status != b"E" and first in {"COMMIT", "END"}
            self._status = b"I"
            yield messages.complete("COMMIT" if is_well else "ROLLBACK")
        elif first in {"SET", "RESET"}:
            yield messages.complete(first)
        elif self._status == b"E":
            raise SqlError("25P02", "current transaction is aborted, commands ignored until end of transaction block")
        else:
            yield from self._read(lexer.joined(statement))

    def _read(self, text: str) -> Iterator[bytes]:
        columns = self._engine.describe(text)
        result = self._engine.run(text, columns, self._started)
        try:
            yield messages.row_description((one.name, one.oid, one.size, one.modifier, types.TEXT) for one in columns)
            count = 0
            while (batch := result.next()) is not None:
                yield rows.data_rows([rows.cells_of(one) for one in batch.columns], batch.num_rows)
                count += batch.num_rows
            yield messages.complete(f"SELECT {count}")
        finally:
            result.close()
