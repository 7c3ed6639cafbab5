"""What a Prometheus may answer besides series: refusals, parts, what is no answer; who asks, and what of it is told."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stepsize.collector.imports.prometheus import Server
from stepsize.errors import PermanentError
from tests.collector.server.certificates import Authority, needs_openssl
from tests.imports.conftest import Place

NOTHING = {"status": "success", "data": {"resultType": "vector", "result": []}}


def vector(*found: object) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "vector", "result": list(found)}}


@dataclass
class Answering:
    """A server that says the same to everybody; who asked is kept."""

    port: int = 0
    scheme: str = "http"
    asked: list[str | None] = field(default_factory=list)

    def url(self, login: str = "") -> str:
        return f"{self.scheme}://{login}127.0.0.1:{self.port}"


@contextlib.contextmanager
def answering(status: int, said: object, location: str = "", tls: ssl.SSLContext | None = None) -> Iterator[Answering]:
    kept = Answering(scheme="https" if tls else "http")
    body = said if isinstance(said, bytes) else json.dumps(said).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.asked.append(self.headers["Authorization"])
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if location:
                self.send_header("Location", location)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        kept.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield kept
        finally:
            server.shutdown()
            thread.join()


def refused(place: Place, url: str, **more: str) -> str:
    """The line that a command that failed said."""
    done = place.run("import", "prometheus", url, "--since", "1h", **more)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not place.data.exists()
    return done.stderr


NO_ANSWERS = [
    *(b"<html>Log in", b"", [], {"status": "success"}, {"status": "success", "data": None}),
    {"status": "success", "data": {"resultType": "matrix", "result": []}},
    {"status": "success", "data": {"resultType": "vector", "result": None}},
    *map(vector, (None, {"metric": {}}, {"metric": {}, "value": [1]}, {"metric": {}, "value": [1, "much"]})),
    vector({"metric": "m", "value": [1, "1"]}),
]


def test_what_is_no_answer() -> None:
    """Never another error."""
    for said in NO_ANSWERS:
        with answering(200, said) as server, pytest.raises(PermanentError, match="does not answer as Prometheus"):
            list(Server(server.url(), None).vector("up", 0.0))


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (401, b"Unauthorized", "refuses access (401 Unauthorized); put its bearer token in PROMETHEUS_TOKEN"),
        (422, {"status": "error", "error": "too many samples"}, "too many samples; give a shorter --window"),
        (200, b"<html>Log in", "does not answer as Prometheus: 200 OK"),
        (503, b"<html>\n" * 100, "cannot answer now: 503 Service Unavailable; try again"),
        (200, NOTHING | {"warnings": ["store s1 is away"]}, "answers only a part: ['store s1 is away']"),
    ],
)
def test_what_is_refused(place: Place, status: int, said: object, expected: str) -> None:
    """Why, and what to do; of a part of the series no peak could be told."""
    with answering(status, said) as server:
        assert expected in refused(place, server.url())


def test_another_address_is_told_not_asked(place: Place) -> None:
    """The token is for the one that was named."""
    with answering(200, NOTHING) as other, answering(302, b"", f"{other.url()}/elsewhere") as server:
        assert f"sends elsewhere: {other.url()}/elsewhere" in refused(place, server.url(), PROMETHEUS_TOKEN="word")
    assert other.asked == []


def test_who_asks(place: Place) -> None:
    """The token goes before the name and password of the address, these before none; ~/.netrc is not looked into."""
    netrc = place.home / ".netrc"
    netrc.write_text("machine 127.0.0.1 login home password private\n")
    netrc.chmod(0o600)
    login = f"Basic {base64.b64encode(b'ann:se cret').decode()}"
    with answering(200, NOTHING) as server:
        for url, token, expected in (
            (server.url(), "word\n", "Bearer word"),
            (server.url("ann:se%20cret@"), "word", "Bearer word"),
            (server.url("ann:se%20cret@"), "", login),
        ):
            server.asked.clear()
            place.imported("prometheus", url, "--since", "1h", PROMETHEUS_TOKEN=token)
            assert set(server.asked) == {expected}


def test_no_message_tells_a_password_or_token(place: Place) -> None:
    """Neither where the server refuses, nor where nobody is there, nor where the address or the token is none."""
    with answering(401, b"") as server:
        gone = server.url("ann:secret@")
        assert "secret" not in refused(place, gone)
        assert "secret" not in refused(place, gone, PROMETHEUS_TOKEN="secret")
    said = "does not answer: Failed to establish a new connection: [Errno 111] Connection refused"
    assert refused(place, gone) == f"stepsize: {server.url()}/api/v1/query {said}\n"
    for url, token in (("http://ann:secret@", ""), (gone, "sec ret\nHost: secret"), (gone, "secret\u2603")):
        done = place.run("import", "prometheus", url, "--since", "1h", PROMETHEUS_TOKEN=token)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
        assert "secret" not in done.stderr


@pytest.mark.parametrize(
    "url", ["127.0.0.1:9090", "http://", "http://:9", "http://[::1", "http://a b/", "http://h:99999", "http://h/?x=1"]
)
def test_what_is_no_address(place: Place, url: str) -> None:
    """Said before anybody is asked."""
    done = place.run("import", "prometheus", url, "--since", "1h")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "no address" in done.stderr


@needs_openssl
def test_certificates_are_checked(place: Place, tmp_path: Path) -> None:
    """One of an authority that nobody knows is refused; whose file the environment names is known."""
    authority = Authority.make(tmp_path)
    pair = authority.sign("prometheus")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with answering(200, NOTHING, tls=context) as server:
        assert "is not who it should be" in (said := refused(place, server.url()))
        assert "REQUESTS_CA_BUNDLE" in said
        assert server.asked == []
        known = {"REQUESTS_CA_BUNDLE": str(authority.certificate)}
        assert place.imported("prometheus", server.url(), "--since", "1h", **known)["added"] == 0
