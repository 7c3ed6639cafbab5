"""What is shipped is what is committed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "instrumentation/": "stepsize/instrumentation/",
    "collector/": "stepsize/collector/",
    "analyzer/": "stepsize/analyzer/",
    "examples/": "stepsize/examples/",
    "src/": "",
}


def test_the_wheel_holds_every_committed_file_and_nothing_else(tmp_path: Path) -> None:
    """Symbolic links are followed, data files are there, and Metaflow can find the extension."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--", *PACKAGES], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    files = [name for name in tracked if name and not (ROOT / name).is_symlink()]
    expected = {
        target + name.removeprefix(source)
        for name in files
        for source, target in PACKAGES.items()
        if name.startswith(source)
    }
    copy = tmp_path / "source"
    for name in [*files, "pyproject.toml", "README.md", "LICENSE", "NOTICE"]:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    for package in ("instrumentation", "collector", "analyzer", "examples"):
        (copy / "src/stepsize" / package).symlink_to(Path("../..") / package)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(copy)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if ".dist-info/" not in name}
        (top_level,) = (name for name in archive.namelist() if name.endswith("top_level.txt"))
        assert archive.read(top_level).decode().split() == ["metaflow_extensions", "stepsize"]
    assert shipped == expected
