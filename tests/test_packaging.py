"""What is shipped is what is committed."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "instrumentation/": "stepsize/instrumentation/",
    "collector/": "stepsize/collector/",
    "analyzer/": "stepsize/analyzer/",
    "examples/": "stepsize/examples/",
    "src/": "",
}


@pytest.fixture(scope="module")
def committed() -> list[str]:
    """The committed files that belong in the wheel, as git names them."""
    listed = subprocess.run(["git", "ls-files", "-z", "--", *PACKAGES], cwd=ROOT, check=True, capture_output=True)
    names = [name for name in listed.stdout.decode().split("\0") if name]
    return [name for name in names if not (ROOT / name).is_symlink()]


@pytest.fixture(scope="module")
def wheel(committed: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the committed files."""
    copy = tmp_path_factory.mktemp("source")
    for name in [*committed, "pyproject.toml", "README.md", "LICENSE", "NOTICE"]:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    for package in ("instrumentation", "collector", "analyzer", "examples"):
        (copy / "src/stepsize" / package).symlink_to(Path("../..") / package)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(copy / "dist"), str(copy)]
    subprocess.run(build, check=True, capture_output=True)
    (built,) = (copy / "dist").glob("*.whl")
    return built


def test_the_wheel_holds_every_committed_file_and_nothing_else(wheel: Path, committed: list[str]) -> None:
    """Symbolic links are followed and data files are there."""
    expected = {
        target + name.removeprefix(source)
        for name in committed
        for source, target in PACKAGES.items()
        if name.startswith(source)
    }
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if ".dist-info/" not in name} == expected


def test_metaflow_finds_the_extension_of_an_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    """By `top_level.txt`; a package that requires itself, in an extra too, it would refuse, and every flow with it."""
    python = tmp_path / "venv/bin/python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    (site,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([*install, str(site), str(wheel)], check=True, capture_output=True)
    # Everything else comes from this environment, whose own editable install of the project this does not activate.
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))
    script = (
        "import stepsize; from metaflow.plugins import STEP_DECORATORS; "
        "print(stepsize.__file__, *[decorator.name for decorator in STEP_DECORATORS])"
    )
    finished = subprocess.run([str(python), "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    file, *names = finished.stdout.split()
    assert Path(file).is_relative_to(site)
    assert "stepsize" in names
