"""Who may send: tokens, passwords, and what those who may not are told."""

from __future__ import annotations

import asyncio
import base64
import http.client
import time
from typing import TYPE_CHECKING

import grpc
import pytest
from google.rpc import status_pb2

from stepsize.collector.access.authenticator import TokenAuthenticator, token_digests
from stepsize.collector.access.passwords import PasswordAuthenticator, parse_htpasswd
from stepsize.collector.components.basicauth_extension import BasicAuthConfig
from stepsize.collector.components.bearertokenauth_extension import BearerTokenAuthConfig
from stepsize.collector.config.language import build
from stepsize.errors import ConfigError, UnavailableError
from stepsize.listening.watched import WatchedFile
from tests.collector.otlp import RequestBuilder, identity
from tests.collector.running import DEADLINE_S, wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.collector.running import Place, RunningCollector

EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"


def config(extension: str, name: str) -> str:
    return f"""
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:0", auth: {{authenticator: {name}}}}}
      http: {{endpoint: "127.0.0.1:0", auth: {{authenticator: {name}}}}}
exporters: {{parquet: {{}}}}
extensions: {{{name}: {extension}}}
service:
  extensions: [{name}]
  pipelines: {{metrics: {{receivers: [otlp], exporters: [parquet]}}}}
"""


def content() -> bytes:
    return RequestBuilder(identity()).gauge("loss", [(time.time_ns(), 1.5)]).content()


def answers(collector: RunningCollector, credentials: str | None) -> tuple[int, grpc.StatusCode]:
    """What HTTP and gRPC answer to the same credentials."""
    more = {} if credentials is None else {"authorization": credentials}
    status, body, headers = collector.post(content(), **more)
    assert (status == 401) == ("www-authenticate" in headers)
    if status == 401:
        assert status_pb2.Status.FromString(body).code == 16
    with grpc.insecure_channel(collector.grpc) as channel:
        try:
            channel.unary_unary(EXPORT)(content(), timeout=DEADLINE_S, metadata=tuple(more.items()))
        except grpc.RpcError as error:
            return status, error.code()
    return status, grpc.StatusCode.OK


YES, NO = (200, grpc.StatusCode.OK), (401, grpc.StatusCode.UNAUTHENTICATED)


def test_tokens_of_a_file(place: Place, tmp_path: Path) -> None:
    """Each token of a file is good over both protocols until it is taken out of it, and nothing else is."""
    file = tmp_path / "tokens"
    file.write_text("first-token\n\n second-token \n")
    collector = place.collect(config(f"{{filename: {file}}}", "bearertokenauth/file"))
    assert answers(collector, "Bearer first-token") == YES
    assert answers(collector, "bearer second-token") == YES
    for wrong in (None, "", "Bearer", "Bearer ", "Bearer first", "first-token", "Basic first-token", "Bearer \xff"):
        assert collector.post(content(), **({} if wrong is None else {"authorization": wrong}))[0] == 401
    assert answers(collector, "Bearer guess") == NO
    assert answers(collector, None) == NO
    file.write_text("third-token\n")
    wait_for(lambda: collector.post(content(), authorization="Bearer third-token")[0] == 200, "the new token")
    assert answers(collector, "Bearer first-token") == NO
    assert answers(collector, "Bearer third-token") == YES


def test_nothing_is_read_of_who_may_not_send(place: Place) -> None:
    """Who has no token is turned away by its headers, before the body is sent."""
    collector = place.collect(config("{token: s3cret-token}", "bearertokenauth"))
    connection = http.client.HTTPConnection(collector.http, timeout=DEADLINE_S)
    connection.putrequest("POST", "/v1/metrics")
    connection.putheader("content-type", "application/json")
    connection.putheader("content-length", str(10 << 20))
    connection.endheaders(b"x" * 1000)
    response = connection.getresponse()
    assert (response.status, response.getheader("content-type")) == (401, "application/json")
    assert response.getheader("www-authenticate") == "Bearer"
    assert b"s3cret" not in response.read()
    connection.close()
    assert answers(collector, "Bearer s3cret-token") == YES
    assert collector.post(content(), authorization="Bearer s3cret-token", expect="100-continue")[0] == 200


def test_users_and_passwords(place: Place) -> None:
    """Basic authentication against inline lines of htpasswd, over both protocols."""
    collector = place.collect(
        config('{htpasswd: {inline: "ada:pass:word\\nbob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="}}', "basicauth")
    )
    assert answers(collector, basic("ada", "pass:word")) == YES
    assert answers(collector, basic("bob", "password")) == YES
    for wrong in (basic("ada", "pass"), basic("bob", "pass:word"), basic("eve", "password"), "Basic %%%", "Bearer x"):
        assert answers(collector, wrong) == NO


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def admits(users: Mapping[str, str], credentials: str) -> bool:
    async def ask() -> bool:
        return await PasswordAuthenticator(lambda: users).admits(credentials)

    return asyncio.run(ask())


def test_salted_hashes() -> None:
    """Salted SHA-1 is checked with its salt; a user without a password cannot sign in with an empty one."""
    users = parse_htpasswd("# who may send\n\nada:{SSHA}W4WoA7fjJPIQ61LIYXhI4bzTPlExMjM0\n")
    assert admits(users, basic("ada", "letmein"))
    for user, password in (("ada", ""), ("", ""), ("ada", "letmeout")):
        assert not admits(users, basic(user, password))


def test_bcrypt() -> None:
    """bcrypt hashes, as `htpasswd -B` makes them, are checked where the package is there; many at once have to wait."""
    pytest.importorskip("bcrypt", reason="an optional package")
    users = parse_htpasswd("ada:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW")
    assert admits(users, basic("ada", "U*U"))
    assert not admits(users, basic("ada", "U*U*"))
    assert not admits(users, basic("eve", "U*U"))

    async def flood() -> list[object]:
        authenticator = PasswordAuthenticator(lambda: users)
        guesses = (authenticator.admits(basic("ada", str(number))) for number in range(100))
        return await asyncio.gather(*guesses, return_exceptions=True)

    outcomes = asyncio.run(flood())
    assert {type(outcome) for outcome in outcomes} == {bool, UnavailableError}
    assert not any(outcome is True for outcome in outcomes)


def test_who_was_admitted_is_known_until_the_password_changes() -> None:
    """The same credentials are good again at once, and no more when their user's hash is another one."""

    async def scenario() -> None:
        users = {"ada": "one"}
        authenticator = PasswordAuthenticator(lambda: users)
        assert await authenticator.admits(basic("ada", "one"))
        assert await authenticator.admits(basic("ada", "one"))
        users["ada"] = "two"
        assert not await authenticator.admits(basic("ada", "one"))
        assert await authenticator.admits(basic("ada", "two"))
        del users["ada"]
        users["bob"] = "two"
        assert not await authenticator.admits(basic("ada", "two"))

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("secret-without-a-user", "line 1: expected USER:HASH"),
        (":secret", "line 1: expected USER:HASH"),
        ("ada:$apr1$secret$x", "line 1: Apache's MD5 hashes ($apr1$) are not supported; make a bcrypt one"),
        ("ada:$6$secret$x", "SHA-512 crypt"),
        ("ada:{SHA}c2VjcmV0", "line 1: the hash is cut off"),
        ("# nobody", "no user in it"),
    ],
)
def test_lines_that_are_not_understood(line: str, said: str) -> None:
    """They are refused by their number and the name of their hash, and nothing of them is shown."""
    with pytest.raises(ValueError, match=r"line|no user") as refused:
        parse_htpasswd(line)
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "section", "said"),
    [
        (BearerTokenAuthConfig, {}, "no bearer token provided"),
        (BearerTokenAuthConfig, {"token": "  "}, "no bearer token provided"),
        (BearerTokenAuthConfig, {"token": "s3cret", "tokens": ["s3cret"]}, "either tokens or token"),
        (BearerTokenAuthConfig, {"tokens": "s3cret"}, "expected a list of tokens"),
        (BearerTokenAuthConfig, {"tokens": [["s3cret"]]}, "expected text"),
        (BasicAuthConfig, {}, "give one of htpasswd"),
        (BasicAuthConfig, {"htpasswd": {}}, "give file or inline"),
        (BasicAuthConfig, {"client_auth": {"username": "ada"}}, "password is needed"),
    ],
)
def test_wrong_sections(kind: type[object], section: dict[str, object], said: str) -> None:
    """What cannot work is said without the secrets in it."""
    with pytest.raises(ConfigError) as refused:
        build(kind, section, "extensions.x")
    assert said in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_secrets_are_not_shown() -> None:
    """A configuration that is printed shows no secret."""
    shown = [
        build(BearerTokenAuthConfig, {"tokens": ["s3cret"]}, "x"),
        build(BasicAuthConfig, {"htpasswd": {"inline": "ada:s3cret"}}, "x"),
        build(BasicAuthConfig, {"client_auth": {"username": "ada", "password": "s3cret"}}, "x"),
    ]
    assert "s3cret" not in repr(shown) + str(shown)


def test_unknown_authenticators_end_the_start(place: Place, tmp_path: Path) -> None:
    """A receiver whose authenticator is no extension that is used does not serve without one."""
    file = tmp_path / "config.yaml"
    file.write_text(config("{token: x}", "bearertokenauth").replace("extensions: [bearertokenauth]", "extensions: []"))
    process = place.spawn("--config", str(file), "--data", str(place.settings.data))
    assert process.stderr
    (line,) = process.stderr.read().decode().splitlines()
    assert process.wait(DEADLINE_S) == 2
    assert "'bearertokenauth' is no extension in service.extensions" in line


def test_files_that_close(tmp_path: Path) -> None:
    """A file of tokens that stays empty or gone lets nobody in; that an editor empties it first changes nothing."""
    file = tmp_path / "tokens"
    file.write_text("one")
    now_s = 0.0
    told: list[str] = []
    made = WatchedFile(file, lambda text: token_digests(text.splitlines()), told.append, lambda: now_s, closes=True)
    authenticator = TokenAuthenticator(made.get, "Bearer", "X-Token")
    assert authenticator.header == "x-token"

    def is_good(token: str) -> bool | None:
        """None: nobody can say."""
        nonlocal now_s
        now_s += 2.0
        try:
            return asyncio.run(authenticator.admits(f"Bearer {token}"))
        except UnavailableError:
            return None

    assert is_good("one")
    for end in (file.unlink, lambda: file.write_text(" \n")):
        file.write_text("")
        assert is_good("one")  # for a moment
        file.write_text("two")
        assert [is_good("one"), is_good("two")] == [False, True]
        assert told == []
        end()
        assert [is_good("two") for _ in range(4)] == [True, None, None, None]
        (line,) = told
        assert line.endswith("nobody may send until somebody is named in it")
        assert str(file) in line
        file.write_bytes(b"\xff")
        assert is_good("two") is None
        assert told.pop().endswith("still nobody may send")
        file.write_text("one")
        assert [is_good("one"), is_good("two")] == [True, False]
        told.clear()
    file.write_bytes(b"\xff")
    assert is_good("one")
    assert told == [f"{file}: it is not UTF-8 text; what it said before still holds"]


def test_nobody_is_let_in_by_an_emptied_file(place: Place, tmp_path: Path) -> None:
    """Tokens that were taken out of their file are good no more, over both protocols; clients keep what they have."""
    file = tmp_path / "tokens"
    file.write_text("one")
    collector = place.collect(config(f"{{filename: {file}}}", "bearertokenauth"))
    assert answers(collector, "Bearer one") == YES
    file.write_text("")
    wait_for(lambda: answers(collector, "Bearer one") == (503, grpc.StatusCode.UNAVAILABLE), "nobody is let in")
    file.write_text("two")
    wait_for(lambda: answers(collector, "Bearer two") == YES, "the new token")
    assert answers(collector, "Bearer one") == NO


def test_a_bad_file_changes_nothing(tmp_path: Path) -> None:
    """While a file that does not close is gone or empty, what it said last holds; when it is back, its own does."""
    file = tmp_path / "tokens"
    file.write_text("one")
    now_s = 0.0
    told: list[str] = []
    made = WatchedFile(file, lambda text: token_digests(text.splitlines()), told.append, lambda: now_s)
    one, three = token_digests(["one"]), token_digests(["three"])

    def later() -> tuple[bytes, ...]:
        nonlocal now_s
        now_s += 2.0
        return made.get()

    file.unlink()
    assert later() == one
    assert told == [f"cannot read {file}: No such file or directory; what it said before still holds"]
    file.write_text("\n")
    assert [later(), later()] == [one, one]
    assert told[1:] == [f"{file}: no token in it; what it said before still holds"]
    file.write_text("three")
    assert later() == three
    assert len(told) == 2
    with pytest.raises(ConfigError, match="cannot read"):
        WatchedFile(tmp_path / "nowhere", str)
