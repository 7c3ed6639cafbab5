"""How far a night has come: what a second start goes on from.

What comes in: bytes. What goes out: frozen values, and bytes again. Never reads or writes a file.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from stepsize.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = 1
MOST_OWED = 7


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be sent."""

    title: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """What the targets with the digests ``to`` were to be told on ``day``, and did not take."""

    day: str
    message: Message
    to: tuple[str, ...]


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
        missed: of those that were tried and did not.
        tried: whether each target has been tried: from here on the report is one to compare the next with.
    """

    day: str
    asked: str
    done: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    message: Message | None = None
    sent: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    tried: bool = False

    def after(self, stage: str, *said: str) -> Night:
        """The night once ``stage`` is done, which it may have been before."""
        done = self.done if stage in self.done else (*self.done, stage)
        return replace(self, done=done, said=(*self.said, *said))


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The newest night, the day of the report that it is compared with, and what is owed of nights before, the newest
    `MOST_OWED` of them."""

    night: Night | None = None
    last: str | None = None
    owed: tuple[Owed, ...] = ()

    def begin(self, day: str, asked: str, *, again: bool) -> State:
        """The state in which the night of ``day`` goes on, or begins."""
        before = self.night
        if before is not None and before.day == day and before.asked == asked and not again:
            return self
        last, owed = self.last, self.owed
        if before is not None and before.day != day and before.tried:
            last, owed = before.day, (*owed, *_owed(before))
        return State(night=Night(day=day, asked=asked), last=last, owed=owed[-MOST_OWED:])

    def paid(self, day: str, digest: str) -> State:
        """The state once a target was told what it was owed of ``day``."""
        left = [replace(one, to=tuple(to for to in one.to if (one.day, to) != (day, digest))) for one in self.owed]
        return replace(self, owed=tuple(one for one in left if one.to))


def _owed(night: Night) -> tuple[Owed, ...]:
    to = tuple(digest for digest in night.missed if digest not in night.sent)
    return () if night.message is None or not to else (Owed(day=night.day, message=night.message, to=to),)


def state_bytes(state: State) -> bytes:
    """``state`` as JSON."""
    return json.dumps({"version": VERSION, **asdict(state)}).encode() + b"\n"


def parse_state(content: bytes | None, where: str) -> State:
    """The state in ``content``, which lies at ``where``; an empty one where there is none.

    Raises:
        DataError: it is none of ours.
    """
    if content is None:
        return State()
    try:
        found = json.loads(content)
        if found["version"] != VERSION:
            raise DataError(f"the state of the nightly job is of another version; delete {where}")
        return State(
            night=None if found["night"] is None else _night(found["night"]),
            last=None if found["last"] is None else _day(found["last"]),
            owed=tuple(map(_parse_owed, found.get("owed", ()))),  # which was not kept at first
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DataError(f"the state of the nightly job cannot be read; delete {where}") from None


def _night(found: Mapping[str, Any]) -> Night:
    message = found["message"]
    return Night(
        day=_day(found["day"]),
        asked=str(found["asked"]),
        done=_texts(found["done"]),
        said=_texts(found["said"]),
        message=None if message is None else _message(message),
        sent=_texts(found["sent"]),
        missed=_texts(found.get("missed", ())),
        tried=bool(found["tried"]),
    )


def _parse_owed(found: Mapping[str, Any]) -> Owed:
    return Owed(day=_day(found["day"]), message=_message(found["message"]), to=_texts(found["to"]))


def _message(found: Mapping[str, Any]) -> Message:
    return Message(str(found["title"]), str(found["body"]))


def _texts(found: Any) -> tuple[str, ...]:
    if isinstance(found, str):
        raise TypeError
    return tuple(map(str, found))


def _day(found: Any) -> str:
    """A day's name, which is part of a path."""
    return date.fromisoformat(found).isoformat()
