"""What is sent on, over kills of the exporters at every step and a network that breaks at any: all of it arrives.

At least once: what a server has taken and could not say so is sent again, as the same bytes, which one that drops
repetitions takes once.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from stepsize.collector.otlp.json_request import parse_json
from tests.collector.pipelines.backend import Backend, values_of
from tests.collector.pipelines.logs import Exporting, exporter, request, wait_until
from tests.collector.running import DEADLINE_S, wait_for
from tests.durability import faults
from tests.durability.line import Break, Line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.durability.site import Site

FAST = {"initial_interval": "10ms", "max_interval": "20ms", "max_elapsed_time": "0s"}
ONE_AT_A_TIME = {"num_consumers": 1}
_BYTES = 3000
"""So large is a request at least, in all of which a line may break."""


@contextlib.contextmanager
def scene(kind: str) -> Iterator[tuple[Backend, Line, Any]]:
    """A backend, the line to it and the configuration of an exporter that sends through that."""
    backend = Backend()
    with contextlib.ExitStack() as end:
        port = end.enter_context(backend.grpc()) if kind == "otlp" else end.enter_context(backend.http()).server_port
        line = Line(port)
        end.callback(line.close)
        more = {"retry_on_failure": FAST, "sending_queue": ONE_AT_A_TIME, "compression": "none"}
        if kind == "otlp":
            config = exporter(kind, endpoint=f"127.0.0.1:{line.port}", tls={"insecure": True}, **more)
        else:
            config = exporter(kind, endpoint=f"http://127.0.0.1:{line.port}", **more)
        yield backend, line, config


def large(number: int) -> bytes:
    """A request that takes more than one step to send."""
    return request(float(number), name="n" * _BYTES)


def breaks(backend: Backend, then: Callable[[], None] | None = None) -> list[Break]:
    """A break at each step of an exchange, on a connection that may have had others before."""

    def answered(_: int, coming: int) -> int | None:
        return min(5, coming - 1) if len(backend.taken) > before else None

    def unanswered(_: int, __: int) -> int | None:
        return 0 if len(backend.taken) > before else None

    def in_the_middle(_: int, coming: int) -> int | None:
        return coming // 2 if coming > _BYTES // 2 else None

    before = len(backend.taken)
    return [
        Break("at its beginning", "requests", then=then),
        Break("in a request", "requests", in_the_middle, then),
        Break("before the answer", "answers", unanswered, then),
        Break("in the answer", "answers", answered, then),
    ]


def check(backend: Backend, sent: list[bytes], again: Counter[bytes]) -> None:
    """Each request is there, in the bytes it had, and no more often than it may be."""
    taken = Counter(backend.taken)
    assert set(taken) == set(sent)
    assert {body: count - 1 for body, count in taken.items() if count - 1 > again[body]} == {}


@pytest.mark.parametrize("kind", ["otlphttp", "otlp"])
def test_the_network_breaks(tmp_path: Path, kind: str) -> None:
    """While connecting, in a request, before its answer or in it: the request arrives; twice only where it had."""

    async def scenario() -> None:
        with scene(kind) as (backend, line, config):
            sent: list[bytes] = []
            again: Counter[bytes] = Counter()
            async with Exporting(tmp_path, config) as exporting:
                for index in range(5):
                    line.arm([Break("connecting", "connecting"), *breaks(backend)][index])
                    sent.append(large(index))
                    await exporting.wal.append(sent[-1])
                    await wait_until(lambda: line.has_broken, f"break {index}")
                    await wait_until(lambda: exporting.process.counts["sent", "one"] == len(sent), f"request {index}")
                    again[sent[-1]] = int(index >= 3)
            check(backend, sent, again)
            assert exporting.process.counts["failed", "one"] == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["otlphttp", "otlp"])
def test_killed_while_sending(tmp_path: Path, kind: str) -> None:
    """Killed at any step of an exchange, with more under way: all arrive, those twice that had arrived."""

    async def scenario() -> None:
        with scene(kind) as (backend, line, config):
            sent: list[bytes] = []
            async with Exporting(tmp_path, config) as exporting:

                def kill() -> None:
                    assert exporting.process.pid
                    os.kill(exporting.process.pid, signal.SIGKILL)

                for index in range(4):
                    line.arm(breaks(backend, kill)[index])
                    for _ in range(3):
                        sent.append(large(len(sent)))
                        await exporting.wal.append(sent[-1])
                    await wait_until(lambda: line.has_broken, f"kill {index}")
                    await wait_until(lambda: set(backend.taken) == set(sent), f"requests after kill {index}")
                    await wait_until(lambda: exporting.position().done == exporting.wal.durable, "settled")
            check(backend, sent, Counter(sent))
            assert len(backend.taken) <= len(sent) + 4

    asyncio.run(scenario())


POSITION = [
    *(("open", action) for action in ("kill", "kill-after")),
    *(("write", action) for action in ("kill", "tear", "kill-after")),
    *(("rename", action) for action in ("kill", "kill-after")),
]


def test_killed_while_writing_its_position(tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each call that says how far it has come: nothing is missing, and what goes twice is the same batch again."""
    log = tmp_path / "log"
    log.mkdir()
    rules = [
        faults.Rule(operation, "*.position*", action, tmp_path / f"armed-{operation}-{action}")
        for operation, action in POSITION
    ]
    # Read at a process's start, so by the exporters alone.
    for name, text in faults.environment(library, log, rules).items():
        monkeypatch.setenv(name, text)

    async def scenario() -> None:
        with scene("otlphttp") as (backend, _, config):
            async with Exporting(log, config) as exporting:
                for number, rule in enumerate(rules):
                    pid = exporting.process.pid
                    rule.arm()
                    await exporting.wal.append(large(2 * number))
                    await exporting.wal.append(large(2 * number + 1))
                    await wait_until(lambda: rule.has_acted, f"{rule}")  # noqa: B023 - called in this round alone
                    await wait_until(lambda: exporting.process.pid != pid, "another process")  # noqa: B023 - as above
                    await wait_until(lambda: exporting.position().done == exporting.wal.durable, "settled")
            sent = [large(number) for number in range(2 * len(rules))]
            check(backend, sent, Counter(sent))
            assert len(backend.taken) <= len(sent) + len(rules)

    asyncio.run(scenario())


def test_a_disk_that_is_full_stops_no_sending(tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While no position can be written all is sent all the same; over a kill it may go twice, nothing is lost."""
    log = tmp_path / "log"
    log.mkdir()
    full = faults.Rule("write", "*.position*", "28", tmp_path / "full", lasting=True)
    for name, text in faults.environment(library, log, [full]).items():
        monkeypatch.setenv(name, text)

    async def scenario() -> None:
        with scene("otlphttp") as (backend, _, config):
            async with Exporting(log, config) as exporting:
                full.arm()
                sent = [large(number) for number in range(5)]
                for body in sent:
                    await exporting.wal.append(body)
                await wait_until(lambda: len(backend.taken) == 5, "all")
                assert exporting.process.pid
                os.kill(exporting.process.pid, signal.SIGKILL)
                full.disarm()
                await wait_until(lambda: exporting.position().done == exporting.wal.durable, "settled")
            assert sum("cannot write down how far it has come" in line for line in exporting.lines) == 1
            check(backend, sent, Counter(sent))

    asyncio.run(scenario())


RELAY = """
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:0"}}}}}}}}
exporters: {{otlphttp: {{endpoint: "http://127.0.0.1:{port}", retry_on_failure: {{max_elapsed_time: 0s}}}}}}
service: {{pipelines: {{metrics: {{receivers: [otlp], exporters: [otlphttp]}}}}}}
"""


@pytest.mark.parametrize("operation", ["write", "rename"])
def test_the_power_is_cut(site: Site, operation: str) -> None:
    """Positions that were not on disk are gone: what had been sent since the first goes again, nothing is missing."""
    with scene("otlphttp") as (backend, line, _):
        site.config = RELAY.format(port=line.port)
        cut = site.rule(operation, "*otlphttp.position*", "cut")
        collector = site.collect()
        for number in range(10):
            assert collector.post(large(number))[0] == 200
        wait_for(lambda: len(backend.taken) == 10, "ten requests")
        cut.arm()
        sent = [large(number) for number in range(10)]
        with contextlib.suppress(OSError, http.client.HTTPException):  # the power may go before it is answered
            assert collector.post(large(10))[0] == 200
            sent.append(large(10))
        collector.process.wait(DEADLINE_S)
        before = len(backend.taken)
        collector = site.collect()
        assert collector.post(large(11))[0] == 200
        wait_for(lambda: {*sent, large(11)} <= set(backend.taken), "all that was acknowledged")
        assert len(backend.taken) > before + 2, "no position was lost: that was no power cut"
        assert collector.terminate() == 0


def test_a_file_that_is_torn(tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the middle of a line of its file, the exporter goes on with a whole one: nothing is missing in it."""
    file, log = tmp_path / "data.json", tmp_path / "log"
    tear = faults.Rule("write", str(file), "tear", tmp_path / "armed")
    for name, text in faults.environment(library, tmp_path, [tear]).items():
        monkeypatch.setenv(name, text)

    def values() -> list[float]:
        lines = file.read_bytes().split(b"\n")[:-1]
        return [value for line in lines for value in values_of(parse_json(line).SerializeToString())]

    async def scenario() -> None:
        async with Exporting(log, exporter("file", path=str(file), flush_interval="10ms")) as exporting:
            await exporting.wal.append(request(1.0))
            await wait_until(lambda: values() == [1.0], "the first")
            await wait_until(lambda: exporting.position().done == exporting.wal.durable, "its position")
            tear.arm()
            await exporting.wal.append(request(2.0))
            await wait_until(lambda: tear.has_acted, "a kill")
            await exporting.wal.append(request(3.0))
            await wait_until(lambda: exporting.position().done == exporting.wal.durable, "settled")
        assert values() == [1.0, 2.0, 3.0]

    asyncio.run(scenario())
