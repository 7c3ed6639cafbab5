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
IMPORTING = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as missing:
        print(name, missing.name.partition(".")[0])
"""
_AGENT = "stepsize.instrumentation.agent"
NEEDING = {
    **{f"stepsize.api.{name}": "pyarrow" for name in ("derive", "loading", "saved", "statistics", "tables")},
    **{f"{_AGENT}.{name}": "requests" for name in ("destination", "exporters")},
    f"{_AGENT}.unix_http": "urllib3",
    "stepsize.instrumentation.otel": "opentelemetry",
    "stepsize.instrumentation.launch_portable": "psutil",
    f"{_AGENT}.probes.portable": "psutil",
    f"{_AGENT}.probes.portable_system": "psutil",
}
"""Modules that a task imports only where it has that package, which is not ours."""


def test_it_is_small_and_has_client_and_agent() -> None:
    """Below 256 KiB compressed, and nothing of what reads the lake."""
    files = dict(package_file[::-1] for package_file in shipped.package_files())
    names = {name.partition("/shipped/stepsize/")[2] for name in files}
    assert names > {"__init__.py", "settings.py", "instrumentation/client.py", "instrumentation/agent/__main__.py"}
    assert not any(name.startswith(("collector", "analyzer", "store", "commands", "cli")) for name in names)
    assert {name for name in names if name.startswith("card/")} == {
        "card/__init__.py",
        "card/order.py",
        "card/start.py",
    }
    assert len(gzip.compress(b"".join(Path(here).read_bytes() for here in files.values()))) < 256 << 10


def test_all_of_it_can_be_imported_where_nothing_else_is(tmp_path: Path) -> None:
    """But for what stands on a package that a step may have: no module needs one of ours that stays behind."""
    travelled = shipped_package(tmp_path / "code")
    files = (file.relative_to(travelled) for file in travelled.rglob("*.py"))
    modules = {".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files}
    assert NEEDING.keys() < modules
    done = subprocess.run(
        [str(bare_python(tmp_path / "venv")), "-c", IMPORTING, *sorted(modules)],
        env={"PYTHONPATH": str(travelled), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert dict(line.split() for line in done.stdout.splitlines()) == NEEDING


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
