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
_READING = st.builds(wire.Reading, st.integers(0), st.floats(0, 1e9), st.floats(0, 1e9))
_IDENTITY = st.builds(
    Identity,
    *[st.text()] * 4,
    attempt=st.integers(0, 9),
    item=st.none() | st.text(),
    request=st.builds(Request, cpu=st.none() | st.floats(0, 1e3), memory_bytes=st.none() | st.integers(0)),
    annotations=st.dictionaries(st.text(), _VALUE),
)
_MESSAGE = st.one_of(
    st.builds(
        wire.Register,
        _IDENTITY,
        st.integers(0),
        _READING,
        st.floats(0.01, 60),
        measured=st.sampled_from(wire.Measured),
        **{name: st.booleans() for name in ("waited_for", "within", "recorded")},
    ),
    st.builds(wire.Annotate, st.text(), st.dictionaries(st.text(), _VALUE)),
    st.builds(wire.End, st.text(), st.sampled_from(Outcome), _READING, st.none() | st.integers(0, 255)),
    st.builds(wire.Flush, st.floats(0, 60)),
    st.builds(wire.Summary, st.floats(0, 1e6), st.floats(0, 1e6)),
    st.just(wire.Locate()),
    st.builds(wire.Location, st.dictionaries(st.text(), _VALUE)),
    st.builds(wire.AgentStatus, *[st.integers(0)] * 4, st.lists(st.text()).map(tuple)),
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
