"""What a spool's directory says of itself: whose it is, and why what is in it waits.

What comes in: a `Label`, or a directory. What goes out: a file in the directory, replaced as a whole, or what it says.
Holds no secret. A directory without one was left by a version that wrote none.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from stepsize.discovery import write_whole

if TYPE_CHECKING:
    from pathlib import Path

LABEL_FILE = "destination.json"


@dataclass(frozen=True, slots=True)
class Label:
    """Whose a spool is.

    Attributes:
        account: `Account.digest`.
        destination: for people.
        headers: names of headers that tell this destination from others at the same place.
        barred: whether the credentials of whoever tried last were refused.
        reason: what the last try met; empty where none was told.
    """

    account: str
    destination: str
    headers: tuple[str, ...] = ()
    barred: bool = False
    reason: str = ""


def write_label(directory: Path, label: Label) -> None:
    """Have a directory say this of itself.

    Raises:
        OSError: it cannot be written.
    """
    write_whole(directory / LABEL_FILE, json.dumps(asdict(label)).encode(), mode=0o600)


def read_label(directory: Path) -> Label | None:
    """What a directory says of itself; ``None`` where that is nothing, or nothing that can be read."""
    try:
        fields = json.loads((directory / LABEL_FILE).read_bytes())
        return Label(
            account=str(fields["account"]),
            destination=str(fields["destination"]),
            headers=tuple(map(str, fields["headers"])),
            barred=bool(fields["barred"]),
            reason=str(fields["reason"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
