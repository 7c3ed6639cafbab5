"""HTTP/2 as a server has to speak it: what h2spec does not ask, and what attacks do."""

from __future__ import annotations

import struct
import tracemalloc
from typing import Any

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.collector.http2.client import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    REQUEST,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Talk,
    frame,
    number,
    setting,
)


def reset_codes(said: list[tuple[int, int, int, bytes]]) -> dict[int, int]:
    return {stream: struct.unpack(">I", payload)[0] for kind, _, stream, payload in said if kind == RST_STREAM}


def content_of(said: list[tuple[int, int, int, bytes]], stream: int) -> bytes:
    return b"".join(payload for kind, _, one, payload in said if kind == DATA and one == stream)


# requests


def test_streams_interleave() -> None:
    """Requests whose frames come mixed are told apart; each is answered when it is whole."""
    talk = Talk(answers=b"done")
    said = talk.say(talk.request(1, None) + talk.request(3, None))
    assert said == []
    said = talk.say(frame(DATA, 0, 1, b"a") + frame(DATA, END_STREAM, 3, b"b"))
    assert content_of(said, 3) == b"done"
    assert content_of(said, 1) == b""
    assert content_of(talk.say(frame(DATA, END_STREAM, 1, b"c")), 1) == b"done"
    assert [(what, stream, more) for what, stream, more in talk.owner.told if what == "came"] == [
        ("came", 1, b"a"),
        ("came", 3, b"b"),
        ("came", 1, b"c"),
    ]


FIELDS = st.lists(
    st.tuples(
        st.sampled_from(["grpc-timeout", "user-agent", "x-a", "x-b", "authorization"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20).map(str.strip),
        st.booleans(),
    ),
    max_size=6,
)


@given(st.lists(FIELDS, max_size=12), st.booleans())
def test_headers_are_what_was_said(requests: list[list[tuple[str, str, bool]]], is_small: bool) -> None:
    """Whatever a client says again, leaves out of the table or puts into it: each request has its own fields."""
    talk = Talk()
    if is_small:
        talk.encoder.header_table_size = 64
    for place, fields in enumerate(requests):
        said: list[Any] = [*REQUEST, *((n, v, True) if secret else (n, v) for n, v, secret in fields)]
        talk.say(talk.request(2 * place + 1, b"", said))
        expected: dict[str, str] = {"te": "trailers"}
        for name, value, _ in fields:
            expected[name] = f"{expected[name]}, {value}" if name in expected else value
        head = talk.owner.heads[2 * place + 1]
        assert (head.path, head.fields) == ("/x", expected)
    assert not talk.connection.is_over


@pytest.mark.parametrize(
    "fields",
    [
        [*REQUEST, ("connection", "close")],
        [*REQUEST, ("X-Upper", "1")],
        [*REQUEST, ("x", "a\r\nb")],
        [*REQUEST, (":path", "/y")],
        [("te", "trailers"), *REQUEST[:4]],
        REQUEST[1:],
        [*REQUEST, ("content-length", "-1")],
        [*REQUEST, ("content-length", "9" * 30)],
        [*REQUEST, ("te", "gzip")],
    ],
)
def test_malformed_requests(fields: list[tuple[str, str]]) -> None:
    """A request that cannot be ends its stream and nothing else."""
    talk = Talk(answers=b"")
    assert reset_codes(talk.say(talk.request(1, b"x", fields))) == {1: PROTOCOL_ERROR}
    assert (talk.owner.told, talk.owner.bounds) == ([], ["invalid"])
    assert HEADERS in [kind for kind, *_ in talk.say(talk.request(3, b"x"))]


# flow control


def test_answers_wait_for_room() -> None:
    """An answer is cut to the client's windows, of the stream and of all, and goes on when there is more of both."""
    talk = Talk(answers=bytes(range(100)))
    talk.say(setting((4, 10)))
    said = talk.say(talk.request(1, b"x"))
    assert content_of(said, 1) == bytes(range(10))
    said = talk.say(frame(WINDOW_UPDATE, 0, 1, number(15)))
    assert content_of(said, 1) == bytes(range(10, 25))
    assert talk.say(setting((4, 0))) == [(SETTINGS, ACK, 0, b"")]  # 10 less: the window is below zero
    assert content_of(talk.say(frame(WINDOW_UPDATE, 0, 1, number(11))), 1) == bytes([25])
    said = talk.say(frame(WINDOW_UPDATE, 0, 1, number(1000)))
    assert content_of(said, 1) == bytes(range(26, 100))
    assert said[-1][:3] == (HEADERS, END_HEADERS | END_STREAM, 1)


def test_windows_of_requests() -> None:
    """A stream may bring its first window, then what it is granted; the connection's window opens again by itself."""
    talk = Talk()
    talk.say(talk.request(1, None))
    for _ in range(3):
        talk.say(frame(DATA, 0, 1, bytes(16_384)))
    talk.connection.grant(talk.owner.streams[1], 1 << 20)
    granted = [struct.unpack(">I", payload)[0] for kind, _, stream, payload in talk.heard() if (kind, stream) == (8, 1)]
    assert granted == [(1 << 20) - (65_535 - 3 * 16_384)]
    more = [talk.say(frame(DATA, 0, 1, bytes(16_384))) for _ in range(64)]
    assert any((kind, stream) == (WINDOW_UPDATE, 0) for said in more for kind, _, stream, _ in said)
    assert reset_codes(talk.say(frame(DATA, 0, 1, b"x"))) == {1: FLOW_CONTROL_ERROR}
    assert talk.owner.told[-1] == ("gone", 1, None)


def test_a_client_that_shrinks_its_table_is_told_so() -> None:
    """Our header blocks use no table; who asks for a smaller one hears it at the next block, as HPACK wants, once."""
    talk = Talk(answers=b"")
    talk.say(setting((1, 100), (1, 4096)))
    decoder = hpack.Decoder()
    decoder.max_allowed_table_size = 100
    blocks = [
        [payload for kind, _, _, payload in talk.say(talk.request(stream)) if kind == HEADERS] for stream in (1, 3)
    ]
    assert [block[0][:1] for block in blocks] == [b"\x20", b"\x88"]
    assert [decoder.decode(payload) for block in blocks for payload in block] == [[(":status", "200")]] * 4


# the end


def test_draining_has_two_steps() -> None:
    """What is on its way when a server drains is served; what comes after its client has heard of it is not."""
    talk = Talk(answers=b"")
    talk.connection.drain()
    asked = talk.heard()
    assert [kind for kind, *_ in asked] == [GOAWAY, PING]
    assert asked[0][3][:4] == number(0x7FFFFFFF)
    ping = asked[1][3]
    assert HEADERS in [kind for kind, *_ in talk.say(talk.request(1))]
    talk.say(talk.request(3, None))
    said = talk.say(frame(PING, ACK, 0, ping) + talk.request(5))
    assert [(kind, payload[:4]) for kind, _, _, payload in said] == [(GOAWAY, number(3))]
    assert not talk.connection.is_finished
    assert HEADERS in [kind for kind, *_ in talk.say(frame(DATA, END_STREAM, 3, b"x"))]
    assert talk.connection.is_finished


def test_an_early_answer_ends_the_request() -> None:
    """Who is answered before it has sent all is told to stop, and what is still on its way is overlooked."""
    talk = Talk()
    talk.say(talk.request(1, None))
    talk.connection.answer(talk.owner.streams[1], b"\x88")
    assert reset_codes(talk.heard()) == {1: 0}
    assert talk.say(frame(DATA, 0, 1, b"x") * 3 + frame(DATA, END_STREAM, 1, b"x")) == []
    assert [told[0] for told in talk.owner.told] == ["began", "gone"]


# attacks


def test_more_requests_than_agreed() -> None:
    """Requests beyond the limit are refused one by one; taken back while somebody works on them, they still count."""
    talk = Talk(streams=2)
    said = talk.say(talk.request(1, None) + talk.request(3, None) + talk.request(5, None))
    assert reset_codes(said) == {5: REFUSED_STREAM}
    assert talk.owner.bounds == ["streams"]
    talk.say(frame(RST_STREAM, 0, 1, number(8)) + frame(RST_STREAM, 0, 3, number(8)))
    talk.connection.work_alone(2)
    assert reset_codes(talk.say(talk.request(7, None))) == {7: REFUSED_STREAM}
    talk.connection.work_alone(-1)
    assert talk.say(talk.request(9, None)) == []


@pytest.mark.parametrize(
    "nothing",
    [
        frame(SETTINGS),
        frame(SETTINGS, ACK),
        frame(PRIORITY, 0, 1, number(0) + b"\x01"),
        frame(WINDOW_UPDATE, 0, 0, number(1)),
        frame(99, 0, 0, b"unknown"),
        frame(DATA, 0, 1, b""),
        frame(PING, ACK, 0, bytes(8)),
        frame(GOAWAY, 0, 0, bytes(8)),
    ],
)
def test_floods_of_frames_that_lead_to_nothing(nothing: bytes) -> None:
    """Frames that carry nothing are borne as long as they are few for the time and the calls, and end a flood."""
    talk = Talk(answers=b"")
    talk.say(talk.request(1, None))
    for _ in range(50):
        talk.now_s += 5
        assert talk.code(talk.say(nothing * 90)) is None
    assert talk.code(talk.say(nothing * 5000)) == ENHANCE_YOUR_CALM
    assert talk.owner.bounds == ["frames"]


def test_rapid_resets() -> None:
    """A client that makes calls only to take them back is sent away (CVE-2023-44487); who cancels some is not."""
    talk = Talk(answers=b"")
    for stream in range(1, 2001, 2):
        said = talk.say(talk.request(stream))
        if stream % 10 == 1:
            said += talk.say(frame(RST_STREAM, 0, stream, number(8)))
        assert talk.code(said) is None
    talk = Talk()
    flood = b"".join(
        talk.request(stream, None) + frame(RST_STREAM, 0, stream, number(8)) for stream in range(1, 4001, 2)
    )
    assert talk.code(talk.say(flood)) == ENHANCE_YOUR_CALM
    assert len([told for told in talk.owner.told if told[0] == "began"]) < 1000
    assert talk.connection.streams == {}


def test_pings() -> None:
    """Pings sooner than allowed are borne twice; an answer in between makes good for all."""
    talk = Talk(answers=b"", ping_gap_s=10.0, pings_without_calls=True)
    ping = frame(PING, 0, 0, b"01234567")
    assert talk.say(ping) == [(PING, ACK, 0, b"01234567")]
    for stream in range(1, 41, 2):
        assert talk.code(talk.say(ping * 2 + talk.request(stream))) is None
    for _ in range(5):
        talk.now_s += 10.0
        assert talk.code(talk.say(ping)) is None
    assert talk.code(talk.say(ping * 2)) is None
    assert talk.code(talk.say(ping)) == ENHANCE_YOUR_CALM


def test_header_blocks_without_end() -> None:
    """Blocks that grow, or that do not end, or that unpack to much, end the connection before they take memory."""
    fill = hpack.Encoder().encode([("x", "y" * 10_000)], huffman=False)
    for more in (fill, b""):
        talk = Talk()
        said = talk.say(frame(HEADERS, END_STREAM, 1, talk.encoder.encode(REQUEST)))
        said += talk.say(frame(CONTINUATION, 0, 1, more) * 100)
        assert talk.code(said) == ENHANCE_YOUR_CALM
    talk = Talk()
    entry = talk.encoder.encode([*REQUEST, ("x", "y" * 4000)])
    bomb = entry + b"\xbe" * 10_000  # the newest entry of the table, ten thousand times
    assert talk.code(talk.say(frame(HEADERS, END_HEADERS | END_STREAM, 1, bomb))) == ENHANCE_YOUR_CALM


def test_headers_that_are_remembered() -> None:
    """Blocks that a client may say again are remembered only where they mean little, however short they are."""
    talk = Talk(answers=b"")
    long = ("x", "y" * 3500)
    talk.say(talk.request(1, b"", [*REQUEST, long]))
    block = talk.encoder.encode([*REQUEST, *[long] * 14])
    assert len(block) < 100
    tracemalloc.start()
    try:
        for place in range(4):
            talk.say(frame(HEADERS, END_HEADERS | END_STREAM, 3 + 2 * place, block + bytes([0, 1, 97, 1, 48 + place])))
        talk.owner.forget()
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert left < 20_000


def test_windows_of_many_streams() -> None:
    """Changing the window of all streams again and again costs as many streams as there are."""
    change = b"".join(setting((4, size)) for size in range(60))
    few = Talk()
    assert few.code(few.say(change)) is None
    talk = Talk()
    talk.say(b"".join(talk.request(stream, None) for stream in range(1, 2001, 2)))
    assert talk.code(talk.say(change)) == ENHANCE_YOUR_CALM
    assert talk.owner.bounds == ["frames"]


def test_windows_that_change_several_times_at_once() -> None:
    """Of the settings of one frame the last counts, and each has to be possible."""
    talk = Talk(answers=bytes(100))
    talk.say(setting((4, 20), (4, 0x7FFFFFFF), (4, 10)))
    talk.say(talk.request(1, None))
    assert content_of(talk.say(frame(DATA, END_STREAM, 1, b"x")), 1) == bytes(10)
    assert content_of(talk.say(setting((4, 0), (4, 70), (4, 40))), 1) == bytes(30)
    talk.say(frame(WINDOW_UPDATE, 0, 1, number(50)))
    talk.say(talk.request(3, None) + frame(WINDOW_UPDATE, 0, 3, number(1)))
    assert talk.code(talk.say(setting((4, 0x7FFFFFFF), (4, 10)))) == FLOW_CONTROL_ERROR


def test_answers_that_wait_for_all() -> None:
    """Answers that wait for the connection's window go on in their order as it opens; what is taken back does not."""
    talk = Talk(answers=bytes(65_535))
    assert content_of(talk.say(talk.request(1, b"x")), 1) == bytes(65_535)
    for stream in (3, 5, 7):
        assert content_of(talk.say(talk.request(stream, b"x")), stream) == b""
    talk.say(frame(RST_STREAM, 0, 5, number(8)))
    said = talk.say(frame(WINDOW_UPDATE, 0, 0, number(65_635)))
    assert [len(content_of(said, stream)) for stream in (3, 5, 7)] == [65_535, 0, 100]
    assert set(talk.connection.streams) == {7}


FRAMES = st.builds(
    frame,
    st.integers(0, 11),
    st.integers(0, 255),
    st.sampled_from([0, 1, 1, 1, 3, 3, 5, 7, 2, 0x7FFFFFFF]),
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([b"", number(0), number(1), number(0x7FFFFFFF), bytes(5), bytes(8), number(2) * 3]),
        st.just(hpack.Encoder().encode(REQUEST)),
    ),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(FRAMES, max_size=30), st.integers(1, 200), st.booleans())
def test_nothing_that_is_sent_raises(sent: list[bytes], size: int, answers: bool) -> None:
    """Any frames in any order, cut anywhere: the same answers as in one piece, and no stream that nobody ends."""
    data = PREFACE + setting() + b"".join(sent)
    whole, pieces = (Talk(b"ok" if answers else None, greets=False) for _ in range(2))
    in_pieces = [said for at in range(0, len(data), size) for said in pieces.say(data[at : at + size])]
    assert whole.say(data) == in_pieces
    assert whole.owner.told == pieces.owner.told
    open_streams = {stream for what, stream, _ in whole.owner.told if what == "began"}
    ended = {stream for what, stream, _ in whole.owner.told if what == "gone"}
    assert set(whole.connection.streams) <= open_streams - ended
    if whole.connection.is_over:
        assert whole.connection.streams == {}


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    """What is no HTTP/2 is told so, and never raises."""
    Talk().say(data)
    stranger = Talk(greets=False)
    said = stranger.say(data)
    assert stranger.connection.is_over == (not PREFACE.startswith(data[:24]))
    assert (said[-1][0] == GOAWAY) == stranger.connection.is_over
