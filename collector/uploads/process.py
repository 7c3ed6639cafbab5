"""The upload as a process of its own, child of the collector.

Its command line is ``python -m stepsize.collector.uploads.process DATA STORE``. What comes in on standard input, one
line each: ``turn N`` (the lake has got so far, by the collector's count) and ``flush``. What goes out on standard
output: ``ready``; ``held N FILES BYTES`` once the store shows what the lake did at that turn (so much was sent for it);
``failed MESSAGE`` after an upload that failed; or ``error MESSAGE`` before an exit with 1, where none can ever succeed.
It looks for new generations every `INTERVAL_S`; where the store is away it tries again, ever more slowly, and at once
on a flush. At the end of standard input it brings what there is, for `DRAIN_S` at most. Never changes the lake, and may
be killed at any moment: the next one goes on.

A process of its own, so that a store that hangs delays neither an acknowledgement nor a commit.
"""

from __future__ import annotations

import datetime as dt
import os
import select
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.collector.processes.child import leave_signals_to_the_collector, say
from stepsize.errors import StepsizeError
from stepsize.store.bucket import connect
from stepsize.store.layout import MANIFESTS
from stepsize.store.objects import Place
from stepsize.store.upload import Uploaded, Uploader

if TYPE_CHECKING:
    from collections.abc import Hashable

INTERVAL_S = 5.0
DRAIN_S = 15.0
_FIRST_BACKOFF_S, _MAX_BACKOFF_S = 1.0, 60.0
_TIDY_S = 300.0
"""An upload comes after so long though nothing is new: what was replaced is deleted then."""
_DRAIN_POLL_S = 0.5


def main() -> None:
    """Entry point of the process."""
    leave_signals_to_the_collector()
    data, store = Path(sys.argv[1]), sys.argv[2]
    try:
        place = Place.of(store)
        uploader = Uploader(data, place, connect(place, os.environ))
    except StepsizeError as error:
        say("error", str(error))
        sys.exit(1)
    say("ready")
    _Uploading(data, uploader).run()


class _Uploading:
    """Uploads until standard input ends."""

    def __init__(self, data: Path, uploader: Uploader) -> None:
        self._data = data
        self._uploader = uploader
        self._seen: Hashable = None
        self._due_s = self._tidy_s = time.monotonic()
        self._backoff_s = 0.0
        self._turn = 0
        self._rest = b""

    def run(self) -> None:
        """Until standard input ends, and what there is then is in the store or the time is over."""
        while (is_asked := self._listen(max(0.0, self._due_s - time.monotonic()))) is not None:
            if is_asked or time.monotonic() >= self._due_s:
                self._try(is_asked=is_asked)
        until_s = time.monotonic() + DRAIN_S
        while not self._try(is_asked=True) and time.monotonic() + _DRAIN_POLL_S < until_s:
            time.sleep(_DRAIN_POLL_S)

    def _listen(self, wait_s: float) -> bool | None:
        """Take what has come within ``wait_s``; whether a flush is asked for, None at the end of standard input."""
        readable, _, _ = select.select([sys.stdin.fileno()], [], [], wait_s)
        if not readable:
            return False
        chunk = os.read(sys.stdin.fileno(), 1 << 16)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for word, *numbers in map(bytes.split, lines):
            if word == b"turn":
                self._turn = max(self._turn, *map(int, numbers))
        return b"flush" in lines if chunk else None

    def _try(self, *, is_asked: bool) -> bool:
        """Upload if there is something to do; whether the store has everything now."""
        turn, seen = self._turn, self._signature()
        self._due_s = time.monotonic() + INTERVAL_S
        done = Uploaded()
        if is_asked or seen != self._seen or time.monotonic() >= self._tidy_s:
            try:
                done = self._uploader.bring(dt.datetime.now(dt.timezone.utc))
            except (StepsizeError, OSError) as error:
                self._seen = None
                self._backoff_s = min(2 * self._backoff_s or _FIRST_BACKOFF_S, _MAX_BACKOFF_S)
                self._due_s = time.monotonic() + self._backoff_s
                say("failed", str(error))
                return False
            self._seen, self._backoff_s = seen, 0.0
            self._tidy_s = time.monotonic() + _TIDY_S
        say("held", f"{turn} {done.sent} {done.sent_bytes}")
        return True

    def _signature(self) -> Hashable:
        """What changes with each generation of any writer."""
        found = []
        for path in sorted((self._data / MANIFESTS).glob("[!.]*.json")):
            try:
                stat = path.stat()
            except FileNotFoundError:  # it is being retired
                continue
            found.append((path.name, stat.st_ino, stat.st_mtime_ns, stat.st_size))
        return tuple(found)


if __name__ == "__main__":
    main()
