"""The extension ``postgres_wire``: a running collector's lake over the wire of Postgres, and what never harms it."""

from __future__ import annotations

import contextlib
import http.client
import re
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest

from stepsize.collector.config.service import default_text, parse
from stepsize.collector.server.validate import check_files
from stepsize.errors import ConfigError
from stepsize.listening.users import Verifier
from tests.collector.otlp import RequestBuilder, identity
from tests.collector.running import DEADLINE_S, is_gone, place_in, wait_for
from tests.collector.server.certificates import Authority, needs_openssl
from tests.collector.server.shown import metrics_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.collector.running import Place, RunningCollector


OPERATIONS = (Path(__file__).parents[2] / "docs/operations.md").read_text("utf-8")
SERIES = 'stepsize_sql_{}{{extension="postgres_wire"}}'


def config(sql: str = "", extensions: str = "postgres_wire, health_check") -> str:
    return f"""
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:0"}}}}}}}}
exporters: {{parquet: {{}}}}
extensions: {{postgres_wire: {{{sql}}}, health_check: {{endpoint: "127.0.0.1:0"}}}}
service: {{extensions: [{extensions}], pipelines: {{metrics: {{receivers: [otlp], exporters: [parquet]}}}}}}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@dataclass
class Serving:
    """A collector whose lake is served on a port that stays."""

    collector: RunningCollector
    port: int
    temporary: Path

    @property
    def conninfo(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=ann dbname=stepsize connect_timeout=20"

    def ask(self, query: str, conninfo: str = "") -> list[tuple[object, ...]]:
        with psycopg.connect(conninfo or self.conninfo, autocommit=True) as connection:
            return connection.execute(query).fetchall()

    def children(self) -> list[psutil.Process]:
        found = psutil.Process(self.collector.process.pid).children()
        return [one for one in found if "stepsize.commands.sql_child" in one.cmdline()]

    def child(self) -> psutil.Process:
        (one,) = wait_for(self.children, "the endpoint's process")
        return one

    def send(self, *values: float) -> None:
        request = RequestBuilder(identity()).gauge("loss", [(10**18 + at, value) for at, value in enumerate(values)])
        assert self.collector.post(request.content())[0] == 200

    def ready(self) -> tuple[int, str]:
        address = re.search(r"health check on ([\d.:]+)", self.collector.line)
        assert address, self.collector.line
        with contextlib.closing(http.client.HTTPConnection(address[1], timeout=DEADLINE_S)) as connection:
            connection.request("GET", "/ready")
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def change(self, text: str) -> None:
        """Have the collector read another configuration."""
        (self.collector.place.home / "config.yaml").write_text(text)
        self.collector.process.send_signal(signal.SIGHUP)


def begun(place: Place, temporary: Path) -> Serving:
    """A collector that serves its lake, with room for what does not fit in memory in ``temporary``."""
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(temporary))
        return Serving(place.collect(config(at(port))), port, temporary)


def at(port: int, more: str = "") -> str:
    return f'endpoint: "127.0.0.1:{port}"{more}'


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with place_in(tmp_path_factory.mktemp("home")) as place:
        yield begun(place, tmp_path_factory.mktemp("temporary"))


def test_a_point_is_read(serving: Serving) -> None:
    """What was sent over OTLP is a row, at the address that the collector says; it writes nothing."""
    assert f"SQL on postgresql://127.0.0.1:{serving.port}/stepsize" in serving.collector.line
    serving.send(1.5, 2.5)
    serving.collector.flush()
    assert serving.ask("select metric, value from points where value = 2.5") == [("loss", 2.5)]
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        serving.ask("delete from points")


def test_one_that_is_killed_comes_back_and_points_are_taken_meanwhile(serving: Serving) -> None:
    """Who connects in between waits for the next one; a process that hangs or is gone delays no point."""
    child = serving.child()
    wait_for(lambda: metrics_of(serving.collector.place)[SERIES.format("up")] == 1, "it serves")
    if sys.platform == "linux":
        assert Path(f"/proc/{child.pid}/oom_score_adj").read_text() == "1000\n"
        assert child.nice() > psutil.Process(serving.collector.process.pid).nice()
    restarts = metrics_of(serving.collector.place)[SERIES.format("restarts")]
    with psycopg.connect(serving.conninfo) as connection:
        wait_for(lambda: metrics_of(serving.collector.place)[SERIES.format("clients")] == 1, "a client")
        child.suspend()
        serving.send(3.5)
        child.kill()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
    told = wait_for(lambda: found if "beside" in (found := serving.ready())[1] else None, "a word on it")
    assert told[0] == 200
    assert "extensions.postgres_wire" in told[1]
    serving.send(4.5)
    assert serving.ask("select 1") == [(1,)]
    assert serving.child().pid != child.pid
    metrics = metrics_of(serving.collector.place)
    assert (metrics[SERIES.format("up")], metrics[SERIES.format("restarts")]) == (1, restarts + 1)
    assert metrics[SERIES.format("memory_rss")] > 50 << 20
    told = set(re.findall(r"^\| `(stepsize_sql_\w+)` \| \w+ \| ", OPERATIONS, re.MULTILINE))
    assert told == {name.partition("{")[0] for name in metrics if name.startswith("stepsize_sql_")}
    assert serving.ready() == (200, '{"status": "ready"}')


@needs_openssl
def test_a_changed_one_is_replaced_and_an_equal_one_stays(serving: Serving, tmp_path: Path) -> None:
    """By its key; clients of one that stays notice nothing, and the port is never anybody else's."""
    child, other = serving.child(), free_port()
    serving.ask("select 1")
    more = config(at(serving.port), "postgres_wire, health_check, health_check/b").replace(
        "health_check: {", f'health_check/b: {{endpoint: "127.0.0.1:{other}"}}, health_check: {{', 1
    )
    with psycopg.connect(serving.conninfo) as connection:
        serving.change(more)
        wait_for(lambda: _listens(other), "the part that is new")
        assert connection.execute("select 1").fetchone() == (1,)
    assert serving.child().pid == child.pid

    pair = Authority.make(tmp_path).sign("endpoint")
    users = tmp_path / "users"
    users.write_text(f"ann:{Verifier.of('secret')}\n")
    files = f", users_file: {users}, tls: {{cert_file: {pair.certificate}, key_file: {pair.key}}}"
    serving.change(config(at(serving.port, files)))
    wait_for(lambda: is_gone(child), "the end of the one before")
    secret = f"{serving.conninfo} sslmode=verify-full sslrootcert={tmp_path}/authority.pem password="
    assert serving.ask("select current_user", f"{secret}secret") == [("ann",)]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        serving.ask("select 1", f"{secret}other")

    serving.change(config(at(serving.port), "health_check"))
    wait_for(lambda: not _listens(serving.port), "the end of listening")
    assert serving.children() == []
    assert list(serving.temporary.iterdir()) == []
    assert SERIES.format("up") not in metrics_of(serving.collector.place)
    serving.change(config(at(serving.port)))
    wait_for(lambda: _listens(serving.port), "a listener again")
    assert serving.ask("select 1") == [(1,)]


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_its_collector(place: Place, tmp_path: Path, how: signal.Signals) -> None:
    """However that ends: clients are told, and nothing is left."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    serving = begun(place, temporary)
    with psycopg.connect(serving.conninfo) as connection:
        child = serving.child()
        serving.collector.process.send_signal(how)
        wait_for(lambda: is_gone(child), "its end")
        with pytest.raises(psycopg.errors.AdminShutdown):
            connection.execute("select 1")
    assert serving.collector.process.wait(DEADLINE_S) == (0 if how is signal.SIGTERM else -signal.SIGKILL)
    assert list(temporary.iterdir()) == []
    assert not _listens(serving.port)


def test_nobody_else_listens_there(place: Place) -> None:
    """A port in use is told at the start by its key, as everybody's is."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (place.home / "config.yaml").write_text(config(at(taken.getsockname()[1])))
        process = place.spawn("--config", str(place.home / "config.yaml"), "--data", str(place.settings.data))
        _, said = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert "change extensions.postgres_wire.endpoint" in said.decode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (config('endpoint: "0.0.0.0:5433"'), "that takes users_file and tls, too"),
        (config('endpoint: ":5433", users_file: u'), "that takes tls, too"),
        (config('endpoint: "db.example:5433", tls: {cert_file: c, key_file: k}'), "that takes users_file, too"),
        (config("memory: 1MiB"), "memory must be 64MiB at least"),
        (config("timeout: 0s"), "timeout must be above 0"),
        (config("max_connections: 0"), "max_connections must be from 1 to 10000"),
        (config('endpoint: "127.0.0.1:13133"').replace('"127.0.0.1:0"}}', '"127.0.0.1:13133"}}'), "is the address of"),
        (config().replace("parquet", "debug"), "service.extensions: postgres_wire serves the lake, and a relay keeps"),
    ],
)
def test_what_is_refused_in_one_line(text: str, said: str) -> None:
    """When the configuration is read: what lets in whoever comes, what cannot work, what has no lake."""
    with pytest.raises(ConfigError) as refused:
        parse(text, "c", {})
    assert said in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_files_are_checked_before_anybody_is_asked_to_end(tmp_path: Path) -> None:
    """`--validate` and a start read the users and the certificate."""
    users = tmp_path / "users"
    with pytest.raises(ConfigError, match=rf"extensions.postgres_wire.users_file: cannot read {users}"):
        check_files(parse(config(f"users_file: {users}"), "c", {}))
    users.write_text("ann:secret\n")
    with pytest.raises(
        ConfigError, match=r"postgres_wire.users_file: .*line 1: expected USER:SCRAM-SHA-256"
    ) as refused:
        check_files(parse(config(f"users_file: {users}"), "c", {}))
    assert "secret" not in str(refused.value)
    with pytest.raises(ConfigError, match=r"extensions.postgres_wire.tls: cannot read"):
        check_files(parse(config(f"tls: {{cert_file: {tmp_path}/c, key_file: {tmp_path}/k}}"), "c", {}))
    users.write_text(f"ann:{Verifier.of('secret')}\n")
    check_files(parse(config(f"users_file: {users}"), "c", {}))


def test_nobody_who_has_not_asked_serves_it() -> None:
    """An embedded collector has the shipped configuration, which names no extension."""
    assert not parse(default_text(), "c", {}).extensions
