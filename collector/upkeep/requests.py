"""Requests to erase, left in the lake itself, so that every collector that writes to it finds them.

What comes in: who is meant. What goes out: a file that each writer of the lake answers with another one. A collector of
another machine cannot be asked over a socket of this one; the lake it writes to is what both have. What cannot be read
(it is damaged, or of another version) is never guessed at: a sink passes over it, a command says so. Standard library
only, but for what a selection is made of.
"""

from __future__ import annotations

import json
import sys
import uuid
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from stepsize.discovery import write_whole
from stepsize.errors import LakeError
from stepsize.store.erasure import Matcher, Selection
from stepsize.store.layout import ERASURES, make_directory

if TYPE_CHECKING:
    from pathlib import Path

_NAMES = 4
"""Of an attempt's key, before its number: flow, run, step and task."""


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
    make_directory(data / ERASURES)
    write_whole(_path(data, request.name), json.dumps(asdict(request)).encode(), mode=0o600)


def open_requests(data: Path, writer: str, passed_over: set[str]) -> list[EraseRequest]:
    """The requests that ``writer`` has not answered, but for those of names that are to be passed over; in no order.

    One that cannot be read is said on standard error and its name added to ``passed_over``: it must not keep a sink
    from storing what comes in, nor be said each time.
    """
    found = []
    for path in _paths(data):
        if path.stem in passed_over:
            continue
        try:
            content = _read(path)
            if content is None or not _asks(content, writer):
                continue
            request = _request(path, content)
            if answered(data, request, writer) is None:
                found.append(request)
        except LakeError as error:
            passed_over.add(path.stem)
            print(f"stepsize collect: nothing is erased for this: {error}", file=sys.stderr)  # noqa: T201 - the process's log
    return found


def answer(data: Path, request: EraseRequest, writer: str, rows: int) -> None:
    """Say that nothing of what is meant is in the files that ``writer`` names; ``rows`` were."""
    write_whole(_answer_path(data, request.name, writer), json.dumps(rows).encode(), mode=0o600)


def answered(data: Path, request: EraseRequest, writer: str) -> int | None:
    """How many rows ``writer`` has erased; None where it has not answered.

    Raises:
        LakeError: the answer cannot be read.
    """
    path = _answer_path(data, request.name, writer)
    rows = _read(path)
    if rows is None or type(rows) is int:
        return rows
    raise _unreadable(path)


def withdraw(data: Path, request: EraseRequest) -> None:
    """Take a request and its answers away."""
    _path(data, request.name).unlink(missing_ok=True)
    for path in (data / ERASURES).glob(f"{request.name}.*.done"):
        path.unlink(missing_ok=True)


def withdraw_answered(data: Path) -> None:
    """Take away what others have asked and did not live to take away: a request names who is meant.

    Raises:
        LakeError: a request or an answer cannot be read.
    """
    for path in _paths(data):
        content = _read(path)
        if content is None:
            continue
        request = _request(path, content)
        if all(answered(data, request, writer) is not None for writer in request.writers):
            withdraw(data, request)


def _paths(data: Path) -> list[Path]:
    return list((data / ERASURES).glob("[!.]*.json"))


def _path(data: Path, name: str) -> Path:
    return data / ERASURES / f"{name}.json"


def _answer_path(data: Path, name: str, writer: str) -> Path:
    return data / ERASURES / f"{name}.{writer}.done"


def _asks(content: Any, writer: str) -> bool:
    """Whether ``writer`` is asked; so is whoever cannot tell."""
    writers = content.get("writers") if isinstance(content, dict) else None
    return not isinstance(writers, list) or writer in writers


def _request(path: Path, content: Any) -> EraseRequest:
    try:
        request = EraseRequest(
            **{
                **content,
                "selection": Selection(**content["selection"]),
                "attempts": tuple(map(tuple, content["attempts"])),
                "writers": tuple(content["writers"]),
            }
        )
    except (KeyError, TypeError):
        raise _unreadable(path) from None
    if not _is_sound(request) or request.name != path.stem:
        raise _unreadable(path)
    return request


def _is_sound(request: EraseRequest) -> bool:
    """Whether all of it is of the types it has to be, and somebody is meant: who means nobody would mean everybody."""
    wanted = [one for one in asdict(request.selection).values() if one is not None]
    return (
        bool(wanted)
        and all(isinstance(one, str) for one in (*wanted, *request.writers))
        and all(map(_is_key, request.attempts))
        and isinstance(request.now, bool)
    )


def _is_key(key: tuple[Any, ...]) -> bool:
    *names, attempt = key or (None,)
    return len(names) == _NAMES and all(one is None or isinstance(one, str) for one in names) and type(attempt) is int


def _read(path: Path) -> Any:
    """What a file holds; None where there is none."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        raise _unreadable(path) from None


def _unreadable(path: Path) -> LakeError:
    return LakeError(
        f"{path} cannot be read: it is damaged, another user's or of another version; "
        "update stepsize, or remove the file"
    )
