"""What a source tells of its reading: attempts, what it passed over, and what it could not read.

What comes in: items as a source comes to them. What goes out: counts, and the first lines that were wrong, each with
its place and reason. Holds nothing that grows with what is read.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

_TOLD = 20
"""Of the lines that are wrong, so many are told one by one."""

_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class BadLine:
    """Something that could not be read: in ``file``, at ``line`` (0: no line of its own), and why."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.reason}"


@dataclass(slots=True)
class Reading:
    """The tally of one import.

    Attributes:
        read: lines, records or pods that were looked at.
        bad: of these, those that could not be read.
        first_bad: the first of them.
        passed_over: why → how many that are no finished attempt, or not one that can be told.
    """

    read: int = 0
    bad: int = 0
    first_bad: list[BadLine] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)

    def wrong(self, file: str, line: int, reason: str) -> None:
        """Count a line that could not be read."""
        self.bad += 1
        if len(self.first_bad) < _TOLD:
            self.first_bad.append(BadLine(file, line, reason[:_LONGEST_REASON]))

    def pass_over(self, why: str) -> None:
        """Count what is no finished attempt."""
        self.passed_over[why] += 1
