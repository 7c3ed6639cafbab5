"""The files that hold the attempts which may still change: the snapshot, in pages.

What comes in: attempts that have changed. What goes out: files in which each open attempt has one row, in its newest
state. Never deletes a file: the commit does, by not naming it.

A page is a file of at most :data:`PAGE_ROWS` rows, and only pages with an attempt that has changed are written anew: of
many open attempts only those cost that have news. Rows that have not changed are copied from the page's file, so that
nothing of them is kept in memory but their state.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from stepsize.collector.rollup.attempt import Attempt
from stepsize.store.merge import OPEN_PARTITION
from stepsize.store.schema import TASKS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepsize.collector.rollup.table import AttemptTable
    from stepsize.store.manifest import StoredFile
    from stepsize.store.writer import LakeWriter

PAGE_ROWS = 2048


@dataclass(frozen=True, slots=True, eq=False)
class _Page:
    """A file, and the attempts in it in the order of its rows."""

    stored: StoredFile
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class _Rows:
    """Attempts and their rows."""

    attempts: list[Attempt]
    table: pa.Table


class OpenFiles:
    """The pages of one writer."""

    def __init__(self, writer: LakeWriter) -> None:
        self._writer = writer
        self._pages: dict[_Page, None] = {}
        self._page_of: dict[Attempt, _Page] = {}

    def restore(self) -> list[Attempt]:
        """The attempts in the pages that the manifest names, at rest."""
        for stored in self._writer.manifest.files:
            if stored.partition == OPEN_PARTITION:
                states = self._writer.read([stored], "tasks")["state"].to_pylist()
                self._add(_Page(stored, tuple(Attempt.at_rest(json.loads(state)) for state in states)))
        return list(self._page_of)

    def write(self, table: AttemptTable, changed: Iterable[Attempt]) -> list[StoredFile]:
        """Write the pages anew that hold attempts of ``changed``; returns the files of all pages.

        Attempts that have changed and are no longer in the table leave their page.
        """
        rewritten: dict[_Page, list[Attempt]] = {}
        new: list[Attempt] = []
        for attempt in changed:
            page = self._page_of.get(attempt)
            if page is not None:
                rewritten.setdefault(page, []).append(attempt)
            elif table.is_open(attempt):
                new.append(attempt)
        loose = [_Rows(new, _made(table, new))] if new else []
        for page, attempts in rewritten.items():
            rows = self._renewed(page, attempts, table)
            self._remove(page)
            if len(rows.attempts) > PAGE_ROWS // 2:
                self._store(rows.attempts, rows.table)
            elif rows.attempts:
                loose.append(rows)
        if loose:
            self._store_loose(loose)
        return [page.stored for page in self._pages]

    def _renewed(self, page: _Page, changed: list[Attempt], table: AttemptTable) -> _Rows:
        """The rows of a page as they are now, those that have not changed first."""
        gone = set(changed)
        mask = [attempt not in gone for attempt in page.attempts]
        stays = [attempt for attempt in page.attempts if attempt not in gone]
        still_open = [attempt for attempt in changed if table.is_open(attempt)]
        rows = [_made(table, still_open)]
        if stays:
            rows.insert(0, self._writer.read([page.stored], "tasks").filter(pa.array(mask)))
        return _Rows(stays + still_open, pa.concat_tables(rows))

    def _store_loose(self, loose: list[_Rows]) -> None:
        """Write rows to pages that are as full as can be, a page that is half empty among them."""
        half_empty = [page for page in self._pages if len(page.attempts) <= PAGE_ROWS // 2]
        if half_empty:
            page = half_empty[0]
            self._remove(page)
            loose.insert(0, _Rows(list(page.attempts), self._writer.read([page.stored], "tasks")))
        attempts = [attempt for rows in loose for attempt in rows.attempts]
        table = pa.concat_tables([rows.table for rows in loose])
        for start in range(0, len(attempts), PAGE_ROWS):
            self._store(attempts[start : start + PAGE_ROWS], table.slice(start, PAGE_ROWS))

    def _store(self, attempts: list[Attempt], table: pa.Table) -> None:
        self._add(_Page(self._writer.write("tasks", OPEN_PARTITION, table), tuple(attempts)))

    def _add(self, page: _Page) -> None:
        self._pages[page] = None
        self._page_of.update(dict.fromkeys(page.attempts, page))

    def _remove(self, page: _Page) -> None:
        del self._pages[page]
        for attempt in page.attempts:
            del self._page_of[attempt]


def _made(table: AttemptTable, attempts: list[Attempt]) -> pa.Table:
    return pa.Table.from_pylist(table.rows(attempts), schema=TASKS)
