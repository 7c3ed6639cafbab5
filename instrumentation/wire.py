"""What client and agent say to each other over the agent's socket: one JSON object a line.

What comes in: frozen messages, or the bytes of a line. What goes out: the bytes of a line, or a message. Never touches
a socket, a file or a clock. Standard library only, and no dataclass (`docs/decisions/0008`): it is imported inside the
user's process. The protocol's version is `discovery.AGENT_PROTOCOL_VERSION`, which is part of the socket's name, so
both ends always speak the same one.
"""

import json
import math
from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple, get_args

from stepsize.errors import DataError
from stepsize.model import AttributeValue, Identity, Outcome, Request

MAX_LINE_BYTES = 1 << 20
"""A line longer than this is not one of ours."""
_PIDS = 1 << 31
_COUNTS = 1 << 63
_NONE: Mapping[str, int] = {}


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


class Measured(str, Enum):
    """What of an attempt is measured: it is written as its value."""

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
    measured: Measured = Measured.TREE
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


class Flush(NamedTuple):
    """Answer (`Answer`) once everything sampled up to now is acknowledged.

    Not ok where that took longer than ``timeout_s``, or where points were refused or dropped since the flush before.
    """

    timeout_s: float


class Summarize(NamedTuple):
    """Answer (`Summary`) what an attempt has used so far; asked after its `End` it is final."""

    instance_id: str


class Record(NamedTuple):
    """Write what is sampled of a live attempt to the two files of a recording that come with this.

    Said by another process than the attempt's, which wants to look on. Answered (`Answer`) by whether it lives.
    """

    instance_id: str


class Status(NamedTuple):
    """Answer (`AgentStatus`) how the agent is."""


class Locate(NamedTuple):
    """Answer (`Location`) what is known of the host by now."""


class Location(NamedTuple):
    """The host's resource attributes: ``host.*``, ``os.*``, and ``cloud.*`` where there is one."""

    attributes: Mapping[str, AttributeValue]


class Answer(NamedTuple):
    """Whether what was asked for happened."""

    ok: bool


class Summary(NamedTuple):
    """What an attempt has used; ``None`` where it could not be read.

    ``outcome`` is how it ended, ``None`` while it lives.
    """

    duration_s: float
    cpu_seconds: float
    cpu_max: float | None = None
    memory_peak_bytes: int | None = None
    memory_source: str | None = None
    disk_read_bytes: int | None = None
    disk_write_bytes: int | None = None
    processes_max: int | None = None
    samples: int = 0
    outcome: Outcome | None = None


class AgentStatus(NamedTuple):
    """How the agent is.

    Attributes:
        pid: its process.
        tasks: attempts that it watches.
        unsent_points: points that nobody has taken yet, those in the spool too.
        dropped_points: points that were given up.
        instances: the attempts that it watches.
        spooled_points: of the unsent ones, those that are safe on disk.
        losses: of the dropped ones, how many for which reason.
    """

    pid: int
    tasks: int
    unsent_points: int
    dropped_points: int
    instances: tuple[str, ...] = ()
    spooled_points: int = 0
    losses: Mapping[str, int] = _NONE


Message = (
    Register | Annotate | End | Flush | Summarize | Record | Status | Locate | Answer | Summary | AgentStatus | Location
)
_TYPES: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Message)}


def encode(message: Message) -> bytes:
    """A message as one line."""
    content = {"type": type(message).__name__, **_content(message)}
    if isinstance(message, End | Summary) and message.outcome is not None:
        content["outcome"] = message.outcome.value
    return json.dumps(content, separators=(",", ":"), default=str).encode() + b"\n"


def _content(value: Any) -> dict[str, Any]:
    """The fields of a message, and of the named tuples in it, by their names: JSON would make lists of them."""
    return {name: _content(part) if hasattr(part, "_fields") else part for name, part in value._asdict().items()}


def decode(line: bytes) -> Message:
    """The message of one line; fields that this version does not know are left out.

    Raises:
        DataError: the line is not a message.
    """
    try:
        content = json.loads(line)
        kind = _TYPES[content["type"]]
        values = _known(kind, content)
        if kind is Register:
            values["identity"] = _identity(values["identity"])
            values["baseline"] = Reading(**_known(Reading, values["baseline"]))
            values["measured"] = Measured(values.get("measured", Measured.TREE))
        elif kind is End:
            values["outcome"] = Outcome(values["outcome"])
            values["final"] = Reading(**_known(Reading, values["final"]))
        elif kind is Summary and values.get("outcome") is not None:
            values["outcome"] = Outcome(values["outcome"])
        elif kind is AgentStatus:
            values["instances"] = tuple(values.get("instances", ()))
        message: Message = kind(**values)
        is_sound = _is_sound(message)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DataError(f"not a message of the agent's protocol: {error}") from None
    if not is_sound:
        raise DataError(f"a value of {kind.__name__} is none of its field")
    return message


def _is_sound(message: Message) -> bool:
    """Whether what the agent is told is of its fields' kinds: the rest would end it, and everybody's attempts."""
    if isinstance(message, Register):
        count = _is_count(message.pid, _PIDS) and message.interval_s > 0
        return count and _is_plain_identity(message.identity) and _is_sound_reading(message.baseline)
    if isinstance(message, End):
        codes = all(code is None or isinstance(code, int) for code in (message.exit_code, message.exit_signal))
        return codes and _is_text(message.instance_id) and _is_sound_reading(message.final)
    if isinstance(message, Annotate):
        return _is_text(message.instance_id) and _are_plain(message.values)
    if isinstance(message, Summarize | Record):
        return _is_text(message.instance_id)
    return not isinstance(message, Flush) or math.isfinite(message.timeout_s)


def _is_sound_reading(reading: Reading) -> bool:
    counts = (reading.memory_peak_bytes, reading.children_peak_bytes, reading.disk_read_bytes, reading.disk_write_bytes)
    known = (reading.time_unix_nano, *(count for count in counts if count is not None))
    seconds = (reading.cpu_user_s, reading.cpu_system_s)
    return all(_is_count(count, _COUNTS) for count in known) and all(math.isfinite(each) for each in seconds)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_count(value: object, end: int) -> bool:
    return isinstance(value, int) and 0 <= value < end


def _is_plain_identity(identity: Identity) -> bool:
    mappings = (identity.annotations, identity.resource)
    names = {
        name: part for name, part in identity._asdict().items() if name not in ("request", "annotations", "resource")
    }
    return all(_are_plain(each) for each in (names, identity.request._asdict(), *mappings))


def _are_plain(values: Mapping[str, Any]) -> bool:
    """Whether they can be attributes' values, or are absent."""
    return all(value is None or isinstance(value, str | bool | int | float) for value in values.values())


def _known(kind: type[Any], content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: content[name] for name in kind._fields if name in content}


def _identity(content: Mapping[str, Any]) -> Identity:
    values = _known(Identity, content)
    values["request"] = Request(**_known(Request, values.get("request", {})))
    return Identity(**values)
