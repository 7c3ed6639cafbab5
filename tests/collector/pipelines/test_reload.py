"""SIGHUP: another configuration, with nothing lost and nobody cut off who need not be."""

from __future__ import annotations

import contextlib
import http.client
import queue
import re
import signal
import socket
import threading
from typing import TYPE_CHECKING

import grpc
import pytest

from tests.collector.pipelines.backend import Backend
from tests.collector.pipelines.logs import request
from tests.collector.running import DEADLINE_S, Place, RunningCollector, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator


class Changing:
    """A collector whose configuration is changed while it runs."""

    def __init__(self, place: Place, config: str) -> None:
        self.place = place
        self.collector: RunningCollector = place.collect(config)
        self._lines: queue.Queue[str] = queue.Queue()
        assert self.collector.process.stderr
        threading.Thread(target=self._read, args=(self.collector.process.stderr,), daemon=True).start()

    def change(self, config: str, said: str = "the configuration was read again") -> str:
        """Have it read ``config``; the line that says what came of it."""
        (self.place.home / "config.yaml").write_text(config)
        self.collector.process.send_signal(signal.SIGHUP)
        while said not in (line := self._lines.get(timeout=DEADLINE_S)):
            pass
        return line

    def _read(self, pipe: object) -> None:
        with contextlib.suppress(ValueError):  # closed at the end of the test
            for line in pipe:  # type: ignore[attr-defined]  # a pipe
                self._lines.put(line.decode())


@pytest.fixture
def backend() -> Iterator[tuple[Backend, int]]:
    made = Backend()
    with made.http() as server:
        yield made, server.server_port


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def config(http: str = '"127.0.0.1:0"', exporters: str = "parquet: {}", **more: str) -> str:
    pipelines = more.get("pipelines") or (
        "metrics: {receivers: [otlp], exporters: [" + ", ".join(re.findall(r"(?:^|, )([a-z]+): ", exporters)) + "]}"
    )
    return f"""
receivers: {{otlp: {{protocols: {{http: {{endpoint: {http}{more.get("settings", "")}}}{more.get("grpc", "")}}}}}}}
processors: {{batch: {{timeout: {more.get("timeout", "200ms")}}}}}
exporters: {{{exporters}}}
service: {{pipelines: {{{pipelines}}}}}
"""


def test_unchanged_listeners_keep_connections(place: Place, backend: tuple[Backend, int]) -> None:
    """A connection to a listener that is as before serves on, over gRPC's server too, and goes the new way."""
    taken, port = backend
    both = ', grpc: {endpoint: "127.0.0.1:0"}'
    changing = Changing(place, config(grpc=both))
    connection = http.client.HTTPConnection(changing.collector.http, timeout=DEADLINE_S)
    with contextlib.closing(connection):
        connection.connect()
        before = connection.sock.getsockname()

        def post(value: float) -> int:
            connection.request("POST", "/v1/metrics", request(value), {"content-type": "application/x-protobuf"})
            response = connection.getresponse()
            response.read()
            return response.status

        assert post(1.0) == 200
        line = changing.change(
            config(grpc=both, exporters=f'parquet: {{}}, otlphttp: {{endpoint: "http://127.0.0.1:{port}"}}')
        )
        assert changing.collector.http in line
        assert changing.collector.grpc in line
        assert post(2.0) == 200
        assert connection.sock.getsockname() == before
    wait_for(lambda: taken.values() == [2.0], "what came since, and nothing from before")
    changing.collector.flush()
    assert place.rows("SELECT value FROM points ORDER BY value") == [(1.0,), (2.0,)]


def test_changed_grpc(place: Place) -> None:
    """gRPC with other settings is served anew on the same address."""
    address = f"127.0.0.1:{free_port()}"
    changing = Changing(place, config(grpc=f', grpc: {{endpoint: "{address}", max_recv_msg_size_mib: 1}}'))
    large = request(*map(float, range(100_000)))

    def export() -> grpc.StatusCode:
        with grpc.insecure_channel(address) as channel:
            call = channel.unary_unary("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export")
            try:
                call(large, timeout=DEADLINE_S, wait_for_ready=True)
            except grpc.RpcError as error:
                return error.code()
            return grpc.StatusCode.OK

    assert export() is grpc.StatusCode.RESOURCE_EXHAUSTED
    changing.change(config(grpc=f', grpc: {{endpoint: "{address}", max_recv_msg_size_mib: 20}}'))
    assert export() is grpc.StatusCode.OK


def test_changed_listener_keeps_its_socket(place: Place) -> None:
    """Where a listener's settings change and its address does not, nobody who connects meanwhile is turned away."""
    address = f"127.0.0.1:{free_port()}"
    changing = Changing(place, config(http=f'"{address}"'))
    failures: list[BaseException] = []
    done = threading.Event()
    sent = []

    def client() -> None:
        while not done.is_set():
            connection = http.client.HTTPConnection(address, timeout=DEADLINE_S)
            try:
                with contextlib.closing(connection):
                    value = float(len(sent))
                    connection.request("POST", path[0], request(value), {"content-type": "application/x-protobuf"})
                    response = connection.getresponse()
                    response.read()
                    if response.status == 200:
                        sent.append(value)
            except ConnectionRefusedError as error:
                failures.append(error)
            except (http.client.HTTPException, OSError):
                pass  # a connection that was open when its server went; it is sent again

    path = ["/v1/metrics"]
    thread = threading.Thread(target=client)
    thread.start()
    try:
        for number in range(3):
            path[0] = f"/other/{number}"
            changing.change(config(http=f'"{address}"', settings=f", metrics_url_path: {path[0]}"))
            came = len(sent)
            wait_for(lambda came=came: len(sent) > came, "a request that the new server took")
    finally:
        done.set()
        thread.join()
    assert failures == []
    changing.collector.flush()
    assert place.rows("SELECT count(DISTINCT value) FROM points") == [(len(sent),)]


WRONG = [
    ("receivers: [", "not valid YAML"),
    (config(exporters="parquet: {}, kafka: {}"), "unknown type 'kafka'"),
    (config(exporters="parquet: {directory: /elsewhere/x, state_directory: /elsewhere/y}"), "cannot change while"),
    (config(exporters="debug: {}"), "whether there is a parquet exporter cannot change while"),
    (config(http='"203.0.113.1:1"'), "cannot listen on 203.0.113.1:1"),
    (config(exporters='parquet: {}, file: {path: "/nowhere/x/y"}'), "cannot write to /nowhere/x/y"),
    (config(exporters='parquet: {}, prometheus: {endpoint: "203.0.113.1:1"}'), "cannot listen on 203.0.113.1:1"),
]


def test_wrong_configuration(place: Place, backend: tuple[Backend, int]) -> None:
    """A configuration that is wrong changes nothing, and a line says what is wrong and that the old one goes on."""
    taken, port = backend
    changing = Changing(place, config(exporters=f'parquet: {{}}, otlphttp: {{endpoint: "http://127.0.0.1:{port}"}}'))
    expected = []
    for number, (changed, said) in enumerate(WRONG):
        assert said in changing.change(changed, "the configuration from before goes on")
        assert changing.collector.post(request(float(number)))[0] == 200
        expected.append(float(number))
        wait_for(lambda: sorted(taken.values()) == expected, "the point where points went before")
    changing.collector.flush()
    assert place.rows("SELECT value FROM points ORDER BY value") == [(value,) for value in expected]


def test_nothing_is_lost_over_changes(place: Place, backend: tuple[Backend, int]) -> None:
    """An exporter that moves to another pipeline sends what it still had; one that goes says what it gives up.

    What came while it was elsewhere, before it had finished here, is in both logs: that may go twice.
    """
    taken, port = backend
    taken.always = (503, {}, b"")
    retry = "retry_on_failure: {initial_interval: 20ms, max_interval: 100ms}"
    exporters = f'parquet: {{}}, otlphttp: {{endpoint: "http://127.0.0.1:{port}", {retry}}}'
    apart = "metrics: {receivers: [otlp], exporters: [parquet]}, metrics/on: {receivers: [otlp], exporters: [otlphttp]}"
    changing = Changing(place, config(exporters=exporters))
    assert changing.collector.post(request(1.0))[0] == 200
    wait_for(lambda: taken.attempts, "an attempt")
    changing.change(config(exporters=exporters, pipelines=apart))
    assert changing.collector.post(request(2.0))[0] == 200
    changing.change(config(exporters=exporters))
    assert changing.collector.post(request(3.0))[0] == 200
    taken.always = None
    wait_for(lambda: set(taken.values()) == {1.0, 2.0, 3.0}, "all of them")
    taken.always = (503, {}, b"")
    assert changing.collector.post(request(4.0))[0] == 200
    attempts = taken.attempts
    wait_for(lambda: taken.attempts > attempts, "an attempt")
    line = changing.change(config(), "given up")
    assert re.search(r"otlphttp is used no more: \d+ bytes that it had not sent are given up", line)
    changing.collector.flush()
    assert place.rows("SELECT value FROM points ORDER BY value") == [(1.0,), (2.0,), (3.0,), (4.0,)]


def test_nothing_is_lost_under_load(place: Place, backend: tuple[Backend, int]) -> None:
    """What is acknowledged while pipelines change arrives wherever it was to go before or after the change."""
    taken, port = backend
    exporters = f'parquet: {{}}, otlphttp: {{endpoint: "http://127.0.0.1:{port}"}}'
    apart = "metrics: {receivers: [otlp], exporters: [parquet]}, metrics/on: {receivers: [otlp], exporters: [otlphttp]}"
    changing = Changing(place, config(exporters=exporters))
    acknowledged: list[float] = []
    done = threading.Event()

    def client(number: int) -> None:
        connection = http.client.HTTPConnection(changing.collector.http, timeout=DEADLINE_S)
        with contextlib.closing(connection):
            value = float(number)
            while not done.is_set():
                connection.request("POST", "/v1/metrics", request(value), {"content-type": "application/x-protobuf"})
                response = connection.getresponse()
                response.read()
                if response.status == 200:
                    acknowledged.append(value)
                value += 10.0

    threads = [threading.Thread(target=client, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        for pipelines in (apart, "", apart):
            came = len(acknowledged)
            wait_for(lambda came=came: len(acknowledged) > came + 20, "requests")
            changing.change(config(exporters=exporters, pipelines=pipelines))
    finally:
        done.set()
        for thread in threads:
            thread.join()
    wait_for(lambda: not set(acknowledged) - set(taken.values()), "everything that was acknowledged")
    changing.collector.flush()
    assert {value for (value,) in place.rows("SELECT DISTINCT value FROM points")} == set(acknowledged)


def test_other_settings_of_the_lake(place: Place) -> None:
    """Another silence or batch is the sink's from then on; it goes on from where it was."""
    changing = Changing(place, config())
    sink = changing.collector.sink()
    assert changing.collector.post(request(1.0))[0] == 200
    changing.change(config(exporters="parquet: {silence: 1h}"))
    wait_for(lambda: changing.collector.sink() != sink, "another sink")
    assert changing.collector.post(request(2.0))[0] == 200
    changing.collector.flush()
    assert place.rows("SELECT value FROM points ORDER BY value") == [(1.0,), (2.0,)]
    assert changing.collector.terminate() == 0
