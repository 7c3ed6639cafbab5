"""Who is connected: places for those that were let in, and places on the way in, which are others.

What comes in: clients that connect, are let in, go. What goes out: who has to go for one that comes. Whoever is on the
way in takes no place from those who are in. Where these places are taken too, the next one has that of the one that
would be missed least: one that has not said who it is before one that has, one of the address that has most of them,
and of these the one that has been there longest. So who only connects shuts nobody out, and least of all others.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.postgres.errors import FatalError

if TYPE_CHECKING:
    from stepsize.postgres.client import Client

STARTING = 32
"""So many may be on their way in; more where more may be in: a pool opens all that it may have at once."""


@dataclass(slots=True)
class _Place:
    client: Client
    is_in: bool = False
    is_leaving: bool = False


class Places:
    """Of one server.

    Args:
        connections: how many may be in.
    """

    def __init__(self, connections: int) -> None:
        self._connections = connections
        self._most_starting = max(STARTING, connections)
        self._changed = threading.Condition()
        self._places: dict[int, _Place] = {}
        self.admitted = 0
        """How many are in."""

    def all(self) -> list[Client]:
        """Whoever is connected."""
        with self._changed:
            return [one.client for one in self._places.values()]

    def starting(self) -> list[Client]:
        """Those on their way in."""
        with self._changed:
            return [one.client for one in self._places.values() if not one.is_in]

    def client(self, number: int) -> Client | None:
        """The one of this number."""
        with self._changed:
            found = self._places.get(number)
        return None if found is None else found.client

    def take(self, client: Client) -> Client | None:
        """A place on the way in; whoever has to go for it."""
        with self._changed:
            starting = [one for one in self._places.values() if not one.is_in and not one.is_leaving]
            self._places[client.process] = _Place(client)
            if len(starting) < self._most_starting:
                return None
            of_address = Counter(one.client.address for one in starting)
            least = min(
                starting, key=lambda one: (one.client.is_known, -of_address[one.client.address], one.client.began_s)
            )
            least.is_leaving = True
            return least.client

    @property
    def is_crowded(self) -> bool:
        """Whether those that have to go do not go as fast as others come."""
        return len(self._places) >= self._connections + 2 * self._most_starting

    def admit(self, client: Client) -> None:
        """Let it in.

        Raises:
            FatalError: all places are taken, or it has lost its own.
        """
        with self._changed:
            place = self._places[client.process]
            if self.admitted >= self._connections or place.is_leaving:
                raise too_many()
            place.is_in = True
            self.admitted += 1

    def leave(self, client: Client) -> None:
        """It has gone."""
        with self._changed:
            place = self._places.pop(client.process, None)
            self.admitted -= place is not None and place.is_in
            self._changed.notify_all()

    def wait_empty(self, most_s: float) -> bool:
        """Whether all have gone by then."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._places, most_s)


def too_many() -> FatalError:
    """What is said to one for whom there is no place."""
    return FatalError("53300", "sorry, too many clients already")
