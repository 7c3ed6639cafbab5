"""Transactions of a client that only reads: nothing to commit, but clients count on what follows from a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.postgres.errors import SqlError

if TYPE_CHECKING:
    from stepsize.postgres.settings import SessionSettings

OUTSIDE, INSIDE, FAILED = b"I", b"T", b"E"
"""As the protocol has them."""
_MOST_SAVEPOINTS = 1000


class Transaction:
    """Whether one is open, and whether it has failed. What it set is taken back where it does not end well."""

    def __init__(self, settings: SessionSettings) -> None:
        self.status = OUTSIDE
        self._settings = settings
        self._before: dict[str, str] = {}
        self._local: set[str] = set()
        self._savepoints: list[str] = []

    def refusal(self) -> SqlError:
        """What is said of whatever does not end a transaction that has failed."""
        return SqlError("25P02", "current transaction is aborted, commands ignored until end of transaction block")

    def fail(self) -> None:
        """A statement failed."""
        if self.status == INSIDE:
            self.status = FAILED

    def begin(self) -> None:
        """Open one, if none is."""
        if self.status == OUTSIDE:
            self.status = INSIDE
            self._before = self._settings.snapshot()

    def end(self, *, well: bool) -> bool:
        """Close it; whether it ended as it was meant to."""
        is_well = well and self.status != FAILED
        if self.status != OUTSIDE:
            now = self._settings.snapshot()
            kept = {name: value for name, value in now.items() if name not in self._local} if is_well else self._before
            self._settings.restore(kept)
        self.status = OUTSIDE
        self._local.clear()
        self._savepoints.clear()
        return is_well

    def set_locally(self, name: str) -> None:
        """A setting has been set until the end."""
        if self.status == INSIDE:
            self._local.add(name.lower())

    def save(self, name: str) -> None:
        """Set a savepoint."""
        self._need(f"SAVEPOINT {name}")
        if len(self._savepoints) >= _MOST_SAVEPOINTS:
            raise SqlError("54000", "too many savepoints")
        self._savepoints.append(name)

    def release(self, name: str) -> None:
        """Forget one, and those after it."""
        self._need("RELEASE SAVEPOINT")
        del self._savepoints[self._place(name) :]

    def back_to(self, name: str) -> None:
        """Go back to one: what failed since has not happened."""
        self._need("ROLLBACK TO SAVEPOINT")
        del self._savepoints[self._place(name) + 1 :]
        self.status = INSIDE

    def _need(self, what: str) -> None:
        if self.status == OUTSIDE:
            raise SqlError("25P01", f"{what} can only be used in transaction blocks")

    def _place(self, name: str) -> int:
        for place in range(len(self._savepoints) - 1, -1, -1):
            if self._savepoints[place] == name:
                return place
        raise SqlError("3B001", f'savepoint "{name}" does not exist')
