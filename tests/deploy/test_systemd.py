"""The unit is one that systemd takes, and says what the collector does."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from stepsize.collector.server.collector import DRAIN_S

UNIT = Path(__file__).parents[2] / "deploy/systemd/stepsize-collector.service"
TEXT = UNIT.read_text("utf-8")


def value(name: str) -> str:
    (found,) = re.findall(rf"^{name}=(.*)$", TEXT, re.MULTILINE)
    return str(found)


def test_there_is_time_to_drain() -> None:
    """systemd waits longer than the collector takes."""
    assert float(value("TimeoutStopSec")) > DRAIN_S


def test_its_directories_are_the_ones_that_systemd_makes() -> None:
    """And are the service's alone."""
    assert f"STEPSIZE_DATA=/var/lib/{value('StateDirectory')} " in value("Environment") + " "
    assert f"STEPSIZE_RUNTIME=/run/{value('RuntimeDirectory')} " in value("Environment") + " "
    assert value("StateDirectoryMode") == value("RuntimeDirectoryMode") == "0700"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    """No unknown section, key or value; the program is one that is there."""
    unit = tmp_path / UNIT.name
    unit.write_text(TEXT.replace("/opt/stepsize/bin/stepsize", "/bin/true"), "utf-8")
    run = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False, timeout=60
    )
    assert UNIT.name not in run.stdout + run.stderr
    assert run.returncode == 0, run.stderr
