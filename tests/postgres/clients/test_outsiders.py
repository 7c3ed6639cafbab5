"""Those who may not come in, and those who would disturb others: what they send, as bytes."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from stepsize.listening.users import Verifier
from tests.postgres.places import Served, serving

PROTOCOL = 196_608
CANCEL = 80_877_102
SASL, SASL_CONTINUE = 10, 11
SLOW = "select count(*) from range(100000000000) t(a) where a % 7 = 3"


@pytest.fixture(scope="module")
def closed(lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An endpoint that asks for a password."""
    users = tmp_path_factory.mktemp("users") / "users"
    users.write_text(f"ann:{Verifier.of('secret')}\n")
    with serving(lake, users=users) as endpoint:
        yield endpoint


def begin(served: Served, user: str = "ann") -> socket.socket:
    """A connection on which the start was sent."""
    said = struct.pack("!I", PROTOCOL) + f"user\0{user}\0database\0stepsize\0\0".encode()
    connection = served.raw()
    connection.sendall(struct.pack("!I", len(said) + 4) + said)
    return connection


def message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!I", len(content) + 4) + content


def take(connection: socket.socket) -> tuple[bytes, bytes]:
    """Kind and content of the next message; empty where the connection ended."""
    head = _exactly(connection, 5)
    return (head[:1], _exactly(connection, struct.unpack("!I", head[1:])[0] - 4)) if head else (b"", b"")


def _exactly(connection: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count and (more := connection.recv(count - len(found))):
        found += more
    return found


def initial(mechanism: bytes, said: bytes) -> bytes:
    return message(b"p", mechanism + b"\0" + struct.pack("!I", len(said)) + said)


ANSWERS = {
    "the password itself": message(b"p", b"secret\0"),
    "the password as md5": message(b"p", b"md5" + b"0" * 32 + b"\0"),
    "a weaker mechanism": initial(b"PLAIN", b"\0ann\0secret"),
    "another mechanism": initial(b"SCRAM-SHA-1", b"n,,n=,r=abc"),
    "one that was not offered": initial(b"SCRAM-SHA-256-PLUS", b"p=tls-unique,,n=,r=abc"),
    "binding that was not offered": initial(b"SCRAM-SHA-256", b"p=tls-unique,,n=,r=abc"),
    "another's name": initial(b"SCRAM-SHA-256", b"n,a=bob,n=,r=abc"),
    "no answer but a query": message(b"Q", b"select * from tasks\0"),
    "no answer but a sync": message(b"S", b""),
    "nothing": message(b"p", b""),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_nothing_but_scram_is_taken(closed: Served, answer: bytes) -> None:
    """One mechanism is offered; whoever answers with another, or not at all, is told no row and sent away."""
    with begin(closed) as connection:
        kind, content = take(connection)
        assert (kind, content) == (b"R", struct.pack("!I", SASL) + b"SCRAM-SHA-256\0\0")
        connection.sendall(answer)
        kind, content = take(connection)
        assert kind == b"E", (kind, content)
        assert b"SFATAL" in content
        assert take(connection) == (b"", b"")


PROOFS: dict[str, Callable[[bytes], bytes]] = {
    "no proof": lambda nonce: b"c=biws,r=" + nonce,
    "an empty proof": lambda nonce: b"c=biws,r=" + nonce + b",p=",
    "zeros": lambda nonce: b"c=biws,r=" + nonce + b",p=" + b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "another nonce": lambda _: b"c=biws,r=abc,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
}


@pytest.mark.parametrize("proof", PROOFS)
@pytest.mark.parametrize("user", ["ann", "nobody"])
def test_a_wrong_proof_admits_nobody(closed: Served, user: str, proof: str) -> None:
    """And those who have no password here are asked as those who have one."""
    with begin(closed, user) as connection:
        take(connection)
        connection.sendall(initial(b"SCRAM-SHA-256", b"n,,n=,r=abc"))
        kind, content = take(connection)
        assert (kind, content[:4]) == (b"R", struct.pack("!I", SASL_CONTINUE))
        asked = dict(part.split(b"=", 1) for part in content[4:].split(b","))
        assert asked[b"r"].startswith(b"abc")
        assert asked[b"i"] == b"4096"
        connection.sendall(message(b"p", PROOFS[proof](asked[b"r"])))
        kind, content = take(connection)
        assert (kind, b"SFATAL" in content) == (b"E", True)
        assert take(connection) == (b"", b"")


def test_a_guessed_key_cancels_nothing(served: Served) -> None:
    """Nor does one of another length, nor another connection's own."""
    with served.connect() as victim, served.connect() as other:
        ended: list[str | None] = []

        def run() -> None:
            with pytest.raises(psycopg.Error) as failed:
                victim.execute(SLOW)
            ended.append(failed.value.sqlstate)

        running = threading.Thread(target=run)
        running.start()
        process = victim.info.backend_pid
        keys = [*(struct.pack("!I", number) for number in range(50)), *(os.urandom(4) for _ in range(50))]
        for key in (*keys, b"", b"\0", os.urandom(32), os.urandom(250)):
            with served.raw() as connection:
                said = struct.pack("!II", CANCEL, process) + key
                connection.sendall(struct.pack("!I", len(said) + 4) + said)
                while connection.recv(1024):
                    pass
        other.cancel_safe()
        assert not ended
        victim.cancel_safe()
        running.join(20)
        assert ended == ["57014"]
        assert other.execute("select 1").fetchone() == (1,)


def test_who_reads_nothing_holds_up_nobody(served: Served) -> None:
    """A result that is not read waits, while others are answered."""
    with begin(served) as slow, served.connect() as other:
        kind = b""
        while kind != b"Z":
            kind, _ = take(slow)
        slow.sendall(message(b"Q", b"select a.*, b.value from points a, points b\0"))
        assert take(slow)[0] == b"T"
        assert other.execute("select count(*) from tasks").fetchone() == (30,)
