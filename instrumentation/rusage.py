"""The standard library's ``resource``, whatever else is called that.

What comes in: nothing. What goes out: the module, or ``None`` on systems that have none. ``import resource`` would run
a file of that name beside the user's script or in ``PYTHONPATH``. It is the one module of the client's that Metaflow
has not imported before, so no other name is worth this. Standard library only: it runs inside the user's process.
"""

from __future__ import annotations

import functools
import os
import sys
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

_NAME = "resource"


def standard_resource() -> ModuleType | None:
    """The module that asks the system what processes use and may use."""
    loaded: Any = sys.modules.get(_NAME)
    if hasattr(loaded, "getrusage"):
        return loaded  # type: ignore[no-any-return]  # what a program may put there is anything
    try:
        return import_module(_NAME) if _NAME in sys.builtin_module_names else _from_library()
    except ImportError:
        return None


@functools.cache
def _from_library() -> ModuleType | None:
    """From the directories of the standard library alone; the program's own ``import resource`` stays what it is."""
    library = os.path.dirname(os.__file__)  # noqa: PTH120 - pathlib is not needed for this
    spec = PathFinder.find_spec(_NAME, [os.path.join(library, "lib-dynload"), library])  # noqa: PTH118 - as above
    if spec is None or spec.loader is None:
        return None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
