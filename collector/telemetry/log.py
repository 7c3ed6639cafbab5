"""Lines for the operator on standard error: each one line, as text or as JSON, and never a flood.

What comes in: a level, a message, fields. What goes out: a line. Never writes what a client sent as it is: control
characters are escaped and long values cut, so that nobody can forge a line or a terminal's commands. Of lines that say
the same in the same interval the first few and then every hundredth are written, with how many were left out (the
Collector's sampling: 10 in 10 s, then one in 100).
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LEVELS = ("debug", "info", "warn", "error")
ENCODINGS = ("console", "json")
_MAX_CHARACTERS = 2000
_INTERVAL_S = 10.0
_INITIAL, _THEREAFTER = 10, 100
_MAX_MESSAGES = 1000
"""Messages that are counted apart in one interval; what comes beyond them is counted as one."""


@dataclass(slots=True)
class _Repeated:
    since_s: float
    seen: int = 0
    dropped: int = 0


class Log:
    """Writes lines; calling it is :meth:`info`.

    Args:
        write: takes a line without its end.
        level: the lowest that is written.
        encoding: ``console`` (a prefix, the message, fields as ``name=value``) or ``json`` (an object).
        clock_s: a monotonic clock.
        wall_s: seconds since 1970.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        *,
        level: str = "info",
        encoding: str = "console",
        clock_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._write = write
        self._least = LEVELS.index(level)
        self._encoding = encoding
        self._clock_s = clock_s
        self._wall_s = wall_s
        self._repeated: dict[str, _Repeated] = {}

    def __call__(self, message: str, **fields: object) -> None:
        """Write at level info."""
        self._say("info", message, fields)

    def debug(self, message: str, **fields: object) -> None:
        """What only a developer wants."""
        self._say("debug", message, fields)

    def info(self, message: str, **fields: object) -> None:
        """What an operator may want to know."""
        self._say("info", message, fields)

    def warn(self, message: str, **fields: object) -> None:
        """What an operator should look at."""
        self._say("warn", message, fields)

    def error(self, message: str, **fields: object) -> None:
        """What keeps the collector from doing its work."""
        self._say("error", message, fields)

    def _say(self, level: str, message: str, fields: dict[str, object]) -> None:
        if LEVELS.index(level) < self._least:
            return
        dropped = self._dropped_before(message)
        if dropped is None:
            return
        if dropped:
            fields = {**fields, "repeated": dropped}
        self._write(self._line(level, message, fields))

    def left_out(self, count: int) -> str:
        """The line that says that so many before it were not written."""
        return self._line("warn", f"{count} lines before this one were left out: nobody was reading", {})

    def _line(self, level: str, message: str, fields: dict[str, object]) -> str:
        encode = _as_json if self._encoding == "json" else _as_text
        return encode(self._wall_s(), level, message, fields)

    def _dropped_before(self, message: str) -> int | None:
        """How many like it were left out since the last one that was written; None where this one is left out."""
        now_s = self._clock_s()
        if len(self._repeated) >= _MAX_MESSAGES and message not in self._repeated:
            self._repeated = {key: row for key, row in self._repeated.items() if now_s - row.since_s < _INTERVAL_S}
            message = message if len(self._repeated) < _MAX_MESSAGES else ""
        row = self._repeated.setdefault(message, _Repeated(now_s))
        if now_s - row.since_s >= _INTERVAL_S:
            row.since_s, row.seen = now_s, 0
        row.seen += 1
        if row.seen > _INITIAL and (row.seen - _INITIAL) % _THEREAFTER:
            row.dropped += 1
            return None
        dropped, row.dropped = row.dropped, 0
        return dropped


def _as_json(now_s: float, level: str, message: str, fields: dict[str, object]) -> str:
    # JSON's own escapes leave no control character and, as ASCII, nothing that a terminal would take for one.
    cut = {name: value if isinstance(value, (int, float)) else _cut(str(value)) for name, value in fields.items()}
    return json.dumps({"ts": round(now_s, 3), "level": level, "msg": _cut(message), **cut})


def _as_text(_now_s: float, level: str, message: str, fields: dict[str, object]) -> str:
    words = [_escaped(message), *(f"{name}={_escaped(str(value))}" for name, value in fields.items())]
    prefix = "" if level == "info" else f"{level}: "
    return prefix + " ".join(words)


def _escaped(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in _cut(text))


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}… ({len(text)} characters)"
