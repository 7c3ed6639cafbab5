"""How far an attempt had come when its agent was killed, for the agent that goes on in its place.

What comes in: nothing. What goes out: a value class, of builtin types alone, which is written to the journal as it is.
Never does I/O.
"""

from __future__ import annotations

from typing import NamedTuple


class Progress(NamedTuple):
    """What an attempt was known to have used.

    Attributes:
        time_unix_nano: up to when.
        user_s, system_s: CPU seconds since it was registered; ``None`` where nothing was known yet.
        read_bytes, write_bytes: storage bytes since then; ``None`` where they cannot be read.
        peak_bytes, peak_source: its memory peak, 0 where none was seen.
        cores_max, processes_max: the most at once.
        samples: how many there were.
    """

    time_unix_nano: int
    user_s: float | None
    system_s: float | None
    read_bytes: int | None
    write_bytes: int | None
    peak_bytes: int
    peak_source: str
    cores_max: float
    processes_max: int
    samples: int
