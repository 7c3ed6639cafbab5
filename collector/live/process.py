"""The live page's process, child of the collector: pages made of the lake.

Its command line is ``python -m stepsize.collector.live.process DATA [STORE]``. What comes in on standard input: a path
a line, as JSON. What goes out on standard output, for each: a line of JSON (status, policy, size) and so many bytes.
It ends at the end of its input, and when it was asked nothing for `IDLE_S`. Never writes to the lake.

A process of its own that gives way to all others, so that neither a query nor DuckDB's memory is the receiver's.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import select
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from stepsize.collector.live import html, paths
from stepsize.collector.live.nights import MOST_BYTES, TooLargeError, nights
from stepsize.collector.live.questions import Questions
from stepsize.collector.processes.child import give_way, leave_signals_to_the_collector
from stepsize.errors import StepsizeError
from stepsize.store.lake import Lake

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.collector.live.nights import Nights
    from stepsize.collector.live.records import Attempt, Curves

IDLE_S = 300.0
STEPS_A_PAGE, LISTED, TASKS_A_PAGE, ENDED = 20, 3, 50, 20
_NICE = 10
REPORT_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


class Page(NamedTuple):
    """An answer."""

    status: int
    body: bytes
    policy: str


class Pages:
    """Pages of the lake in ``data``, of which ``nights`` has the reports."""

    def __init__(self, data: Path, nights: Nights) -> None:
        self._lake = Lake(data)
        self._nights = nights
        self._policy = html.policy()

    def answer(self, path: str, now: dt.datetime) -> Page:
        """The page at ``path`` as of ``now``, whatever it is; one that cannot be made says why."""
        target = paths.parse(path)
        try:
            if isinstance(target, paths.Report):
                return self._report(target)
            if isinstance(target, paths.Running):
                return self._front(target, now)
            if isinstance(target, paths.Step):
                return self._step(target, now)
        except (StepsizeError, duckdb.Error, OSError) as error:
            return self._page(503, "Nothing to show", html.notice(str(error).splitlines()[0]))
        return self._page(404, "No such page", html.notice("There is nothing at this address."))

    def _front(self, target: paths.Running, now: dt.datetime) -> Page:
        with contextlib.closing(self._lake.connect()) as connection:
            ask = Questions(connection, now)
            totals = ask.totals()
            last = max(1, -(-totals.groups // STEPS_A_PAGE))
            number = min(target.page, last)
            groups = ask.groups((number - 1) * STEPS_A_PAGE, STEPS_A_PAGE, LISTED)
            curves = _curves(ask, [one for group in groups for one in group.attempts])
            ended = ask.ended(ENDED) if number == 1 else []
        reports = html.Reports(self._nights.listed(), self._nights.problem) if number == 1 else html.Reports([])
        main = html.front(totals, groups, ended, curves, reports, (number, last), now)
        return self._page(200, "Running tasks", main)

    def _step(self, target: paths.Step, now: dt.datetime) -> Page:
        with contextlib.closing(self._lake.connect()) as connection:
            ask = Questions(connection, now)
            group = ask.step(target.name, (target.page - 1) * TASKS_A_PAGE, TASKS_A_PAGE)
            if group is None:
                return self._page(200, "Running tasks", html.notice("Nothing of this step runs now."))
            last = max(1, -(-group.running // TASKS_A_PAGE))
            number = min(target.page, last)
            if number != target.page:
                group = ask.step(target.name, (number - 1) * TASKS_A_PAGE, TASKS_A_PAGE) or group
            main = html.step(ask.totals(), group, _curves(ask, group.attempts), (number, last), now)
        return self._page(200, "Running tasks", main)

    def _report(self, target: paths.Report) -> Page:
        try:
            found = self._nights.page(target.day, target.name)
        except TooLargeError:
            text = f"This report is larger than {MOST_BYTES >> 20} MiB: open it where the lake lies."
            return self._page(404, "Too large", html.notice(text))
        if found is None:
            return self._page(404, "No such page", html.notice("There is no such report."))
        return Page(200, found, REPORT_POLICY)

    def _page(self, status: int, title: str, main: str) -> Page:
        return Page(status, html.page(title, main).encode("utf-8", "backslashreplace"), self._policy)


def _curves(ask: Questions, attempts: Sequence[Attempt]) -> dict[Attempt, Curves] | None:
    """None where there was no time for them."""
    try:
        return ask.curves(attempts)
    except duckdb.InterruptException:
        return None


def main() -> None:
    """Entry point of the process."""
    leave_signals_to_the_collector()
    give_way(_NICE)
    data, store = Path(sys.argv[1]), next(iter(sys.argv[2:]), None)
    pages = Pages(data, nights(data, store))
    rest = b""
    while select.select([sys.stdin.fileno()], [], [], IDLE_S)[0]:
        chunk = os.read(sys.stdin.fileno(), 1 << 16)
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            page = pages.answer(str(json.loads(line)), dt.datetime.now(dt.timezone.utc))
            head = {"status": page.status, "policy": page.policy, "size": len(page.body)}
            try:
                sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + page.body)
                sys.stdout.buffer.flush()
            except BrokenPipeError:  # the collector was killed
                os._exit(0)


if __name__ == "__main__":
    main()
