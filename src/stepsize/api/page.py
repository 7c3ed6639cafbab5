"""A report as text that can be saved and shown.

What comes in: text. What goes out: a file, a browser's window. Files appear whole.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.discovery import write_whole
from stepsize.errors import UsageError

if TYPE_CHECKING:
    from typing_extensions import Self


class Page(str):
    """A report: a text with ways to keep and to show it."""

    __slots__ = ()

    def save(self, path: str | Path) -> Path:
        """Write it to a file; where that is.

        Raises:
            UsageError: the file cannot be written.
        """
        return write(path, self.encode())

    def browse(self) -> Self:
        """Show it in the user's browser, from a file that is left in the directory for temporary ones."""
        import webbrowser  # noqa: PLC0415 - looks for browsers

        with tempfile.NamedTemporaryFile("wb", prefix="stepsize-", suffix=".html", delete=False) as file:
            file.write(self.encode())
        webbrowser.open(Path(file.name).as_uri())
        return self


def write(path: str | Path, content: bytes) -> Path:
    """Write a file whole; where it is.

    Raises:
        UsageError: it cannot be written.
    """
    place = Path(path).expanduser().absolute()
    try:
        write_whole(place, content)
    except OSError as error:
        raise UsageError(f"cannot write {place}: {error.strerror}; give another path") from None
    return place
