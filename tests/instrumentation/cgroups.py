"""Control groups for tests: made-up trees of files, and real groups where this machine lets us make them."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.instrumentation.conftest import wait_until

_V1 = Path("/sys/fs/cgroup")
_MARK = "0123456789abcdef" * 4
"""What makes a group's name look like a container's."""


def write(folder: Path, **files: str) -> None:
    """Files of a made-up group; a double underscore in a name is a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


@dataclass(frozen=True)
class RealGroup:
    """A group of this machine: a directory for each controller that it has; version 2 under the empty name."""

    directories: dict[str, Path] = field(default_factory=dict)

    def enter(self) -> tuple[str, ...]:
        """What to put before a command, so that it begins its life inside."""
        joins = " && ".join(f"echo $$ > {directory}/cgroup.procs" for directory in self.directories.values())
        return ("sh", "-c", f'{joins} && exec "$@"', "sh")


@contextlib.contextmanager
def real_group(*controllers: str, limit_bytes: int | None = None) -> Iterator[RealGroup | None]:
    """A group with these controllers, wherever this machine has them; ``None`` where one of them cannot be had."""
    made = RealGroup()
    name = f"{_MARK}-{os.getpid()}-{time.monotonic_ns()}"
    try:
        for controller in controllers:
            directory = _make(controller, name)
            if directory is None:
                yield None
                return
            made.directories[controller] = directory
            if controller == "memory" and limit_bytes is not None:
                limit = "memory.limit_in_bytes" if (directory / "memory.limit_in_bytes").exists() else "memory.max"
                (directory / limit).write_text(str(limit_bytes))
        yield made
    finally:
        for directory in made.directories.values():
            if directory.is_dir():
                wait_until(lambda at=directory: not (at / "cgroup.procs").read_text())
                directory.rmdir()


def _make(controller: str, name: str) -> Path | None:
    """The group's directory of version 1, else of version 2 with the controller in it."""
    unified = [_V1 / "unified", _V1]
    for root in [*([_V1 / controller] if controller else []), *unified]:
        directory = root / name
        wanted = {"memory": "memory.stat", "cpuacct": "cpuacct.usage", "": "cgroup.type"}[controller]
        with contextlib.suppress(OSError):
            directory.mkdir()
            if (directory / wanted).exists():
                return directory
            directory.rmdir()
    return None
