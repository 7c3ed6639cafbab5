"""Real flows, a real agent, a real collector, each test in directories of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from tests.places import short_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parents[2] / "examples"
FLOW_TIMEOUT_S = 120


@dataclass
class Workplace:
    """A directory with a lake, Metaflow's own data and an environment that points at both."""

    directory: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.directory / "lake"

    def flow(self, script: Path | str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a flow to its end."""
        return self._python(str(script), "--no-pylint", *(arguments or ("run",)), **environment)

    def stepsize(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""
        return self._python("-m", "stepsize", *arguments, **environment)

    def _python(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            env={**self.environment, **environment},
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
            timeout=FLOW_TIMEOUT_S,
        )

    def report(self, *arguments: str) -> list[dict[str, Any]]:
        """`stepsize report --format json`."""
        finished = self.stepsize("report", "--format", "json", *arguments)
        assert finished.returncode == 0, finished.stderr
        steps: list[dict[str, Any]] = json.loads(finished.stdout)
        return steps

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Any DuckDB client: no code of ours."""
        with duckdb.connect(str(self.data / "stepsize.duckdb"), read_only=True) as connection:
            return connection.sql(sql).fetchall()


def make_workplace(directory: Path, **environment: str) -> Workplace:
    """A work place whose agents and embedded collectors end by themselves soon after the last task."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "STEPSIZE", "METAFLOW_"))
    }
    return Workplace(
        directory,
        {
            **kept,
            "HOME": str(directory),
            "STEPSIZE_DATA": str(directory / "lake"),
            "STEPSIZE_RUNTIME": str(directory / "run"),
            "STEPSIZE_AGENT_IDLE": "3",
            "METAFLOW_HOME": str(directory / "metaflow"),
            "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(directory / "metaflow"),
            "METAFLOW_USER": "tester",
            **environment,
        },
    )


@pytest.fixture
def workplace() -> Iterator[Workplace]:
    """A fresh one."""
    with short_directory() as directory:
        yield make_workplace(directory, STEPSIZE="1")
