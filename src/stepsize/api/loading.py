"""``stepsize.load`` and ``loads``: a recording that was saved, with all of its answers.

What comes in: a file, or its bytes. What goes out: a `Recorded`.
"""

from __future__ import annotations

from pathlib import Path

from stepsize.api import saved
from stepsize.api.recorded import Recorded
from stepsize.errors import UsageError
from stepsize.settings import Settings


def load(path: str | Path) -> Recorded:
    """The recording that `Recorded.save` wrote.

    Raises:
        UsageError: the file cannot be read.
        DataError: it is no recording.
    """
    place = Path(path).expanduser()
    try:
        content = place.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {place}: {error.strerror}; give a file that was saved") from None
    return loads(content)


def loads(content: bytes) -> Recorded:
    """The recording in the bytes that `Recorded.dumps` gave.

    Raises:
        DataError: they are none.
    """
    return Recorded(*saved.loads(content), Settings.load())
