"""Coverage-guided fuzzing, a minute a target (`make soak`), where atheris is installed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.durability import targets

_ROOT = Path(__file__).resolve().parents[2]
_SECONDS = os.environ.get("STEPSIZE_FUZZ_SECONDS", "60")


@pytest.mark.soak
@pytest.mark.parametrize("target", sorted(targets.by_name(Path())))
def test_guided(target: str, tmp_path: Path) -> None:
    """No crash, no hang, no answer that is not ours, whatever path through the code the bytes find."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("NOT RUN: pip install atheris")
    command = [sys.executable, "-m", "tests.durability.fuzz", target, _SECONDS]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=_ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
