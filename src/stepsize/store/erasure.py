"""Takes the rows of a user, a flow or a run out of files of the lake, and finds them wherever they are.

What comes in: whose rows, and files. What goes out: counts, and files without those rows. Never names or deletes a
file.

A point says itself whose it is: flow and run in columns, user and project in its resource or attributes. What it does
not say, the row of its attempt in `tasks` says for it. Where several rows of `tasks` have the same key and do not
agree, it stays: it cannot be told whose it is.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stepsize.errors import LakeError
from stepsize.model import Attr
from stepsize.store.order import identities, trimmed
from stepsize.store.parquet import SMALL, ParquetWriter, is_ordered, read_batches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_KEY = ("flow", "run", "step", "task", "attempt")
_BATCH_ROWS = 1 << 20


class Subject(NamedTuple):
    """Whose a row is, as far as it says so itself."""

    flow: str | None
    run: str | None
    step: str | None
    task: str | None
    attempt: int | None
    user: str | None
    project: str | None

    @property
    def key(self) -> tuple[str | None, str | None, str | None, str | None, int]:
        """What all rows of an attempt have in common."""
        return (self.flow, self.run, self.step, self.task, max(self.attempt or 0, 0))


Attempts = frozenset[tuple[Any, ...]]
"""Keys of attempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Whose rows are meant: of all that is given, None is anybody's. A run is named with its flow."""

    user: str | None = None
    flow: str | None = None
    run: str | None = None
    project: str | None = None

    def is_met(self, subject: Subject) -> bool:
        """Whether a row is meant by its own word."""
        return all(getattr(subject, name) == wanted for name, wanted in self._wanted())

    def is_denied(self, subject: Subject) -> bool:
        """Whether a row is not meant by its own word."""
        return any(getattr(subject, name) not in (None, wanted) for name, wanted in self._wanted())

    def _wanted(self) -> list[tuple[str, str]]:
        given = ((name, getattr(self, name)) for name in ("user", "flow", "run", "project"))
        return [(name, value) for name, value in given if value is not None]


@dataclass(slots=True)
class Matcher:
    """Tells which rows are meant.

    Attributes:
        selection: whose.
        attempts: those whose rows in `tasks` are meant, see `attempts_in`.
    """

    selection: Selection
    attempts: Attempts = frozenset()
    _said: dict[tuple[str | None, str | None], tuple[str | None, str | None]] = field(default_factory=dict)

    def is_meant(self, subject: Subject) -> bool:
        """Whether a row of ``subject`` is."""
        if self.selection.is_met(subject):
            return True
        return subject.key in self.attempts and not self.selection.is_denied(subject)

    def mask(self, rows: pa.Table, table: str) -> pa.Array:
        """For each row of ``table`` whether it is meant. Text is looked at once for each distinct value."""
        columns = list(_columns(table))
        number = identities(rows, columns)
        place = pc.indices_nonzero(pa.repeat(pa.scalar(value=True), rows.num_rows))
        first = pa.table({"number": number, "place": place}).group_by("number").aggregate([("place", "min")])
        distinct = rows.select(columns).take(first["place_min"]).to_pylist()
        meant = [self.is_meant(self._subject(row)) for row in distinct]
        if not any(meant):
            return pa.repeat(pa.scalar(value=False), rows.num_rows)
        return pc.is_in(number, value_set=first["number"].combine_chunks().filter(pa.array(meant)))

    def _subject(self, row: Mapping[str, Any]) -> Subject:
        if "resource" not in row:
            user, project = row["user"], row["project"]
        else:
            texts = (row["resource"], row["attributes"])
            said = self._said.get(texts)
            if said is None:
                said = self._said[texts] = whose(*(json.loads(text) if text else {} for text in texts))
            user, project = said
        return Subject(row["flow"], row["run"], row["step"], row["task"], row["attempt"], user, project)


def whose(resource: Mapping[str, Any], attributes: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """User and project that a point names, its resource before itself, as the roll-up takes them."""
    return _first(Attr.USER, resource, attributes), _first(Attr.PROJECT, resource, attributes)


def attempts_in(files: Iterable[Path], selection: Selection) -> Attempts:
    """Keys of the attempts that are meant by their rows in ``files`` of `tasks`, those aside that others share."""
    met, denied = set(), set()
    for path in files:
        with _readable(path), pq.ParquetFile(path) as file:
            rows = file.read(columns=list(_columns("tasks"))).to_pylist()
        for row in rows:
            subject = Subject(**row)
            if selection.is_met(subject):
                met.add(subject.key)
            elif selection.is_denied(subject):
                denied.add(subject.key)
    return frozenset(met - denied)


def count_rows(path: Path, table: str, matcher: Matcher) -> int:
    """How many rows of a file are meant.

    Raises:
        FileNotFoundError: it is gone.
        LakeError: it cannot be read.
    """
    with _readable(path), pq.ParquetFile(path) as file:
        found = 0
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=list(_columns(table)), use_threads=False):
            found += pc.sum(matcher.mask(pa.Table.from_batches([batch]), table)).as_py() or 0
        return found


def write_others(path: Path, table: str, matcher: Matcher, target: Path) -> tuple[int, int]:
    """Write the rows of a file that are not meant to ``target``, in their order; how many, and how many bytes.

    Nothing of the others is left in it, in dictionaries or statistics either.

    Raises:
        OSError: it cannot be written.
        LakeError: it cannot be read.
    """
    with _readable(path), pq.ParquetFile(path) as file:
        writer = ParquetWriter(target, table, ordered=is_ordered(file, table), level=SMALL)
        with writer:
            for rows in read_batches(file, table, _BATCH_ROWS):
                others = rows.filter(pc.invert(matcher.mask(rows, table)))
                if others.num_rows:
                    writer.write(trimmed(others))
    return writer.rows, writer.size_bytes


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Says in one line where a file is damaged."""
    try:
        yield
    except pa.ArrowException as error:
        said = " ".join(str(error).split())
        raise LakeError(f"{path} cannot be read: {said}; restore or delete it") from None


def _columns(table: str) -> tuple[str, ...]:
    return (*_KEY, "user", "project") if table == "tasks" else (*_KEY, "resource", "attributes")


def _first(name: str, *places: Mapping[str, Any]) -> str | None:
    for place in places:
        value = place.get(name)
        if value is not None and value != "":
            return str(value)
    return None
