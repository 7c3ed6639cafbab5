"""What an orchestrator leaves for the processes that it starts.

What comes in: an environment, the root of /proc. What goes out: texts, or ``None`` where there is none. Reads single
small files, and only when a row asks for them; never raises.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from stepsize.instrumentation import procfs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_GENERATIONS = 32


class Process(NamedTuple):
    """A process above this one: its command line, and when it started (microseconds since 1970)."""

    argv: tuple[str, ...]
    started_unix_us: int

    def option(self, *names: str) -> str | None:
        """The value of the first of the options ``names`` that is given, as ``--name value`` or ``--name=value``."""
        for name in names:
            for position, word in enumerate(self.argv):
                if word == name and position + 1 < len(self.argv):
                    return self.argv[position + 1]
                if word.startswith(f"{name}="):
                    return word.partition("=")[2]
        return None

    def is_program(self, name: str) -> bool:
        """Whether this runs a program of that name, itself or as the script or module of an interpreter."""
        words = self.argv[:3]
        return any(Path(word).name == name for word in words)


class Evidence:
    """What can be known of where this process comes from.

    Args:
        environ: its environment.
        proc: the root of /proc.
    """

    def __init__(self, environ: Mapping[str, str], proc: str = "/proc") -> None:
        self._environ = environ
        self._proc = proc

    def env(self, *names: str) -> str | None:
        """The first of these variables that holds anything."""
        return next((self._environ[name] for name in names if self._environ.get(name)), None)

    def read(self, path: str) -> str:
        """The beginning of a file, empty where it cannot be read."""
        return procfs.read(path).decode("utf-8", "replace")

    @cached_property
    def itself(self) -> Process:
        """This process; without a command line where there is no /proc."""
        stat = procfs.stat(self._proc, os.getpid())
        return Process((), 0) if stat is None else self._process(stat)

    @cached_property
    def above(self) -> Sequence[Process]:
        """The processes above this one, from its parent on; none where there is no /proc."""
        found: list[Process] = []
        stat = procfs.stat(self._proc, os.getpid())
        while stat is not None and stat.parent > 0 and len(found) < _GENERATIONS:
            stat = procfs.stat(self._proc, stat.parent)
            if stat is not None:
                found.append(self._process(stat))
        return found

    def running(self, name: str) -> Process | None:
        """The nearest process above this one that runs the program ``name``."""
        return next((process for process in self.above if process.is_program(name)), None)

    def _process(self, stat: procfs.Stat) -> Process:
        words = procfs.read(f"{self._proc}/{stat.pid}/cmdline").decode("utf-8", "replace").split("\0")
        return Process(tuple(words[:-1]), self._unix_us(stat.start))

    def _unix_us(self, start_ticks: int) -> int:
        """When a process started, by the kernel's own boot time, so that it is the same whoever asks."""
        _, _, rest = procfs.read_whole(f"{self._proc}/stat").partition(b"\nbtime ")
        boot_s = int(rest.split(None, 1)[0]) if rest else 0
        return boot_s * 1_000_000 + start_ticks * 1_000_000 // procfs.TICKS_PER_S
