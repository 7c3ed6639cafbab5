"""Control groups of the benchmark's own, from which the truth is read.

What comes in: a name. What goes out: a group that a program enters as it starts, and what the kernel has charged to it
in the end. Makes and removes directories of the cgroup file systems, and needs to be allowed to.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Charged:
    """What a group has used since it was made, and the most memory that was charged to it at once."""

    cpu_s: float
    memory_peak_bytes: int


@dataclass(frozen=True, slots=True)
class TruthGroup:
    """A group: the directories of its controllers."""

    memory: Path
    cpu: Path

    def enter(self) -> tuple[str, ...]:
        """What to put before a command, so that it begins its life inside."""
        joins = " && ".join(f"echo $$ > {directory}/cgroup.procs" for directory in {self.memory, self.cpu})
        return ("sh", "-c", f'{joins} && exec "$@"', "sh")

    def charged(self) -> Charged:
        """What it has used by now."""
        if (self.cpu / "cpuacct.usage").exists():
            cpu_s = int((self.cpu / "cpuacct.usage").read_text()) / 1e9
        else:
            lines = (self.cpu / "cpu.stat").read_text().splitlines()
            cpu_s = int(dict(line.split() for line in lines)["usage_usec"]) / 1e6
        peaks = [self.memory / name for name in ("memory.max_usage_in_bytes", "memory.peak")]
        peak = next(int(path.read_text()) for path in peaks if path.exists())
        return Charged(cpu_s, peak)


@contextlib.contextmanager
def truth_group(name: str) -> Iterator[TruthGroup]:
    """A group of this name, of version 1 where that holds the controllers, else of version 2.

    Raises:
        OSError: this machine does not let us make one.
    """
    if (_ROOT / "memory" / "memory.usage_in_bytes").exists():
        group = TruthGroup(_ROOT / "memory" / name, _ROOT / "cpuacct" / name)
    else:
        group = TruthGroup(_ROOT / name, _ROOT / name)
    directories = list(dict.fromkeys((group.memory, group.cpu)))
    made: list[Path] = []
    try:
        for directory in directories:
            directory.mkdir()
            made.append(directory)
        yield group
    finally:
        for directory in made:
            _remove(directory)


def _remove(directory: Path) -> None:
    deadline = time.monotonic() + 10
    while (directory / "cgroup.procs").read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    directory.rmdir()
