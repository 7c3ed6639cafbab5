"""How much memory the process of an endpoint may hold, whatever for: beyond it an allocation fails, and its statement.

DuckDB counts its tables and vectors, but not what a function makes of one value (``repeat``, ``range`` as a list), nor
what the binder makes of a text. The system counts all that is mapped to be written (``RLIMIT_DATA``, since Linux 4.7),
mapped being more than held: allocators keep addresses, stacks are hardly used. So the limit is set anew, again and
again, to what is mapped and as much more as may still be held. What comes in: a bound. What goes out: nothing; it is
the process's own, for good. Elsewhere than on Linux nothing is bounded.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

_STATM = Path("/proc/self/statm")
_HELD, _MAPPED = 1, 5
"""Fields of it: resident, and data with stacks; in pages."""


class Ceiling:
    """From here on the process may hold ``more_bytes`` more than it holds now.

    Args:
        more_bytes: of whatever is allocated later; None for no bound.
    """

    def __init__(self, more_bytes: int | None) -> None:
        self._most_bytes = None
        if more_bytes is not None and sys.platform == "linux":
            self._most_bytes = _bytes()[0] + more_bytes
        self.renew()

    def renew(self, room_bytes: int = 0) -> None:
        """Set the limit by what is held now; ``room_bytes`` can be mapped in any case."""
        if self._most_bytes is None or sys.platform != "linux":
            return
        import resource  # noqa: PLC0415 - not everywhere

        held, mapped = _bytes()
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        soft = mapped + max(room_bytes, self._most_bytes - held)
        if hard != resource.RLIM_INFINITY:
            soft = min(soft, hard)
        with contextlib.suppress(ValueError, OSError):  # a limit of whoever started this is lower, or has changed
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _bytes() -> tuple[int, int]:
    """What the process holds, and has mapped to be written."""
    import resource  # noqa: PLC0415 - as above

    fields = _STATM.read_bytes().split()
    page = resource.getpagesize()
    return int(fields[_HELD]) * page, int(fields[_MAPPED]) * page
