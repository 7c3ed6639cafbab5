"""A result that is being fetched: its rows as messages, as many as are asked for at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.postgres import cells, messages, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

    from stepsize.postgres.running import Rows
    from stepsize.postgres.types import Column


class Portal:
    """A statement with its values, and how far it has been fetched.

    Args:
        columns: of the result; none where nothing is returned.
        formats: of each column.
        run: begins the statement.
        tag: what its completion says, before the count of rows where it is ``SELECT``.
        outlives: whether it stays when its transaction ends.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        formats: Sequence[int],
        run: Callable[[], Rows],
        tag: str = "SELECT",
        *,
        outlives: bool = False,
    ) -> None:
        self.columns = tuple(columns)
        self.formats = tuple(formats)
        self.tag = tag
        self.outlives = outlives
        self.is_done = False
        self._run = run
        self._rows: Rows | None = None
        self._left: pa.RecordBatch | None = None

    def description(self) -> bytes:
        """The columns as a message."""
        return description(self.columns, self.formats)

    def fetch(self, most: int, fetched_as: str = "", *, is_shown: bool = True) -> Iterator[bytes | memoryview]:
        """The messages of at most ``most`` rows (0: all), then that it is done, or that there may be more.

        ``fetched_as`` is the tag of a statement that fetches them, which is done in either case.

        Raises:
            SqlError: the statement failed, or was stopped.
        """
        count = 0
        while not self.is_done and (not most or count < most):
            batch = self._next()
            if batch is None:
                self.close()
                break
            if most and batch.num_rows > most - count:
                batch, self._left = batch.slice(0, most - count), batch.slice(most - count)
            count += batch.num_rows
            if is_shown:
                yield self._messages(batch)
        if fetched_as:
            yield messages.complete(f"{fetched_as} {count}")
        elif self.is_done:
            yield messages.complete(f"SELECT {count}" if self.tag == "SELECT" else self.tag)
        else:
            yield messages.PORTAL_SUSPENDED

    def _next(self) -> pa.RecordBatch | None:
        if self._left is not None:
            left, self._left = self._left, None
            return left
        return self._begun().next()

    def _begun(self) -> Rows:
        if self._rows is None:
            self._rows = self._run()
        return self._rows

    def _messages(self, batch: pa.RecordBatch) -> memoryview:
        arrays = map(cells.cells, batch.columns, self.columns, self.formats)
        return rows.data_rows(list(arrays), batch.num_rows)

    def close(self) -> None:
        """Let go of what is left."""
        self.is_done = True
        self._left = None
        if self._rows is not None:
            self._rows.close()


def description(columns: Sequence[Column], formats: Sequence[int]) -> bytes:
    """Columns as a message."""
    fields = zip(columns, formats, strict=True)
    return messages.row_description((one.name, one.oid, one.size, one.modifier, form) for one, form in fields)
