"""Who may come in: passwords, certificates, files of users; and the command that serves."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import struct
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.errors import UsageError
from stepsize.listening.tls import TlsFiles
from stepsize.listening.users import Verifier, parse_users
from stepsize.postgres import messages, startup
from stepsize.postgres.client import Patience
from stepsize.postgres.errors import FatalError
from stepsize.postgres.scram import Exchange, NotAdmittedError
from stepsize.postgres.serving import Endpoint
from stepsize.postgres.startup import Access
from tests.collector.server.certificates import Authority, needs_openssl
from tests.places import short_directory
from tests.postgres.places import Served, serving
from tests.postgres.raw import STARTUP, is_closed, is_served, until, whole


def test_scram_is_that_of_rfc_7677() -> None:
    """Its example, byte for byte."""
    verifier = Verifier.of("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)
    exchange = Exchange(verifier, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    first = exchange.first(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
    assert first == "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    final = exchange.final(
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    assert final == "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_scram_admits_nobody_by_chance(first: bytes, final: bytes) -> None:
    """Whatever is said."""
    exchange = Exchange(Verifier.mock("ann", b"secret"))
    with contextlib.suppress(NotAdmittedError):
        exchange.first(first)
    with pytest.raises(NotAdmittedError):
        exchange.final(final)


def test_users_are_read_or_the_line_is_named() -> None:
    """And never its content."""
    assert parse_users(f"# people\n\nann:b:{Verifier.of('x', iterations=10)}\n").keys() == {"ann:b"}
    for wrong in ("ann", "ann:md5abcdef", "ann:SCRAM-SHA-256$0:AA==$AA==:AA==", "ann:SCRAM-SHA-256$1:A$A:A", "", "#"):
        with pytest.raises(ValueError, match=r"line 1|no user") as refused:
            parse_users(wrong)
        assert "AA==" not in str(refused.value)


@needs_openssl
def test_passwords_and_tls(lake: Path, tmp_path: Path) -> None:
    """Who has the password comes in, encrypted and checked; nobody else, and nobody is told why; cancelling works."""
    users = tmp_path / "users"
    users.write_text(f"ann:{Verifier.of('pässword')}\n")
    authority = Authority.make(tmp_path)
    pair = authority.sign("endpoint")
    with serving(lake, users=users, tls=TlsFiles(pair.certificate, pair.key)) as served:
        root = {"sslmode": "verify-full", "sslrootcert": str(authority.certificate)}
        secure = {**root, "host": "localhost", "hostaddr": "127.0.0.1"}
        with served.connect(password="pässword", **secure) as connection:
            assert connection.execute("select current_user").fetchone() == ("ann",)
            assert connection.pgconn.ssl_in_use
            assert len(connection.execute("select * from points").fetchall()) == 5000
            timer = threading.Timer(0.2, connection.cancel_safe)
            timer.start()
            with pytest.raises(psycopg.errors.QueryCanceled):
                connection.execute("select count(*) from range(100000000000) t(a) where a % 7 = 3")
            timer.join()
        with served.connect(password="pässword", sslmode="disable") as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        for wrong in ({"password": "other"}, {"password": "pässword", "user": "bob"}):
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                served.connect(**wrong)


@needs_openssl
def test_half_a_handshake_ends_with_its_time(lake: Path, tmp_path: Path) -> None:
    """However it trickles. A certificate that is replaced is that of the next connection, if it is one."""
    authority = Authority.make(tmp_path)
    pair, newer = authority.sign("endpoint"), authority.sign("newer")
    with serving(lake, tls=TlsFiles(pair.certificate, pair.key), patience=Patience(start_s=0.5)) as served:
        with served.raw() as hasty:  # somebody between them may have put the rest there
            hasty.sendall(struct.pack("!ii", 8, 80_877_103) + STARTUP)
            assert b"received unencrypted data" in whole(hasty)
        with served.raw() as trickling:
            trickling.settimeout(0.1)
            trickling.sendall(b"\x16\x03\x01\x02\x00")
            until(lambda: is_closed(trickling, b"\x01"))

        def serial() -> int:
            with socket.create_connection(("127.0.0.1", served.port), timeout=10) as plain:
                context = ssl.create_default_context(cafile=str(authority.certificate))
                context.set_alpn_protocols(["postgresql"])
                with context.wrap_socket(plain, server_hostname="localhost") as encrypted:
                    return int((encrypted.getpeercert() or {})["serialNumber"], 16)  # type: ignore[arg-type]  # a text

        first = serial()
        pair.key.write_text("none")
        until(lambda: any("still used" in line for line in served.said))
        assert serial() == first
        pair.key.write_bytes(newer.key.read_bytes())
        pair.certificate.write_bytes(newer.certificate.read_bytes())
        until(lambda: serial() != first)


def test_a_file_of_users_that_is_emptied_lets_nobody_in(lake: Path, tmp_path: Path) -> None:
    """And says so in words of who connects; whom it names again may."""
    users = tmp_path / "users"
    line = f"ann:{Verifier.of('password')}\n"
    users.write_text(line)

    def enters() -> bool:
        try:
            served.connect(password="password").close()
        except psycopg.OperationalError:
            return False
        return True

    with serving(lake, users=users) as served:
        assert enters()
        users.write_text("")
        until(lambda: not enters())
        assert any("nobody may connect until" in said for said in served.said), served.said
        users.write_text(line)
        until(enters)


def test_beyond_the_loopback_nobody_is_trusted() -> None:
    """The start is refused, and nothing is tried."""
    for host in ("0.0.0.0", "::", "192.168.0.1", "example.com", ""):
        with pytest.raises(UsageError, match=r"--users and --tls-cert"):
            Endpoint(host=host).checked()
        with pytest.raises(UsageError, match=r"that takes --tls-cert"):
            Endpoint(host=host, users=Path("users")).checked()
    for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        Endpoint(host=host).checked()


def test_the_command_serves_until_it_is_told_to_end(lake: Path, tmp_path: Path) -> None:
    """One line says where; SIGTERM ends it well."""
    command = [sys.executable, "-m", "stepsize", "sql", "--serve", "--port", "0", "--data", str(lake)]
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("stepsize sql: postgresql://127.0.0.1:"), line
        assert is_served(Served(lake, int(line.split(":")[3].split("/")[0])))
        process.terminate()
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("arguments", "said", "code", "out"),
    [
        (["--format", "csv"], "select count(*) a, null b, 'x,y' c from tasks", 0, 'a,b,c\n30,,"x,y"\n'),
        (["select nothing from tasks"], "", 1, ""),
        ([], "", 2, ""),
    ],
)
def test_the_command_answers_a_query(
    lake: Path, tmp_path: Path, arguments: list[str], said: str, code: int, out: str
) -> None:
    """Rows on standard output, one line on standard error where there are none to give."""
    with short_directory() as runtime:
        finished = subprocess.run(
            [sys.executable, "-m", "stepsize", "sql", "--data", str(lake), *arguments],
            input=said,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "STEPSIZE_RUNTIME": str(runtime)},
        )
    assert (finished.returncode, finished.stdout) == (code, out), finished.stderr
    assert finished.stderr.count("\n") == (1 if code else 0), finished.stderr


def test_who_has_to_be_encrypted_is_refused_before_the_password() -> None:
    """Beyond the loopback it would be sent in the clear; nothing is asked."""
    asked = messages.Startup(3, 0, {"user": "ann"})
    access = Access(users=lambda: {"ann": Verifier.mock("ann", b"")}, needs_tls=True)
    with pytest.raises(FatalError, match="has to be encrypted") as refused:
        next(startup.begin(asked, access, is_encrypted=False))
    assert refused.value.code == "28000"
    assert next(startup.begin(asked, access, is_encrypted=True)).startswith(b"R")


def test_a_password_becomes_a_users_line(tmp_path: Path) -> None:
    """Read from standard input, never from the command line."""
    finished = subprocess.run(
        [sys.executable, "-m", "stepsize", "sql", "--hash-password", "ann"],
        input="secret\n",
        capture_output=True,
        text=True,
        check=True,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    assert parse_users(finished.stdout).keys() == {"ann"}
