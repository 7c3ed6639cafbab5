"""Exporters that send: what becomes of each request, over answers, kills and restarts."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import grpc
import pytest

from stepsize.collector.components.sending import QueueBatchConfig
from stepsize.collector.wal.reader import segments
from tests.collector.pipelines.backend import Backend, values_of
from tests.collector.pipelines.logs import Exporting, exporter, request, wait_until

FAST = {"initial_interval": "20ms", "max_interval": "100ms"}


def otlphttp(port: int, **more: object) -> object:
    return exporter("otlphttp", endpoint=f"http://127.0.0.1:{port}", **{"retry_on_failure": FAST, **more})


def otlp(port: int, **more: object) -> object:
    return exporter("otlp", endpoint=f"127.0.0.1:{port}", tls={"insecure": True}, **{"retry_on_failure": FAST, **more})


@pytest.mark.parametrize("settings", [{}, {"compression": "none"}, {"compression": "zlib"}, {"encoding": "json"}])
def test_http(tmp_path: Path, settings: dict[str, object]) -> None:
    """Every request arrives once, with the headers, compression and encoding that were asked for."""

    async def scenario() -> None:
        backend = Backend()
        with backend.http() as server:
            config = otlphttp(server.server_port, headers={"Authorization": "Bearer secret"}, **settings)
            async with Exporting(tmp_path, config) as exporting:
                await asyncio.gather(*(exporting.wal.append(request(float(number))) for number in range(50)))
                await wait_until(lambda: len(backend.taken) >= 50, "50 requests")
                await wait_until(lambda: exporting.process.counts["sent", "one"] == 50, "a count")
        assert sorted(backend.values()) == list(range(50))
        assert backend.headers[0]["authorization"] == "Bearer secret"
        assert exporting.lines == []

    asyncio.run(scenario())


def test_grpc(tmp_path: Path) -> None:
    """The same over gRPC; bytes arrive as they lie in the log."""

    async def scenario() -> None:
        backend = Backend()
        with backend.grpc() as port:
            async with Exporting(tmp_path, otlp(port, headers={"X-Tenant": "a"})) as exporting:
                sent = [request(float(number)) for number in range(20)]
                await asyncio.gather(*map(exporting.wal.append, sent))
                await wait_until(lambda: len(backend.taken) >= 20, "20 requests")
        assert sorted(backend.taken) == sorted(sent)
        assert backend.headers[0]["x-tenant"] == "a"

    asyncio.run(scenario())


def test_answers_http(tmp_path: Path) -> None:
    """What may be taken later is sent again when the server says so; what never will is dropped, counted and told."""

    async def scenario() -> None:
        backend = Backend()
        backend.answers = [
            (503, {}, b""),
            (429, {"retry-after": "1"}, b""),
            (200, {}, b""),
            (400, {"content-type": "text/plain"}, b"no such thing"),
        ]
        with backend.http() as server:
            config = otlphttp(server.server_port, sending_queue={"num_consumers": 1})
            async with Exporting(tmp_path, config) as exporting:
                started_s = asyncio.get_running_loop().time()
                await exporting.wal.append(request(1.0))
                await wait_until(lambda: backend.values() == [1.0], "the first")
                assert asyncio.get_running_loop().time() - started_s >= 1.0
                await exporting.wal.append(request(2.0, 3.0))
                await exporting.wal.append(request(4.0))
                await wait_until(lambda: backend.values() == [1.0, 4.0], "the last")
                await wait_until(lambda: exporting.process.counts["failed", "one"] == 2, "a count")
                await wait_until(lambda: exporting.process.counts["sent", "one"] == 2, "another")
        told = "\n".join(exporting.lines)
        assert "answered 503; trying again" in told
        assert "2 points were not taken and are dropped" in told
        assert "answered 400: no such thing" in told

    asyncio.run(scenario())


def test_answers_grpc(tmp_path: Path) -> None:
    """UNAVAILABLE is tried again, INVALID_ARGUMENT never, RESOURCE_EXHAUSTED only where it says when."""

    async def scenario() -> None:
        backend = Backend()
        codes = grpc.StatusCode
        backend.codes = [codes.UNAVAILABLE, None, codes.INVALID_ARGUMENT, codes.RESOURCE_EXHAUSTED, None]
        with backend.grpc() as port:
            async with Exporting(tmp_path, otlp(port, sending_queue={"num_consumers": 1})) as exporting:
                for number in range(4):
                    await exporting.wal.append(request(float(number)))
                await wait_until(lambda: backend.values() == [0.0, 3.0], "the first and the last")
                await wait_until(lambda: exporting.process.counts["failed", "one"] == 2, "a count")

    asyncio.run(scenario())


def test_answers_in_json(tmp_path: Path) -> None:
    """A partial success is understood in JSON too; a Retry-After that is no number ends nothing."""

    async def scenario() -> None:
        backend = Backend()
        partial = b'{"partialSuccess": {"rejectedDataPoints": "1", "errorMessage": "too old"}}'
        backend.answers = [(503, {"retry-after": "\xb2"}, b""), (200, {"content-type": "application/json"}, partial)]
        with backend.http() as server:
            async with Exporting(tmp_path, otlphttp(server.server_port, encoding="json")) as exporting:
                await exporting.wal.append(request(1.0, 2.0))
                await wait_until(lambda: exporting.process.counts["failed", "one"] == 1, "a count")
                await wait_until(lambda: exporting.process.counts["sent", "one"] == 1, "another")
        assert "1 points were not taken and are dropped: too old" in "\n".join(exporting.lines)
        assert "a defect" not in "\n".join(exporting.lines)

    asyncio.run(scenario())


def test_given_up(tmp_path: Path) -> None:
    """After max_elapsed_time a request is dropped and counted, and the next one has its turn."""

    async def scenario() -> None:
        backend = Backend()
        backend.always = (503, {}, b"")
        with backend.http() as server:
            retry = {**FAST, "max_elapsed_time": "300ms"}
            config = otlphttp(server.server_port, retry_on_failure=retry)
            async with Exporting(tmp_path, config) as exporting:
                await exporting.wal.append(request(1.0))
                await wait_until(lambda: exporting.process.counts["failed", "one"] == 1, "given up")
                backend.always = None
                await exporting.wal.append(request(2.0))
                await wait_until(lambda: backend.values() == [2.0], "the next")

    asyncio.run(scenario())


def test_batches(tmp_path: Path) -> None:
    """With a batch, requests go together until there are enough points or time is up, and are split where too large."""

    async def scenario() -> None:
        backend = Backend()
        with backend.http() as server:
            batch = QueueBatchConfig(flush_timeout_s=0.3, min_size=10, max_size=10)
            config = otlphttp(server.server_port, sending_queue={"num_consumers": 1})
            async with Exporting(tmp_path, config, batch=batch) as exporting:
                await asyncio.gather(*(exporting.wal.append(request(*map(float, range(4)))) for _ in range(6)))
                await wait_until(lambda: len(backend.values()) == 24, "24 points")
        sizes = [len(values_of(one)) for one in backend.taken]
        assert sizes == [10, 2, 10, 2]

    asyncio.run(scenario())


def test_kill(tmp_path: Path) -> None:
    """Over a kill nothing is lost, and what was under way is made again with the same bytes."""

    async def scenario() -> None:
        backend = Backend()
        backend.always = (503, {}, b"")
        batch = QueueBatchConfig(flush_timeout_s=0.05, min_size=1000)
        with backend.http() as server:
            config = otlphttp(server.server_port)
            async with Exporting(tmp_path, config, batch=batch) as exporting:
                await asyncio.gather(*(exporting.wal.append(request(float(number))) for number in range(20)))
                await wait_until(lambda: exporting.position().sealed, "a batch under way")
                sealed = exporting.position().sealed
                await exporting.wal.append(request(20.0))
                await wait_until(lambda: len(exporting.position().sealed) > len(sealed), "another batch")
                pid = exporting.process.pid
                assert pid
                os.kill(pid, signal.SIGKILL)
                await wait_until(lambda: exporting.process.pid not in (None, pid), "another process")
                backend.always = None
                await wait_until(lambda: len(backend.values()) == 21, "all points")
                await wait_until(lambda: not exporting.position().sealed, "settled")
        assert sorted(backend.values()) == list(range(21))
        assert len(backend.taken) == len(sealed) + 1
        assert any("the exporters ended with" in line for line in exporting.lines)

    asyncio.run(scenario())


def test_restart(tmp_path: Path) -> None:
    """What a backend that is down did not take is sent by the next collector; segments wait for it, and go then."""

    async def scenario() -> None:
        backend = Backend()
        with backend.http() as server:
            port = server.server_port
        config = otlphttp(port)
        async with Exporting(tmp_path, config) as exporting:
            await exporting.wal.append(request(1.0))
            await exporting.wal.append(request(2.0))
            await wait_until(lambda: exporting.lines, "that nobody answers")
            exporting.drain = False
        assert "cannot send to http://127.0.0.1" in exporting.lines[0]
        assert len(segments(tmp_path)) == 1
        with backend.http(port):
            async with Exporting(tmp_path, config) as exporting:
                await exporting.wal.append(request(3.0))
                await wait_until(lambda: sorted(backend.values()) == [1.0, 2.0, 3.0], "all points")
                await wait_until(lambda: len(segments(tmp_path)) == 1, "the old segment's end")

    asyncio.run(scenario())


def test_drain(tmp_path: Path) -> None:
    """At a collector's end what waits for others is sent at once."""

    async def scenario() -> None:
        backend = Backend()
        batch = QueueBatchConfig(flush_timeout_s=60.0, min_size=1000)
        with backend.http() as server:
            async with Exporting(tmp_path, otlphttp(server.server_port), batch=batch) as exporting:
                await exporting.wal.append(request(1.0))
            assert backend.values() == [1.0]

    asyncio.run(scenario())


def test_log_that_ends(tmp_path: Path) -> None:
    """A log that nothing is written to any more is read to its end and let go of."""

    async def scenario() -> None:
        backend = Backend()
        with backend.http() as server:
            config = otlphttp(server.server_port)
            exporting = Exporting(tmp_path, otlphttp(1))
            async with exporting:
                await exporting.wal.append(request(1.0))
                await wait_until(lambda: exporting.lines, "that nobody answers")
                until = exporting.wal.durable
                exporting.drain = False
            async with Exporting(tmp_path, config, until=until):
                await wait_until(lambda: backend.values() == [1.0], "the point")
                await wait_until(lambda: not list(tmp_path.glob("*.position")), "letting go")

    asyncio.run(scenario())


def test_sealed_log(tmp_path: Path) -> None:
    """What has been sent can be deleted without another request coming: erasure waits for that."""

    async def scenario() -> None:
        backend = Backend()
        with backend.http() as server:
            async with Exporting(tmp_path, otlphttp(server.server_port)) as exporting:
                await exporting.wal.append(request(1.0))
                (first,) = segments(tmp_path)
                exporting.wal.seal()
                await wait_until(lambda: first not in segments(tmp_path), "its end")
                await exporting.wal.append(request(2.0))
                await wait_until(lambda: backend.values() == [1.0, 2.0], "both")

    asyncio.run(scenario())


def test_long_answers(tmp_path: Path) -> None:
    """An answer without end is not read to its end, and the next request goes all the same."""

    async def scenario() -> None:
        backend = Backend()
        backend.answers = [(400, {"content-type": "text/plain"}, b"x" * (4 << 20))]
        with backend.http() as server:
            config = otlphttp(server.server_port, sending_queue={"num_consumers": 1})
            async with Exporting(tmp_path, config) as exporting:
                await exporting.wal.append(request(1.0))
                await exporting.wal.append(request(2.0))
                await wait_until(lambda: backend.values() == [2.0], "the next")
                await wait_until(lambda: exporting.process.counts["failed", "one"] == 1, "a count")
        assert max(map(len, exporting.lines)) < 1000

    asyncio.run(scenario())
