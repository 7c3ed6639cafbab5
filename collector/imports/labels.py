"""What the user says of all attempts of an import, and how files name what they hold.

What comes in: options. What goes out: a frozen value, which sources take names from. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datetime as dt


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What is said of every attempt; None leaves it to the source.

    ``flow`` is empty where the source names flows. ``zone``: of times that name none; None is this machine's.
    ``oom_exit_codes``: exit codes that mean that memory ran out.
    """

    flow: str
    run: str | None = None
    project: str | None = None
    branch: str | None = None
    user: str | None = None
    target: str | None = None
    zone: dt.tzinfo | None = None
    oom_exit_codes: frozenset[int] = frozenset()

    def known(self) -> dict[str, Any]:
        """Those of `Attempt`'s fields that were said, but for flow and run."""
        said = {"project": self.project, "branch": self.branch, "user": self.user, "target": self.target}
        return {name: value for name, value in said.items() if value is not None}
