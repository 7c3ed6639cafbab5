"""Faults that a test puts into processes: a C library that is preloaded into them (see ``faults.c``)."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("faults.c")


@dataclass(frozen=True)
class Rule:
    """At the ``nth`` matching call of a process (`*`: any), ``action``, as ``faults.c`` has it.

    Attributes:
        token: a file: the rule acts once when it is there, and takes it away.
        lasting: it acts again and again as long as the token is there.
    """

    operation: str
    pattern: str
    action: str
    token: Path
    nth: str = "*"
    lasting: bool = False

    def __str__(self) -> str:
        token = f"@{self.token}" if self.lasting else self.token
        return f"{self.operation} {self.pattern} {self.nth} {self.action} {token}"

    def arm(self) -> None:
        """Let it act."""
        self.token.touch()

    def disarm(self) -> None:
        """Let it act no more."""
        self.token.unlink()

    @property
    def has_acted(self) -> bool:
        """Whether it has, since it was armed; of those that act once."""
        return not self.token.exists()


def build(directory: Path) -> Path:
    """The library; without a C compiler the test is skipped, and says so."""
    compiler = shutil.which("cc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("NOT RUN: faults are made by a C library; install a C compiler (cc) on Linux")
    library = directory / "faults.so"
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-lpthread"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return library


class Clock:
    """The time that a process with this clock believes in: ours, and what a test adds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.set(0)

    def set(self, ahead_s: float) -> None:
        """Put it ahead of ours (back, where negative), at once."""
        with self.path.open("r+b" if self.path.exists() else "wb") as file:
            file.write(struct.pack("=q", int(ahead_s * 1e9)))


def environment(library: Path, below: Path, rules: list[Rule], clock: Clock | None = None) -> dict[str, str]:
    """What a process needs in its environment to meet ``rules`` with files below a directory."""
    variables = {
        "LD_PRELOAD": os.pathsep.join(filter(None, [str(library), os.environ.get("LD_PRELOAD")])),
        "FAULTS": "\n".join(map(str, rules)),
        "FAULTS_PATH": str(below),
    }
    return {**variables, "FAULTS_CLOCK": str(clock.path)} if clock else variables
