"""Bytes that are no messages, clients that stall or go."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from pathlib import Path

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.postgres import lexer, messages
from stepsize.postgres.client import Patience
from stepsize.postgres.errors import ProtocolError, SqlError
from stepsize.postgres.places import STARTING
from tests.postgres.places import Served, serving
from tests.postgres.raw import QUERY, STARTUP, is_closed, is_served, until, whole

MESSAGES = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda kind, body, off: kind + struct.pack("!i", len(body) + 4 + off) + body,
        st.sampled_from([bytes([one]) for one in b"QPBDECSHXFpdcf"]),
        st.binary(max_size=60),
        st.sampled_from([0, 0, 0, 0, 1, -1, -4, 1000, -2_000_000]),
    ),
)


@given(st.lists(MESSAGES, max_size=6), st.lists(st.integers(1, 40), max_size=30))
def test_any_bytes_cut_anywhere_are_messages_or_one_error(parts: list[bytes], cuts: list[int]) -> None:
    """However they are cut, the same messages come of them, and nothing but a `ProtocolError` is ever raised."""
    data = b"".join(parts)

    def parsed(pieces: list[bytes]) -> list[object]:
        parser = messages.Parser()
        found: list[object] = []
        try:
            for piece in pieces:
                parser.feed(piece)
                while (message := parser.next()) is not None:
                    found.append(message)
        except ProtocolError as error:
            found.append((error.code, str(error)))
        return found

    pieces, place = [], 0
    for cut in cuts:
        pieces.append(data[place : place + cut])
        place += cut
    assert parsed([data]) == parsed([*pieces, data[place:]])


WRONG = {
    "shorter than its length": (b"Q\0\0\0\3", 0),
    "of no length": (b"S\0\0\0\0", 0),
    "of a negative length": (b"S\xff\xff\xff\xff", 0),
    "of no type": (b"\0\0\0\0\4", 0),
    "too long": (b"Q" + struct.pack("!i", messages.MAX_MESSAGE_BYTES + 1), messages.MAX_MESSAGE_BYTES),
    "too long before it is known who sends": (b"p" + struct.pack("!i", messages.MAX_PASSWORD_BYTES + 1), 0),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_length_that_cannot_be_is_not_waited_for(name: str) -> None:
    """It is refused by its first five bytes."""
    data, most = WRONG[name]
    parser = messages.Parser()
    parser.max_bytes = most or parser.max_bytes
    parser.feed(data)
    with pytest.raises(ProtocolError):
        parser.next()


def test_values_are_as_long_as_they_say() -> None:
    """Not a byte is left over, none is missing; NULL is none."""
    body = b"p\0s\0" + bytes.fromhex("0001 0001 0003 00000002 6162 ffffffff 00000000 0002 0000 0001")
    parser = messages.Parser()
    parser.feed(b"B" + struct.pack("!i", len(body) + 4) + body)
    assert parser.next() == messages.Bind("p", "s", (1,), (b"ab", None, b""), (0, 1))
    for size in range(len(body)):
        parser.feed(b"B" + struct.pack("!i", size + 4) + body[:size])
        assert isinstance(parser.next(), messages.Malformed), size
    for content in (b"", b"SCRAM", b"SCRAM\0", b"SCRAM\0\0\0\0\5abc", b"SCRAM\0\xff\xff\xff\xfeabc"):
        with pytest.raises(ProtocolError):
            messages.sasl_initial(content)


@given(st.binary(max_size=80))
def test_any_start_is_a_message_or_one_error(data: bytes) -> None:
    """As above, of what a connection begins with."""
    parser = messages.Parser()
    parser.feed(data)
    with contextlib.suppress(ProtocolError):
        while parser.next_first() is not None:
            pass


@given(st.text(max_size=200))
def test_tokens_are_the_text(text: str) -> None:
    """Whatever it is; and statements are parts of it."""
    assert lexer.joined(lexer.tokens(text)) == text
    for statement in lexer.statements(text):
        assert lexer.joined(statement) in text


def test_semicolons_in_strings_and_comments_end_nothing() -> None:
    """Nor do those in names and dollar quotes."""
    text = "select ';', \";\", $a$;$a$, E'\\';' -- ;\n /* ; /* ; */ ; */; select 2"
    assert len(lexer.statements(text)) == 2


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        struct.pack("!i", 3),
        struct.pack("!i", 2**31 - 1),
        struct.pack("!ii", 8, 2 << 16),
        struct.pack("!ii", 9, 3 << 16) + b"\0",
        STARTUP + b"\xff" * 100,
        STARTUP + b"Q" + struct.pack("!i", 2**31 - 1),
        STARTUP + b"Q" + struct.pack("!i", 3),
        STARTUP + b"F" + struct.pack("!i", 4) + QUERY,
        STARTUP + QUERY + b"X\0\0\0\4" + QUERY,
    ],
)
def test_garbage_costs_its_sender_the_connection(served: Served, sent: bytes) -> None:
    """It is closed, after an error if it can be told; others are served before and after."""
    with served.raw() as connection:
        connection.sendall(sent)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        whole(connection)
    assert is_served(served)


def test_half_a_message_holds_up_nobody(served: Served) -> None:
    """Nor does a client that never says anything, or asks for much and reads nothing."""
    wide = b"select a, repeat('x', 1000) from range(1000000) t(a)\0"
    with served.raw() as half, served.raw(), served.raw() as deaf:
        half.sendall(STARTUP + QUERY[:7])
        deaf.sendall(STARTUP + b"Q" + struct.pack("!i", 4 + len(wide)) + wide)
        assert is_served(served)


def test_those_that_take_too_long_are_sent_away(lake: Path) -> None:
    """Who is not let in by then, however it trickles; who begins a message and does not end it; who reads nothing."""
    patience = Patience(start_s=0.5, message_s=0.5, send_s=0.5, idle_s=60)
    with serving(lake, patience=patience) as served, served.connect() as other:
        with served.raw() as trickling:
            trickling.settimeout(0.1)

            trickling.sendall(struct.pack("!i", 9000))
            until(lambda: is_closed(trickling, STARTUP[:1]))
        with served.raw() as half:
            half.sendall(STARTUP + QUERY[:7])
            assert b"57P05" in whole(half)
        assert other.execute("select count(*) from tasks").fetchone() == (30,)


def test_what_nobody_waits_for_any_more_is_stopped(served: Served) -> None:
    """A client that goes takes its statement with it."""
    long = b"select count(*) from range(100000000000) t(a) where a % 7 = 3\0"
    until(lambda: served.clients() == 0)
    with served.raw() as connection:
        connection.sendall(STARTUP + b"Q" + struct.pack("!i", 4 + len(long)) + long)
        until(lambda: served.clients() == 1)
        connection.recv(1)
    until(lambda: served.clients() == 0)
    assert is_served(served)


def test_who_does_not_know_the_secret_cancels_nothing(served: Served) -> None:
    """Its request is taken like any other, and nobody is told whether it was right."""
    long = b"select count(*) from range(100000000000) t(a) where a % 7 = 3\0"
    with served.raw() as connection:
        connection.sendall(STARTUP)
        greeting = b""
        while not greeting.endswith(b"Z\0\0\0\5I"):
            greeting += connection.recv(65536)
        place = greeting.index(b"K\0\0\0\x0c") + 5
        process, secret = greeting[place : place + 4], greeting[place + 4 : place + 8]
        connection.sendall(message(b"Q", long))

        def asks(said: bytes) -> bool:
            """Whether the statement ends soon after a request with this secret."""
            with served.raw() as other:
                other.sendall(struct.pack("!ii", 12 + len(said), 80_877_102) + process + said)
                assert whole(other) == b""
            return bool(select.select([connection], [], [], 0.2)[0])

        assert not any(asks(said) for said in (bytes(one ^ 1 for one in secret), bytes(4), secret + b"\0"))
        until(lambda: asks(secret))
        assert b"C57014\0" in connection.recv(65536)


def test_connections_are_bounded(lake: Path) -> None:
    """The one too many is told so; when one goes there is room."""
    with serving(lake, connections=2) as served:
        refused = pytest.raises(psycopg.OperationalError, match=r"too many clients")
        with served.connect(), served.connect(), refused:
            served.connect()
        until(lambda: _can_connect(served))


def _can_connect(served: Served) -> bool:
    try:
        return is_served(served)
    except psycopg.OperationalError:
        return False


def test_who_only_connects_shuts_nobody_out(lake: Path) -> None:
    """Places on the way in are not those of clients; who has said nothing for longest loses its own, and is told."""
    with serving(lake, connections=1) as served, contextlib.ExitStack() as crowd:
        first = crowd.enter_context(served.raw())
        silent = [crowd.enter_context(served.raw()) for _ in range(STARTING)]
        assert b"C53300\0" in whole(first)
        with served.connect() as connection:
            more = [crowd.enter_context(served.raw()) for _ in range(STARTING)]
            assert all(b"C53300\0" in whole(one) for one in silent)
            assert connection.execute("select count(*) from tasks").fetchone() == (30,)
        until(lambda: served.clients() == 0)
        more[-1].sendall(STARTUP + QUERY + b"X\0\0\0\4")
        assert b"SELECT 1\0" in whole(more[-1])


def test_as_many_as_may_be_connected_may_come_at_once(lake: Path) -> None:
    """A pool that opens all of its connections in one moment has each of them let in."""
    with serving(lake, connections=STARTING + 8) as served, contextlib.ExitStack() as crowd:
        pool = [crowd.enter_context(served.raw()) for _ in range(STARTING + 8)]
        for one in pool:
            one.sendall(STARTUP + QUERY + b"X\0\0\0\4")
        assert all(b"SELECT 1\0" in whole(one) for one in pool)


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


SYNC = message(b"S", b"")
PARSE = message(b"P", b"\0select $1::text\0\0\0")
EXECUTE = message(b"E", b"\0\0\0\0\0") + SYNC


def bind(*values: bytes) -> bytes:
    given = b"".join(struct.pack("!i", len(one)) + one for one in values)
    return message(b"B", b"\0\0\0\0" + struct.pack("!H", len(values)) + given + b"\0\0")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (message(b"Q", b"select '\xff'\0"), b"22021"),
        (message(b"Q", b"select 1\0; select 2\0"), b"08P01"),
        (message(b"Q", b"select $1\0"), b"42P02"),
        (message(b"Q", b"begin; declare c cursor for select $1\0") + message(b"Q", b"rollback\0"), b"42P02"),
        (message(b"B", b"") + PARSE + SYNC, b"08P01"),
        (message(b"P", b"\0select '\xff'\0\0\0") + SYNC, b"22021"),
        (PARSE + bind(b"\xff") + EXECUTE, b"22021"),
        (PARSE + bind(b"a\0b") + EXECUTE, b"22021"),
        (PARSE + bind(b"a", b"b") + EXECUTE, b"08P01"),
        (message(b"F", b"\0\0\0\1") + SYNC, b"0A000"),
        (message(b"Q", b"set a.b = '" + b"x" * 20_000 + b"'\0"), b"22023"),
    ],
)
def test_a_message_that_means_nothing_is_answered_by_an_error(served: Served, sent: bytes, code: bytes) -> None:
    """Once, with its SQLSTATE; the connection goes on."""
    with served.raw() as connection:
        connection.sendall(STARTUP + sent + QUERY + b"X\0\0\0\4")
        answer = whole(connection)
    assert answer.count(b"SERROR\0") == 1
    assert b"C" + code + b"\0" in answer
    assert answer.endswith(b"SELECT 1\0Z\0\0\0\5I")


SAID = st.one_of(
    MESSAGES,
    st.sampled_from([SYNC, QUERY, PARSE, bind(b"1"), EXECUTE, message(b"D", b"S\0"), message(b"D", b"P\0")]),
    st.sampled_from(
        [
            "begin",
            "rollback",
            "declare c cursor for select 1",
            "fetch c",
            "select 1/0",
            "'",
            "copy (select 1) to stdout",
        ]
    ).map(lambda text: message(b"Q", text.encode() + b"\0")),
)


@settings(deadline=None)
@given(st.lists(SAID, max_size=12))
def test_any_conversation_is_answered_in_whole_messages(served: Served, said: list[bytes]) -> None:
    """Whatever is said after the start: none is cut off, and none tells of a defect."""
    with served.raw() as connection:
        with contextlib.suppress(OSError):
            connection.sendall(STARTUP + b"".join(said))
            connection.shutdown(socket.SHUT_WR)
        answer = whole(connection)
    assert b"CXX000\0" not in answer
    place = 0
    while place < len(answer):
        assert answer[place : place + 1] in b"RSKZTDCEN12345tnsIGHcdv", answer[place:]
        place += 1 + int.from_bytes(answer[place + 1 : place + 5], "big")
    assert place == len(answer)


def test_parameters_that_do_not_occur_are_taken(served: Served) -> None:
    """As many as the protocol has room for."""
    types = struct.pack("!H", 65_535) + struct.pack("!I", 25) * 65_535
    sent = message(b"P", b"\0select $2 || 'x'\0" + types) + bind(*[b"a"] * 65_535) + EXECUTE
    with served.raw() as connection:
        connection.sendall(STARTUP + sent + b"X\0\0\0\4")
        assert b"\0\0\0\2axC" in whole(connection)


def test_what_is_too_long_is_said(served: Served) -> None:
    """Though its sender is sending it still; and what a connection has others remember is bounded."""
    with served.raw() as connection:
        connection.sendall(STARTUP)
        with contextlib.suppress(ConnectionError):
            connection.sendall(message(b"Q", b"select '" + b"x" * (messages.MAX_MESSAGE_BYTES + 1000) + b"'\0"))
        assert b"invalid length of a message" in whole(connection)
    value = b"\0\0\0\1" + struct.pack("!i", 7_000_000) + b"x" * 7_000_000
    portals = [message(b"B", b"p%d\0\0" % number + value + b"\0\0") for number in range(5)]
    with served.raw() as connection:
        connection.sendall(STARTUP + PARSE + b"".join(portals) + SYNC + QUERY + b"X\0\0\0\4")
        answer = whole(connection)
    assert answer.count(b"2\0\0\0\4") == 4
    assert b"C54000\0" in answer
    assert b"SELECT 1\0" in answer


def test_an_end_of_the_server_is_told(lake: Path) -> None:
    """To those that wait and to those that run something; nobody is waited for."""
    with contextlib.ExitStack() as stack:
        served = stack.enter_context(serving(lake))
        idle, busy = served.connect(), served.connect()
        found: list[psycopg.Error] = []

        def run() -> None:
            try:
                busy.execute("select count(*) from range(100000000000) t(a) where a % 7 = 3")
            except psycopg.Error as error:
                found.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        until(lambda: busy.info.transaction_status == psycopg.pq.TransactionStatus.ACTIVE)
        stack.close()
        thread.join(10)
        assert [error.sqlstate for error in found] == ["57P01"]
        with pytest.raises(psycopg.errors.AdminShutdown):
            idle.execute("select 1")


def test_newer_protocols_are_negotiated(served: Served) -> None:
    """3.2 and options that are not known: the server says what it speaks, and goes on."""
    body = struct.pack("!i", 3 << 16 | 2) + b"user\0ann\0_pq_.some\x001\0\0"
    with served.raw() as connection:
        connection.sendall(struct.pack("!i", len(body) + 4) + body + QUERY + b"X\0\0\0\4")
        answer = whole(connection)
    assert answer.startswith(b"v" + struct.pack("!iii", 22, 3 << 16, 1) + b"_pq_.some\0R")
    assert b"SELECT 1\0" in answer


def test_errors_are_one_line_with_a_code(served: Served) -> None:
    """As drivers expect them."""
    expected = {
        "select 1 +": "42601",
        "select * from nowhere": "42P01",
        "select nothing from tasks": "42703",
        "select nothing()": "42883",
        "select 'x'::int": "22P02",
        "select 1::nothing": "42704",
        "select * from nowhere.tasks": "42P01",
        "select 300::tinyint": "22003",
        "select step, count(*) from tasks": "42803",
        "show nothing": "42704",
        "set timezone = 'Europe/Berlin'": "22023",
        "fetch 1 from nothing": "34000",
        "deallocate nothing": "26000",
        "savepoint a": "25P01",
        "select current_setting('nothing')": "42704",
    }
    with served.connect() as connection:
        for query, code in expected.items():
            with pytest.raises(psycopg.Error) as failed:
                connection.execute(query)
            assert failed.value.sqlstate == code, (query, failed.value)
            assert "\n" not in (failed.value.diag.message_primary or "\n"), query


def test_nothing_but_sql_errors_come_of_settings() -> None:
    """A value that means nothing is refused by its name."""
    from stepsize.postgres.settings import SessionSettings  # noqa: PLC0415 - of this one test

    settings = SessionSettings("ann", {"application_name": "x", "nothing": "y", "TimeZone": "Europe/Berlin"})
    assert settings.get("timezone") == "UTC"
    for name, value in (("client_encoding", "LATIN1"), ("statement_timeout", "soon"), ("server_version", "1")):
        with pytest.raises(SqlError, match=name):
            settings.set(name, value)
