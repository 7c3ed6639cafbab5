"""What ``import stepsize`` offers, and what it costs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import stepsize
from tests.places import short_directory

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
HEAVY = ("pyarrow", "duckdb", "click", "jinja2", "rich", "opentelemetry", "psutil", "stepsize.analyzer")


def test_the_exported_names() -> None:
    """A name that is taken away breaks programs; one that is added belongs into docs/api.md."""
    assert stepsize.__all__ == [
        "OpenLake",
        "Outcome",
        "Recorded",
        "Request",
        "Stats",
        "Tracked",
        "__version__",
        "annotate",
        "current",
        "load",
        "loads",
        "open_lake",
        "track",
    ]
    for name in stepsize.__all__:
        assert getattr(stepsize, name) is not None
        assert name in dir(stepsize)
    with pytest.raises(AttributeError, match="no attribute 'tracks'"):
        stepsize.tracks  # type: ignore[attr-defined]  # noqa: B018 - asking for it is the test
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in stepsize.__all__ if f"`{name}" not in page and f"stepsize.{name}" not in page] == []


def test_tracking_imports_nothing_heavy() -> None:
    """The tracked program pays for its first answer, not for being tracked."""
    code = (
        "import sys, stepsize\n"
        "assert not [name for name in sys.modules if name.startswith('stepsize.')]\n"
        "with stepsize.track() as task: stepsize.annotate(rows=1)\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    environment = {"OTEL_SDK_DISABLED": "true", "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    finished = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert (finished.stdout.strip(), finished.stderr) == ("", "")


def _examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_examples_of_the_documentation_run() -> None:
    """All of them, one after another as a reader would, in one program."""
    examples = _examples()
    assert len(examples) >= 4
    with short_directory() as directory:
        (directory / "lake").mkdir()
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(directory),
            "STEPSIZE_DATA": str(directory / "lake"),
            "STEPSIZE_RUNTIME": str(directory / "run"),
            "STEPSIZE_INTERVAL": "0.1",
        }
        script = directory / "examples.py"
        script.write_text("\n".join(examples), encoding="utf-8")
        finished = subprocess.run(
            [sys.executable, str(script)],
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert finished.returncode == 0, finished.stderr
