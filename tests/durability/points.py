"""The named points at which processes are killed: each call that makes something last, of each kind of file."""

from __future__ import annotations

from typing import NamedTuple


class Point(NamedTuple):
    """One kind of call to one kind of file, and what happens at it."""

    what: str
    operation: str
    pattern: str
    action: str

    @property
    def ends_collector(self) -> bool:
        """Whether the receiving process ends by it, be it with its group."""
        return self.action in ("end", "end-after", "cut") or self.what in INGEST

    def __str__(self) -> str:
        return f"{self.what}: {self.operation}, {self.action}"


_PLACES = {
    "log": ("open write fdatasync fsync", "*.wal"),
    "log's directory": ("fsync", "*/wal"),
    "segment that is done with": ("unlink", "*.wal"),
    "points": ("open write fsync rename", "*/points/day=*"),
    "directory of points": ("fsync", "*/points/day=????-??-??"),
    "snapshot of attempts": ("open write fsync rename", "*/tasks/*open/*"),
    "final attempts": ("open write fsync rename", "*/tasks/month=*"),
    "manifest": ("open write fsync rename", "*/manifests/*.json*"),
    "directory of manifests": ("fsync", "*/manifests"),
    "views": ("open write sync", "*/.views-*"),  # which of the two is DuckDB's choice
    "views' place": ("rename", "*/stepsize.duckdb"),
    "directory of the lake": ("fsync", "*/lake"),
}
INGEST = ("log", "log's directory")
"""What the receiving process does; everything else is the sink's."""


def _actions(operation: str, what: str) -> list[str]:
    actions = ["kill", "kill-after", "end", "end-after"]
    if operation == "write":
        actions += ["tear"]
    # The power goes for the process whose calls are followed: what it had not synced is gone, names included.
    return [*actions, "cut"] if what != "views" else actions


POINTS = [
    Point(what, operation, pattern, action)
    for what, (operations, pattern) in _PLACES.items()
    for operation in operations.split()
    for action in _actions(operation, what)
]
