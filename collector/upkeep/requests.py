"""Requests to erase, left in the lake itself, so that every collector that writes to it finds them.

What comes in: who is meant. What goes out: a file that each writer of the lake answers with another one. A collector of
another machine cannot be asked over a socket of this one; the lake it writes to is what both have. Standard library
only, but for what a selection is made of.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from stepsize.discovery import write_whole
from stepsize.store.erasure import Matcher, Selection
from stepsize.store.layout import make_directory

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path

_DIRECTORY = ".erase"


@dataclass(frozen=True, slots=True)
class EraseRequest:
    """Who is meant, and how.

    Attributes:
        selection: whose rows go.
        attempts: keys of the attempts that are meant by their rows in `tasks`, of whatever writer.
        writers: who is asked: those of the lake at that time. What a later one stores is new.
        now: whether files of earlier generations go at once, though somebody may be reading them.
        name: of the request.
    """

    selection: Selection
    attempts: tuple[tuple[Any, ...], ...]
    writers: tuple[str, ...]
    now: bool
    name: str = field(default_factory=lambda: uuid.uuid4().hex)

    def matcher(self) -> Matcher:
        """What tells its rows."""
        return Matcher(self.selection, frozenset(map(tuple, self.attempts)))


def ask(data: Path, request: EraseRequest) -> None:
    """Leave a request for every writer of the lake; durable when it returns."""
    make_directory(data / _DIRECTORY)
    write_whole(_path(data, request.name), json.dumps(asdict(request)).encode(), mode=0o600)


def open_requests(data: Path, writer: str, passed_over: Container[str] = ()) -> list[EraseRequest]:
    """The requests that ``writer`` has not answered, but for those of names that are to be passed over; in no order."""
    asked = [request for request in _requests(data) if writer in request.writers and request.name not in passed_over]
    return [request for request in asked if answered(data, request, writer) is None]


def answer(data: Path, request: EraseRequest, writer: str, rows: int) -> None:
    """Say that nothing of what is meant is in the files that ``writer`` names; ``rows`` were."""
    write_whole(_answer_path(data, request.name, writer), json.dumps(rows).encode(), mode=0o600)


def answered(data: Path, request: EraseRequest, writer: str) -> int | None:
    """How many rows ``writer`` has erased; None where it has not answered."""
    rows: int | None = _read(_answer_path(data, request.name, writer))
    return rows


def withdraw(data: Path, request: EraseRequest) -> None:
    """Take a request and its answers away."""
    _path(data, request.name).unlink(missing_ok=True)
    for path in (data / _DIRECTORY).glob(f"{request.name}.*.done"):
        path.unlink(missing_ok=True)


def withdraw_answered(data: Path) -> None:
    """Take away what others have asked and did not live to take away: a request names who is meant."""
    for request in _requests(data):
        if all(answered(data, request, writer) is not None for writer in request.writers):
            withdraw(data, request)


def _requests(data: Path) -> list[EraseRequest]:
    found = []
    for path in (data / _DIRECTORY).glob("[!.]*.json"):
        fields = _read(path)
        if fields is not None:
            selection = Selection(**fields.pop("selection"))
            found.append(EraseRequest(selection=selection, **fields))
    return found


def _path(data: Path, name: str) -> Path:
    return data / _DIRECTORY / f"{name}.json"


def _answer_path(data: Path, name: str, writer: str) -> Path:
    return data / _DIRECTORY / f"{name}.{writer}.done"


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
