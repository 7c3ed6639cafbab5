"""The environment in which another Python interpreter finds the same ``stepsize``, wherever it works.

What comes in: an environment. What goes out: a copy with the module path made to hold. Never starts anything. Standard
library only.
"""

from __future__ import annotations

import os
import site
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def environment_for_python(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` for an interpreter in another working directory, which ends when its module does.

    Entries of ``PYTHONPATH`` become absolute, and the directory that holds this package joins them where the
    interpreter would not look by itself. Settings of the interpreter that are meant for people are left out.
    """
    environment = dict(environ)
    environment.pop("PYTHONINSPECT", None)
    paths = [str(Path(path).absolute()) for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    root = str(Path(__file__).parents[1])
    if root not in paths and root not in (*site.getsitepackages(), site.getusersitepackages()):
        paths.append(root)
    if paths:
        environment["PYTHONPATH"] = os.pathsep.join(paths)
    return environment
