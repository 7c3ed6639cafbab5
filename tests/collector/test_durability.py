"""Acknowledged means on disk: whatever is killed, nothing is lost and nothing is there twice."""

from __future__ import annotations

import http.client
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest

from stepsize.collector import control
from stepsize.collector.drain import drain
from stepsize.discovery import read_address
from stepsize.errors import UnavailableError
from stepsize.store.lake import Lake
from stepsize.store.layout import LOCK_FILE
from stepsize.store.locks import Lock
from stepsize.store.manifest import read_manifests
from tests.collector.otlp import RequestBuilder, identity
from tests.collector.running import CONFIG, DEADLINE_S, RunningCollector, is_gone, post_to_socket, wait_for

if TYPE_CHECKING:
    from tests.collector.running import Place


def numbered(number: int) -> bytes:
    request = RequestBuilder(identity(str(number))).gauge("n", [(time.time_ns(), number)])
    return request.end(time.time_ns(), "ok").content()


class Sender:
    """Sends numbered requests until it is told to stop or refused, and knows which were acknowledged."""

    def __init__(self, collector: RunningCollector) -> None:
        self.acknowledged: list[int] = []
        self._collector = collector
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._done = self._pool.submit(self._send)

    def _send(self) -> None:
        number = 0
        while not self._stop.is_set():
            try:
                if self._collector.post(numbered(number))[0] == 200:
                    self.acknowledged.append(number)
            except (OSError, http.client.HTTPException):
                return
            number += 1

    def wait_for(self, count: int) -> None:
        wanted = len(self.acknowledged) + count
        wait_for(lambda: len(self.acknowledged) >= wanted, "acknowledgements")

    def stop(self) -> list[int]:
        self._stop.set()
        self._done.result()
        self._pool.shutdown()
        return self.acknowledged


def stored(place: Place) -> list[int]:
    return [number for (number,) in place.rows("SELECT value_int FROM points WHERE metric = 'n' ORDER BY 1")]


def attempts(place: Place) -> list[int]:
    return [number for (number,) in place.rows("SELECT task::INTEGER FROM tasks ORDER BY 1")]


def test_sink_is_killed(place: Place) -> None:
    """A sink that is killed is replaced while requests are taken; each of them ends in the lake once."""
    collector = place.collect()
    sender = Sender(collector)
    for _ in range(3):
        sender.wait_for(30)
        sink = collector.sink()
        sink.kill()
        wait_for(partial(is_gone, sink), "the sink's end")
    acknowledged = sender.stop()
    collector.flush()
    assert stored(place) == acknowledged
    assert attempts(place) == acknowledged


def test_a_sink_that_is_killed_before_it_said_what_it_committed(place: Place) -> None:
    """The next one says where it begins, and is asked again: nobody waits for points that are there already."""
    collector = place.collect()
    with ThreadPoolExecutor(1) as pool:
        with Lock(place.settings.data / LOCK_FILE).held(DEADLINE_S):  # the views wait for it, the manifest does not
            assert collector.post(numbered(1))[0] == 200
            flushed = pool.submit(collector.flush)
            wait_for(lambda: any(one.generation for one in read_manifests(place.settings.data)), "a commit")
            collector.sink().kill()
        flushed.result()
    assert place.rows("SELECT value_int FROM points WHERE metric = 'n'") == [(1,)]


def test_collector_is_killed(place: Place) -> None:
    """A collector that is killed has lost nothing that it acknowledged; the next one ends with each request once."""
    collector = place.collect()
    sender = Sender(collector)
    sender.wait_for(50)
    collector.process.kill()
    first = sender.stop()
    collector = place.collect()
    collector.flush()
    # One more may have reached the disk without its answer reaching the sender.
    assert stored(place) in (first, [*first, len(first)])
    assert attempts(place) == stored(place)


def test_both_are_killed_again_and_again(place: Place) -> None:
    """Collector and sink killed together, several times: no acknowledged request is missing, none is there twice."""
    sent: list[bytes] = []
    for round_ in range(3):
        collector = place.collect()
        sink = collector.sink()
        for number in range(round_ * 20, round_ * 20 + 20):
            content = numbered(number)
            assert collector.post(content)[0] == 200
            sent.append(content)
        if round_ == 1:
            collector.flush()
        collector.process.kill()
        sink.kill()
    collector = place.collect()
    # A client whose answers got lost would send again what was sent last.
    for content in sent[-5:]:
        assert collector.post(content)[0] == 200
    collector.flush()
    assert stored(place) == list(range(60))
    assert attempts(place) == list(range(60))


def test_drain_without_a_collector(place: Place) -> None:
    """What a killed collector left in its log is folded in by whoever reads next; the second time nothing is left."""
    collector = place.collect()
    sink = collector.sink()
    for number in range(5):
        assert collector.post(numbered(number))[0] == 200
    sink.kill()
    collector.process.kill()
    collector.process.wait()
    drained = drain(place.settings)
    assert stored(place) == list(range(5))
    assert drained in (0, 10)  # the sink may have been faster than its end
    assert drain(place.settings) == 0


def test_drain_leaves_a_living_collector_alone(place: Place) -> None:
    """Where a collector lives, a drain takes nothing from it, and says so if that means that points are missing."""
    collector = place.collect()
    sink = collector.sink()
    sink.suspend()
    assert collector.post(numbered(1))[0] == 200
    with pytest.raises(UnavailableError, match="a collector holds"):
        drain(place.settings, 0.1)
    assert control.flush(place.settings, 0.1) is control.Answer.LATE
    sink.resume()
    collector.flush()
    assert stored(place) == [1]
    assert drain(place.settings) == 0


def test_drain_waits_for_a_collector_that_ends(place: Place) -> None:
    """A collector that drains answers nobody any more; whoever reads next waits for it, and finds everything."""
    collector = place.collect()
    sink = collector.sink()
    sink.suspend()
    assert collector.post(numbered(1))[0] == 200
    collector.process.terminate()
    wait_for(lambda: read_address(place.settings) is None, "the end of serving")
    assert control.flush(place.settings, 1.0) is control.Answer.NOBODY
    with ThreadPoolExecutor(1) as pool:
        drained = pool.submit(drain, place.settings, 20.0)
        sink.resume()
        assert drained.result() == 0
    assert stored(place) == [1]


def test_terminate_drains(place: Place) -> None:
    """SIGTERM ends with exit code 0 and everything in the lake, the log empty, nothing of the process left behind."""
    collector = place.collect()
    for number in range(5):
        assert collector.post(numbered(number))[0] == 200
    sink = collector.sink()
    assert collector.terminate() == 0
    assert stored(place) == list(range(5))
    assert not list((place.settings.state_dir).glob("*.wal"))
    assert not sink.is_running()
    assert read_address(place.settings) is None
    assert control.flush(place.settings, 1.0) is control.Answer.NOBODY
    assert not control.stop(place.settings, 1.0)


def test_newest_points_appear_by_themselves(place: Place) -> None:
    """Without a flush points can be queried within 5 s of their arrival, by another process in another directory."""
    collector = place.collect()
    script = (
        "import duckdb, sys, time\n"
        "deadline = time.monotonic() + 5\n"
        "while time.monotonic() < deadline:\n"
        "    with duckdb.connect(sys.argv[1], read_only=True) as lake:\n"
        "        if lake.execute('SELECT count(*) FROM points').fetchone()[0] >= 2:\n"
        "            sys.exit(0)\n"
        "    time.sleep(0.05)\n"
        "sys.exit('not visible')\n"
    )
    assert collector.post(numbered(1))[0] == 200
    database = str(place.settings.data / "stepsize.duckdb")
    done = subprocess.run(
        [sys.executable, "-c", script, database], cwd="/", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_keeps_its_generation(place: Place) -> None:
    """A connection goes on reading the generation it was opened on, whatever is written and merged meanwhile."""
    collector = place.collect()
    assert collector.post(numbered(0))[0] == 200
    collector.flush()
    with Lake(place.settings.data).connect() as reader:
        for number in range(1, 20):
            assert collector.post(numbered(number))[0] == 200
            collector.flush()
        assert reader.execute("SELECT value_int FROM points WHERE metric = 'n'").fetchall() == [(0,)]
    assert stored(place) == list(range(20))


def test_socket_requests_survive(place: Place) -> None:
    """What an embedded collector acknowledged over its socket is in the lake after its agent was killed."""
    process = place.embedded()
    for number in range(3):
        assert post_to_socket(place.settings, "/v1/metrics", numbered(number))[0] == 200
    assert process.stdin
    process.stdin.close()
    assert process.wait(20) == 0
    assert stored(place) == [0, 1, 2]


FAILING = """
import os, pathlib, sys
from stepsize.collector.config.service import load
from stepsize.collector.server.collector import run
from stepsize.collector.telemetry.log import Log
from stepsize.errors import RetryableError
from stepsize.settings import Settings

class Failing(type(pathlib.Path())):
    def __truediv__(self, name):
        if name.endswith(".wal"):
            raise RuntimeError("a defect")
        return pathlib.Path(str(self), name)

data, config = map(pathlib.Path, sys.argv[1:])
settings = Settings.load(data=data)._replace(state=Failing(data / "wal"))
def say(text):
    print(text, file=sys.stderr, flush=True)
def read():
    return load(config, {})
try:
    run(read(), settings, embedded=False, log=Log(say), ready=lambda where: say(", ".join(where)), read=read)
except RetryableError as error:
    say(error)
    sys.exit(error.exit_code)
"""


def test_a_collector_that_can_keep_nothing_ends(place: Place) -> None:
    """A failure of the log that is not the disk's: who sends is refused, and the collector ends with one line."""
    config = place.home / "config.yaml"
    config.write_text(CONFIG)
    process = subprocess.Popen(
        [sys.executable, "-c", FAILING, str(place.settings.data), str(config)],
        stderr=subprocess.PIPE,
        env=place.environment(),
    )
    place.processes.append(process)
    assert process.stderr
    collector = RunningCollector(place, process, process.stderr.readline().decode())
    assert collector.post(numbered(1))[0] == 503
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said.count(b"\n") == 1
    assert b"the write-ahead log failed: RuntimeError('a defect')" in said
