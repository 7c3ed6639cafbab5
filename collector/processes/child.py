"""The child's side of a process that a collector keeps alive (see `stepsize.collector.processes.supervised`).

What comes in: nothing. What goes out: lines on standard output, and its place in a state directory. Standard library
only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.errors import UnavailableError
from stepsize.store.locks import Lock

if TYPE_CHECKING:
    from collections.abc import Iterator

_POLL_S = 0.02
_MAX_REST = 4000
_EXPENDABLE = 1000
"""Linux adds all of the machine's, or group's, memory to what this process holds when it looks whom to kill."""


def leave_signals_to_the_collector() -> None:
    """Ignore those that ask to end or to read a configuration.

    A Ctrl-C, a terminal that closes or a systemd stop reaches the whole group; what the collector makes of it, it says.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if number := getattr(signal, name, None):  # Windows has no SIGHUP
            signal.signal(number, signal.SIG_IGN)


def give_way(niceness: int) -> None:
    """Leave processor and memory to whoever takes points: they go first, and where memory ends this process does.

    What a system knows nothing of is left out.
    """
    with contextlib.suppress(AttributeError, OSError):  # Windows has no nice
        os.nice(niceness)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(f"{_EXPENDABLE}\n")


def say(word: str, rest: str = "") -> None:
    """Say one line to the collector, whatever ``rest`` holds: an error may quote what strangers sent."""
    line = f"{word} {' '.join(rest.splitlines())[:_MAX_REST]}".rstrip()
    with contextlib.suppress(BrokenPipeError):  # the collector was killed: the end of our input says so too
        os.write(sys.stdout.fileno(), line.encode("utf-8", "backslashreplace") + b"\n")


class Place:
    """The one place of a kind of child in a state directory.

    A child whose collector was killed keeps it while it does what is left to do, until another one asks for it: that
    one is the child of a collector that lives, and does the same.
    """

    def __init__(self, lock_file: Path) -> None:
        self._lock_file = lock_file
        self._wish = lock_file.with_name(f"{lock_file.name}.wanted")

    def is_wanted(self) -> bool:
        """Whether somebody waits for whoever holds it to end."""
        return self._wish.exists()

    @contextlib.contextmanager
    def held(self, timeout_s: float) -> Iterator[None]:
        """Hold it, after ``timeout_s`` at most.

        Raises:
            LakeError: nothing can be locked there.
            UnavailableError: who holds it does not let go.
        """
        lock = Lock(self._lock_file)
        deadline_s = time.monotonic() + timeout_s
        while not lock.try_acquire():
            if time.monotonic() >= deadline_s:
                raise UnavailableError(f"another process holds {self._lock_file}; wait for it or stop it")
            with contextlib.suppress(OSError):  # a full disk: then it ends when it is done
                self._wish.touch(mode=0o600)
            time.sleep(_POLL_S)
        try:
            with contextlib.suppress(OSError):
                self._wish.unlink(missing_ok=True)
            yield
        finally:
            lock.release()
