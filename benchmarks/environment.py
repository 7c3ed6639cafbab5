"""The environment of what a benchmark starts, which is the benchmark's own whatever its caller has set.

What comes in: a directory. What goes out: environment variables; `settle` waits for the lake of such an environment.
Changes no variable of this process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def kept(*left_out: str) -> dict[str, str]:
    """What stays of the caller's: all but settings of ours and of OpenTelemetry, and what begins with ``left_out``.

    Nor what keeps Python from keeping what it has compiled: an installed package is not compiled at each start.
    """
    others = ("OTEL_", "STEPSIZE", "PYTHONDONTWRITEBYTECODE", *left_out)
    return {name: text for name, text in os.environ.items() if not name.startswith(others)}


def clean_environment(directory: Path, idle_s: float, *left_out: str) -> dict[str, str]:
    """That with a home, a lake and a runtime in ``directory``; agents end after so long without a task."""
    places = {
        "HOME": str(directory),
        "STEPSIZE_DATA": str(directory / "lake"),
        "STEPSIZE_RUNTIME": str(directory / "run"),
    }
    return {**kept(*left_out), **places, "STEPSIZE_AGENT_IDLE": f"{idle_s:g}"}


def settle(environment: Mapping[str, str]) -> None:
    """Wait until whatever was sampled is in the lake: a report reads nothing before that."""
    command = [sys.executable, "-m", "stepsize", "report", "--format", "json"]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
