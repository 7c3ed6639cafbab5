"""Messages between client and agent: what goes in comes out, and what is no message is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.errors import DataError
from stepsize.instrumentation import wire
from stepsize.model import Identity, Outcome, Request

_VALUE = st.one_of(st.text(), st.booleans(), st.integers(), st.floats(allow_nan=False))
_COUNT = st.integers(0, (1 << 63) - 1)
_READING = st.builds(wire.Reading, _COUNT, *[st.floats(0, 1e9)] * 2, *[st.none() | _COUNT] * 4, st.booleans())
_NAMED = st.dictionaries(st.text(), _VALUE)
_IDENTITY = st.builds(
    Identity,
    *[st.text()] * 4,
    attempt=st.integers(0, 9),
    item=st.none() | st.text(),
    request=st.builds(
        Request,
        cpu=st.none() | st.floats(0, 1e3),
        memory_bytes=st.none() | st.integers(0),
        timeout_s=st.none() | st.floats(0, 1e9),
    ),
    annotations=_NAMED,
    resource=_NAMED,
)
_MESSAGE = st.one_of(
    st.builds(
        wire.Register,
        _IDENTITY,
        st.integers(0, (1 << 31) - 1),
        _READING,
        st.floats(0.01, 60),
        measured=st.sampled_from((wire.Measured.TREE, wire.Measured.PROCESS, wire.Measured.HOST)),
        **{name: st.booleans() for name in ("waited_for", "within", "recorded")},
    ),
    st.builds(wire.Annotate, st.text(), _NAMED),
    st.builds(wire.End, st.text(), st.sampled_from(Outcome), _READING, st.none() | st.integers(0, 255)),
    st.builds(wire.Flush, st.floats(0, 60)),
    st.builds(wire.Summary, *[st.floats(0, 1e6)] * 2, st.none() | st.floats(0, 1e3)),
    st.just(wire.Locate()),
    st.builds(wire.Location, _NAMED),
    st.builds(
        wire.AgentStatus,
        *[st.integers(0)] * 4,
        instances=st.lists(st.text()).map(tuple),
        losses=st.dictionaries(st.text(), st.integers(0)),
    ),
)


@given(_MESSAGE)
def test_a_message_survives_the_wire(message: wire.Message) -> None:
    """Decoding an encoded message gives it back, and it is one line."""
    line = wire.encode(message)
    assert line.count(b"\n") == 1
    assert wire.decode(line) == message


@given(st.binary() | st.recursive(_VALUE, lambda v: st.lists(v) | st.dictionaries(st.text(), v)).map(json.dumps))
def test_anything_else_is_refused(line: bytes | str) -> None:
    """Whatever arrives, the agent gets a message or a `DataError`."""
    with pytest.raises(DataError):
        wire.decode(line if isinstance(line, bytes) else line.encode())


def test_what_a_later_version_adds_is_left_out() -> None:
    """A field that this version does not know does not make a message unreadable."""
    content = {**json.loads(wire.encode(wire.Flush(1.0))), "later": [1]}
    assert wire.decode(json.dumps(content).encode()) == wire.Flush(1.0)


_SAID = json.loads(wire.encode(wire.Register(Identity("F", "1", "s", "t"), 1, wire.Reading(1, 0.0, 0.0), 1.0)))
_END = json.loads(wire.encode(wire.End("id", Outcome.OK, wire.Reading(1, 0.0, 0.0))))


@pytest.mark.parametrize(
    "content",
    [
        *[_SAID | {"pid": pid} for pid in ("1", [1], 1.5, -1, 10**30, None)],
        *[_SAID | {"interval_s": interval_s} for interval_s in (0, -1, float("nan"), "1", None)],
        *[_SAID | {"baseline": _SAID["baseline"] | {"time_unix_nano": time}} for time in ("1", -1, 10**40, None)],
        _SAID | {"baseline": _SAID["baseline"] | {"cpu_user_s": 10**400}},
        _SAID | {"baseline": _SAID["baseline"] | {"memory_peak_bytes": "1"}},
        _SAID | {"identity": _SAID["identity"] | {"flow": {"a": 1}}},
        *[_SAID | {"identity": _SAID["identity"] | {"annotations": notes}} for notes in ([1], {"a": {"b": [1]}})],
        _END | {"final": _END["final"] | {"cpu_user_s": "1"}},
        *[_END | change for change in ({"instance_id": [1]}, {"exit_code": "1"})],
        {"type": "Annotate", "instance_id": "id", "values": 5},
        {"type": "Annotate", "instance_id": "id", "values": {"a": [1]}},
        {"type": "Summarize", "instance_id": [1]},
        *[{"type": "Flush", "timeout_s": timeout_s} for timeout_s in ("1", float("nan"), float("inf"))],
    ],
)
def test_a_value_that_is_none_of_its_field_is_refused(content: dict[str, object]) -> None:
    """The agent serves many: one message that it stumbled over would end all their attempts."""
    with pytest.raises(DataError):
        wire.decode(json.dumps(content).encode())


def test_what_is_nested_without_end_is_refused() -> None:
    """A line within the bound on lines may be nested deeper than can be read."""
    with pytest.raises(DataError):
        wire.decode(b"[" * (wire.MAX_LINE_BYTES - 1))
