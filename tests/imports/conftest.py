"""What these tests stand on: the command as a user calls it, on a home and a lake of the test's own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stepsize.cli import main
from stepsize.store.lake import Lake
from tests.places import short_directory


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Place:
    """A home, a lake, a place for sockets and the command, which runs in the test's own process: many are called."""

    home: Path
    runtime: str
    patch: pytest.MonkeyPatch

    @property
    def data(self) -> Path:
        return self.home / "lake"

    def run(self, *arguments: str, stdin: str = "", **more: str) -> Done:
        environment = {"HOME": self.home, "STEPSIZE_DATA": self.data, "STEPSIZE_RUNTIME": self.runtime, **more}
        out, err = io.StringIO(), io.StringIO()
        with self.patch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, str(value))
            patch.chdir(self.home)
            patch.setattr(sys, "argv", ["stepsize", *arguments])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
                main()
        code = end.value.code
        assert isinstance(code, int)
        return Done(code, out.getvalue(), err.getvalue())

    def called(self, *command: str, **more: str) -> Done:
        """A program in a process of its own: Metaflow reads its settings once in each."""
        environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        environment |= {"HOME": str(self.home), "STEPSIZE_DATA": str(self.data), "STEPSIZE_RUNTIME": self.runtime}
        environment |= {"METAFLOW_HOME": str(self.home / "metaflow"), "METAFLOW_USER": "tester"}
        environment["METAFLOW_DATASTORE_SYSROOT_LOCAL"] = str(self.home / "metaflow")
        done = subprocess.run(
            command, env=environment | more, cwd=self.home, capture_output=True, text=True, check=False, timeout=120
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def imported(self, *arguments: str, stdin: str = "", **more: str) -> dict[str, Any]:
        """What `stepsize import` says in JSON."""
        done = self.run("import", *arguments, "--format", "json", stdin=stdin, **more)
        assert done.returncode == 0, done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    def advice(self) -> dict[str, dict[str, Any]]:
        """What `stepsize report` recommends, by FLOW/STEP."""
        done = self.run("report", "--format", "json")
        assert done.returncode == 0, done.stderr
        return {f"{one['flow']}/{one['step']}": one for one in json.loads(done.stdout)}

    def tasks(self) -> list[dict[str, Any]]:
        """All rows of `tasks`, in the order of their names."""
        with Lake(self.data).reading() as connection:
            query = "SELECT * FROM tasks ORDER BY flow, run, step, task, attempt"
            rows: list[dict[str, Any]] = connection.sql(query).to_arrow_table().to_pylist()
        return rows


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    with short_directory() as runtime:
        yield Place(tmp_path, str(runtime), monkeypatch)
