"""The environment in which another Python interpreter finds the same ``stepsize``, wherever it works.

What comes in: an environment. What goes out: a copy with the module path made to hold, and which interpreter is to run
what this one's copy of the package is too small for. Never starts anything. Standard library only.
"""

from __future__ import annotations

import os
import site
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACKAGE = Path(__file__).parent
_PYTHON = "STEPSIZE_PYTHON"
_MODULE_PATH = "STEPSIZE_PYTHONPATH"
_OWN = ("PYTHONPATH", "PYTHONHOME", "PYTHONNOUSERSITE")
"""What says where one interpreter finds its modules, and means nothing to another."""


class Interpreter(NamedTuple):
    """A Python that runs modules of ours, and the environment that it needs for that."""

    executable: str
    environment: Mapping[str, str]


def environment_for_python(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` for an interpreter in another working directory, which ends when its module does.

    Entries of ``PYTHONPATH`` become absolute, and the directory that holds this package joins them where the
    interpreter would not look by itself. Settings of the interpreter that are meant for people are left out.
    """
    environment = dict(environ)
    environment.pop("PYTHONINSPECT", None)
    paths = [str(Path(path).absolute()) for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    root = str(_PACKAGE.parent)
    if root not in paths and root not in (*site.getsitepackages(), site.getusersitepackages()):
        paths.append(root)
    if paths:
        environment["PYTHONPATH"] = os.pathsep.join(paths)
    return environment


def handed_on(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables that tell a process with an interpreter of its own which one has all of this package: this one."""
    return {_PYTHON: sys.executable, _MODULE_PATH: environment_for_python(environ).get("PYTHONPATH", "")}


def for_modules(environ: Mapping[str, str]) -> Interpreter:
    """The interpreter for modules of ours: this one, or where its package is only the part that travels with a
    workflow's code, the one that was handed on, if any.
    """
    handed = environ.get(_PYTHON, "")
    if not handed or _is_whole() or not os.access(handed, os.X_OK):
        return Interpreter(sys.executable, environment_for_python(environ))
    environment = {name: text for name, text in environ.items() if name not in _OWN}
    if environ.get(_MODULE_PATH):
        environment["PYTHONPATH"] = environ[_MODULE_PATH]
    environment.pop("PYTHONINSPECT", None)
    return Interpreter(handed, environment)


def _is_whole() -> bool:
    return (_PACKAGE / "collector").is_dir()
