"""The part of our package that travels with a flow's code."""

from __future__ import annotations

import ast
import gzip
import subprocess
from pathlib import Path

import pytest

from metaflow_extensions.stepsize.plugins import shipped
from tests.bare import bare_python, shipped_package

EXTENSION = Path(shipped.__file__).parents[1]
SCRIPT = """
from metaflow_extensions.stepsize.plugins.shipped import make_importable
make_importable(); make_importable()
import sys, stepsize
print(stepsize.__file__)
print(sum(entry.endswith("/shipped") for entry in sys.path))
"""


def test_it_is_small_and_has_client_and_agent() -> None:
    """Below 256 KiB compressed, and nothing of what reads the lake."""
    files = dict(package_file[::-1] for package_file in shipped.package_files())
    names = {name.partition("/shipped/stepsize/")[2] for name in files}
    assert names > {"__init__.py", "settings.py", "instrumentation/client.py", "instrumentation/agent/__main__.py"}
    assert not any(name.startswith(("collector", "analyzer", "store", "commands", "cli")) for name in names)
    assert len(gzip.compress(b"".join(Path(here).read_bytes() for here in files.values()))) < 256 << 10


@pytest.mark.parametrize("file", sorted(EXTENSION.rglob("*.py")), ids=lambda file: file.name)
def test_the_extension_can_be_read_by_old_pythons(file: Path) -> None:
    """Metaflow imports it in every task, whatever its Python: 3.7 is the oldest that tasks are seen with."""
    ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 7))


@pytest.mark.parametrize("has_its_own", [True, False])
def test_an_interpreter_that_has_stepsize_uses_its_own(tmp_path: Path, has_its_own: bool) -> None:
    """What travelled joins the end of the path where nothing else is found, and once."""
    python = bare_python(tmp_path / "venv")
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    own = site / "stepsize" / "__init__.py"
    if has_its_own:
        own.parent.mkdir()
        own.touch()
    travelled = shipped_package(tmp_path / "code")
    (travelled.parent / "plugins").mkdir()
    (travelled.parent / "plugins" / "shipped.py").write_bytes(Path(shipped.__file__).read_bytes())
    (tmp_path / "stepsize").mkdir()  # a folder of that name is no package
    environment = {"PYTHONPATH": f"{tmp_path}:{tmp_path / 'code'}", "HOME": str(tmp_path)}
    done = subprocess.run(
        [str(python), "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    expected = own if has_its_own else travelled / "stepsize" / "__init__.py"
    assert done.stdout.split()[:2] == [str(expected), "0" if has_its_own else "1"]
