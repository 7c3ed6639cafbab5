"""Interpreters that have none of our packages, as a ``@pypi`` step's or a pod's may be."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from metaflow_extensions.stepsize.plugins.shipped import package_files

if TYPE_CHECKING:
    from collections.abc import Iterator


def bare_python(directory: Path, distributions: tuple[str, ...] = (), executable: str = sys.executable) -> Path:
    """The Python of a new virtual environment with these distributions of ours, what they need, and nothing else."""
    subprocess.run([executable, "-m", "venv", "--without-pip", str(directory)], check=True)
    (site,) = (directory / "lib").glob("python*/site-packages")
    for top in {top for name in distributions for top in _top_levels(name)}:
        (site / top.name).symlink_to(top)
    return directory / "bin" / "python"


def _top_levels(name: str) -> Iterator[Path]:
    """Modules and packages of a distribution and of those that it requires."""
    found = metadata.distribution(name)
    for file in found.files or ():
        if file.parts[0] != ".." and not file.parts[0].endswith(".pth"):
            yield Path(str(found.locate_file(file.parts[0])))
    for requirement in found.requires or ():
        if "extra ==" not in requirement:
            required = re.match(r"[\w.-]+", requirement)
            assert required is not None
            yield from _top_levels(required.group())


def shipped_package(directory: Path) -> Path:
    """The part of our package that travels with a flow's code, unpacked; the directory to import it from."""
    for here, there in package_files():
        target = directory / there
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(here, target)  # nothing leads back to the whole package
    return directory / "metaflow_extensions" / "stepsize" / "shipped"
