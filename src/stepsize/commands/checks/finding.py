"""What a check found: one line, how bad it is, and what to do about it.

What comes in: nothing. What goes out: frozen values. Never does I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How bad it is."""

    WELL = "ok"
    NOTE = "note"
    """Works, and may not be what somebody expects."""
    FAULT = "fault"
    """Does not work, or will not for long."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        part: which part of stepsize it is about.
        level: how bad it is.
        said: what was found.
        remedy: what to do about it; empty where nothing is to be done.
    """

    part: str
    level: Level
    said: str
    remedy: str = ""
