"""What a task says to its agent, as a line of JSON each: the half of `wire` that runs inside the user's process.

What comes in: frozen messages. What goes out: the bytes of a line, which `wire.decode` reads. Never touches a socket, a
file or a clock. Standard library only, and no dataclass (`docs/decisions/0008`): every tracked task imports this.
"""

from __future__ import annotations

import json
from enum import Enum
from typing import TYPE_CHECKING, Any

from stepsize.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepsize.identity import AttributeValue, Identity, Outcome


class Reading(NamedTuple):
    """What a process has used since it was made, its waited-for children included; ``None`` where unreadable.

    Attributes:
        time_unix_nano: when it was read.
        cpu_user_s, cpu_system_s: CPU seconds.
        memory_peak_bytes: VmHWM of the process itself.
        children_peak_bytes: highest maximum RSS among its waited-for descendants (``ru_maxrss``). A child made by
            vfork is charged with its parent's, so it is evidence of a child only where it exceeds the parent's peak.
        disk_read_bytes, disk_write_bytes: bytes that reached storage.
        with_orphans: whether the descendants that nobody in the tree waited for, and that have ended, are in it too.
    """

    time_unix_nano: int
    cpu_user_s: float
    cpu_system_s: float
    memory_peak_bytes: int | None = None
    children_peak_bytes: int | None = None
    disk_read_bytes: int | None = None
    disk_write_bytes: int | None = None
    with_orphans: bool = False


class Measured:
    """What of an attempt is measured: values of `Register.measured`. No enumeration: each costs a task 0.1 ms."""

    TREE = "tree"
    """Its process and whatever descends from it."""
    PROCESS = "process"
    """Its process alone."""
    HOST = "host"
    """The host alone: a recording is all that comes of it, no point of the attempt is sent."""


class Register(NamedTuple):
    """A process is this attempt. Said again with every later message, so that an agent that is new knows it too.

    Attributes:
        pid: the process; 0 for the one that sends this.
        baseline: what the process had used when it became the attempt.
        interval_s: seconds between samples.
        waited_for: whether the sender is the process's parent and will say how it ended, with readings from ``wait4``.
        measured: what of it.
        within: whether it is a part of its process's life: what that held at most before is not the attempt's.
        recorded: whether the two files of a recording (see `recording`) come with this, before the pidfd.
    """

    identity: Identity
    pid: int
    baseline: Reading
    interval_s: float
    waited_for: bool = False
    measured: str = Measured.TREE
    within: bool = False
    recorded: bool = False


class Annotate(NamedTuple):
    """What the user says of the attempt, which may be another process's: a command's of its ``stepsize run``."""

    instance_id: str
    values: Mapping[str, AttributeValue]


class End(NamedTuple):
    """The attempt is over: its outcome and final reading.

    A ``tentative`` one is said by a process that is about to end and does not know how: the outcome counts where
    nothing else tells, and the attempt lasts until the process is gone.
    """

    instance_id: str
    outcome: Outcome
    final: Reading
    exit_code: int | None = None
    exit_signal: int | None = None
    tentative: bool = False


def encode(message: NamedTuple) -> bytes:
    """A message, of these or of `wire`, as one line."""
    content = {"type": type(message).__name__, **_content(message)}
    return json.dumps(content, separators=(",", ":"), default=str).encode() + b"\n"


def _content(value: Any) -> dict[str, Any]:
    """The fields of a message, and of the named tuples in it, by their names: JSON would make lists of them."""
    return {name: _plain(part) for name, part in value._asdict().items()}


def _plain(part: Any) -> Any:
    if isinstance(part, Enum):
        return part.value
    return _content(part) if hasattr(part, "_fields") else part
