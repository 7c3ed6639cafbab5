"""How far a night has come: what a second start goes on from.

What comes in: bytes. What goes out: frozen values, and bytes again. Never reads or writes a file.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from stepsize.errors import DataError

VERSION = 1


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be sent."""

    title: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """One night's work.

    Attributes:
        day: of its report (UTC).
        asked: how the report is made; another way is another night's work.
        done: stages that need not be done again.
        said: what they have to say, in their order.
        message: what there is to tell, None where nothing.
        sent: digests of the targets that took it.
        tried: whether each target has been tried: from here on the report is one to compare the next with.
    """

    day: str
    asked: str
    done: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    message: Message | None = None
    sent: tuple[str, ...] = ()
    tried: bool = False

    def after(self, stage: str, *said: str) -> Night:
        """The night once ``stage`` is done, which it may have been before."""
        done = self.done if stage in self.done else (*self.done, stage)
        return replace(self, done=done, said=(*self.said, *said))


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The newest night, and the day of the report that it is compared with."""

    night: Night | None = None
    last: str | None = None

    def begin(self, day: str, asked: str, *, again: bool) -> State:
        """The state in which the night of ``day`` goes on, or begins."""
        before = self.night
        if before is not None and before.day == day and before.asked == asked and not again:
            return self
        last = self.last
        if before is not None and before.day != day and before.tried:
            last = before.day
        return State(night=Night(day=day, asked=asked), last=last)


def state_bytes(state: State) -> bytes:
    """``state`` as JSON."""
    return json.dumps({"version": VERSION, **asdict(state)}).encode() + b"\n"


def parse_state(content: bytes | None) -> State:
    """The state in ``content``; an empty one where there is none.

    Raises:
        DataError: it is none of ours.
    """
    if content is None:
        return State()
    try:
        found = json.loads(content)
        if found["version"] != VERSION:
            raise DataError("the state of the nightly job is of another version; delete reports/.state.json")
        return State(night=None if found["night"] is None else _night(found["night"]), last=found["last"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DataError("the state of the nightly job cannot be read; delete reports/.state.json") from None


def _night(found: dict[str, Any]) -> Night:
    message = found["message"]
    return Night(
        day=found["day"],
        asked=found["asked"],
        done=tuple(found["done"]),
        said=tuple(found["said"]),
        message=None if message is None else Message(**message),
        sent=tuple(found["sent"]),
        tried=found["tried"],
    )
