"""What client and agent say to each other over the agent's socket: one JSON object a line.

What comes in: frozen messages, or the bytes of a line. What goes out: the bytes of a line, or a message. What a task
says of itself is in `messages`, and found here too; this adds what is asked and answered, and reads all of it. Never
touches a socket, a file or a clock. Standard library only. The protocol's version is
`discovery.AGENT_PROTOCOL_VERSION`, which is part of the socket's name, so both ends always speak the same one.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

from stepsize.errors import DataError
from stepsize.identity import AttributeValue, Identity, Outcome
from stepsize.instrumentation.messages import Annotate as Annotate
from stepsize.instrumentation.messages import End as End
from stepsize.instrumentation.messages import Measured as Measured
from stepsize.instrumentation.messages import Reading as Reading
from stepsize.instrumentation.messages import Register as Register
from stepsize.instrumentation.messages import encode as encode

MAX_LINE_BYTES = 1 << 20
"""A line longer than this is not one of ours."""
_PIDS = 1 << 31
_COUNTS = 1 << 63
_MEASURED = (Measured.TREE, Measured.PROCESS, Measured.HOST)
_NONE: Mapping[str, int] = {}


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
            values["identity"] = Identity.from_names(values["identity"])
            values["baseline"] = Reading(**_known(Reading, values["baseline"]))
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
        known = _is_count(message.pid, _PIDS) and message.interval_s > 0 and message.measured in _MEASURED
        return known and _is_plain_identity(message.identity) and _is_sound_reading(message.baseline)
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
