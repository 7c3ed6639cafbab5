"""What a task says to the process that writes its card.

What comes in: values, or the text of a command line's argument. What goes out: the same, the other way round. Holds no
secret: command lines can be read by others. Standard library only: it is imported inside the user's process.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from stepsize.model import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A card that is to be written.

    Attributes:
        identity: of which attempt.
        pid: the attempt's process.
        started_s: when it began, seconds since 1970.
        interval_s: seconds between its samples.
        refresh_s: seconds between two looks of the card, at least.
        datastore: Metaflow's name for the kind of datastore that the flow uses.
        metadata: Metaflow's name for the kind of its metadata provider, ``@``, and where that is.
        directory: where the task works: Metaflow finds a local datastore from there.
    """

    identity: Identity
    pid: int
    started_s: float
    interval_s: float
    refresh_s: float
    datastore: str
    metadata: str
    directory: str

    def dumps(self) -> str:
        """One line."""
        return json.dumps({**asdict(self), "identity": self.identity.by_name()}, separators=(",", ":"), default=str)

    @classmethod
    def loads(cls, text: str) -> Order:
        """What `dumps` gave.

        Raises:
            ValueError, KeyError, TypeError: the text is no order.
        """
        content = json.loads(text)
        return cls(identity=Identity.from_names(content.pop("identity")), **content)
