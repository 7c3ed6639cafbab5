"""Commands as the console script runs them, in this process: an environment of their own, text out, an exit code.

Starting a process takes longer than most answers; what is of the process itself has tests that start one.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import pytest

from stepsize.cli import main


@dataclass(frozen=True)
class Finished:
    """How a command ended, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


def stepsize(environment: Mapping[str, str], *arguments: str) -> Finished:
    """Runs ``stepsize`` with no other variable than those of ``environment``."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name in list(os.environ):
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr("sys.argv", ["stepsize", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    code = ended.value.code
    assert code is None or isinstance(code, int)
    return Finished(code or 0, out.getvalue(), err.getvalue())
