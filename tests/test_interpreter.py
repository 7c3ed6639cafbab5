"""Another interpreter finds the same package, wherever it works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import stepsize
from stepsize.interpreter import environment_for_python


def test_found_from_another_directory(tmp_path: Path) -> None:
    """A relative module path holds in another directory, and the package that runs is the one that is found."""
    source = Path(stepsize.__file__).parents[1]
    given = {**os.environ, "PYTHONPATH": os.path.relpath(source), "PYTHONINSPECT": "1"}
    script = "import stepsize; print(stepsize.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment_for_python(given),
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == (stepsize.__file__, "")


def test_the_rest_stays_as_it_is() -> None:
    """Other variables are handed on, entries keep their order, and what was given is not changed."""
    given = {"HOME": "/h", "PYTHONPATH": os.pathsep.join(("/b", "", "/a")), "PYTHONINSPECT": "1"}
    made = environment_for_python(given)
    assert made["HOME"] == "/h"
    assert made["PYTHONPATH"].split(os.pathsep)[:2] == ["/b", "/a"]
    assert "PYTHONINSPECT" not in made
    assert given["PYTHONINSPECT"] == "1"
