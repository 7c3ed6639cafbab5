"""The part of ``stepsize`` that travels with a flow's code, for interpreters that have none.

What comes in: the installed package, in the launcher; the unpacked code package, in a task. What goes out: files for
the code package, and a task's interpreter that can import them. An interpreter that has ``stepsize`` uses its own: the
part that travels lies in a directory of its own, which joins the end of the module path only where nothing else is
found, so that it neither hides a whole installation nor reaches the programs that a task starts. Standard library only,
and imports with Python 3.7, as tasks may.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ARCHIVE_DIRECTORY = "metaflow_extensions/stepsize/shipped"
_DIRECTORY = Path(__file__).parents[1] / "shipped"
_STAYING = frozenset(
    {
        *("analyzer", "autosize", "collector", "commands", "examples", "postgres", "store"),
        *("cli.py", "testing.py", "__main__.py"),
        *("api/advice.py", "api/lake.py", "card/sql", "card/templates"),
    }
)
"""What a task has no use for: parts that stand on packages which its interpreter has not got, or on such a part."""
_ONLY = {"card": frozenset({"__init__.py", "order.py", "start.py"})}
"""Of these folders what a task's own process imports: a card is written by a process that needs the whole package."""
_OLDEST_PYTHON = (3, 10)


def package_files() -> Iterator[tuple[str, str]]:
    """In the launcher: each file as its path here and its path in the code package."""
    import stepsize  # noqa: PLC0415 - absent in isolated interpreters

    root = Path(stepsize.__file__).parent
    for folder, folders, names in os.walk(root, followlinks=True):  # a checkout has links where a wheel has folders
        place = Path(folder).relative_to(root)
        folders[:] = sorted(name for name in folders if (place / name).as_posix() not in _STAYING)
        for name in sorted(_ONLY.get(place.as_posix(), names)):
            if name.endswith(".py") and (place / name).as_posix() not in _STAYING:
                yield str(Path(folder, name)), Path(_ARCHIVE_DIRECTORY, "stepsize", place, name).as_posix()


def make_importable() -> None:
    """In a task: have ``import stepsize`` find what travelled with the code, where nothing else does."""
    if sys.version_info < _OLDEST_PYTHON or str(_DIRECTORY) in sys.path or not _DIRECTORY.is_dir():
        return
    found = importlib.util.find_spec("stepsize")
    if found is None or found.origin is None:  # a mere folder of that name is no package
        sys.path.append(str(_DIRECTORY))
