"""Collectors that are killed and leave their children behind: what those still do, and what comes after them."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

import psutil

from stepsize.collector.pipelines.settings import DRAIN_S
from stepsize.collector.processes.child import Place
from stepsize.collector.state import EXPORTERS_LOCK_FILE, SINK_LOCK_FILE, writer_id
from stepsize.collector.wal.reader import segments
from stepsize.store.manifest import read_manifest
from tests.collector.otlp import SECOND
from tests.collector.pipelines.backend import Backend
from tests.collector.pipelines.logs import request
from tests.collector.running import DEADLINE_S, is_gone, wait_for
from tests.durability.campaign import CONFIG
from tests.durability.checks import check
from tests.durability.senders import Sender

if TYPE_CHECKING:
    from tests.collector.running import RunningCollector
    from tests.durability.site import Site

RELAY = """
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:0"}}}}}}}}
exporters:
  otlphttp: {{endpoint: "http://127.0.0.1:{port}", retry_on_failure: {{initial_interval: 50ms, max_interval: 50ms}}}}
  prometheus: {{endpoint: "127.0.0.1:{scraped}"}}
service: {{pipelines: {{metrics: {{receivers: [otlp], exporters: [otlphttp, prometheus]}}}}}}
"""


def child(collector: RunningCollector, module: str) -> psutil.Process:
    """The collector's child that runs this module."""

    def look() -> psutil.Process | None:
        children = psutil.Process(collector.process.pid).children()
        return next((one for one in children if module in " ".join(one.cmdline())), None)

    return wait_for(look, f"a child that runs {module}")


def backlog(site: Site, requests: int) -> tuple[RunningCollector, psutil.Process, Sender]:
    """A collector that has acknowledged so many requests and was killed; its sink, which is stopped and has none."""
    collector = site.collect(CONFIG)
    site.flush()  # or a commit would be due the moment it goes on
    sink = child(collector, "sink")
    sink.suspend()
    sender = Sender("s", lambda: collector.http, (time.time_ns() // SECOND - 600) * SECOND)
    sender.wait_for(requests)
    collector.process.kill()
    collector.process.wait()
    sender.stop()
    return collector, sink, sender


def test_a_sink_stores_what_its_killed_collector_acknowledged(plain_site: Site) -> None:
    """It goes on alone, over all segments, and ends; nobody has to come after it."""
    _, sink, sender = backlog(plain_site, 60)
    assert len(segments(plain_site.settings.state_dir)) > 1
    sink.resume()
    wait_for(lambda: is_gone(sink), "the sink's end")
    check(plain_site.settings.data, [sender], plain_site.home.parent / "without-faults")


def test_a_collector_that_starts_meanwhile(plain_site: Site) -> None:
    """It waits for the sink that is left, asks it to make room, and has its own go on; all is stored, once."""
    _, sink, sender = backlog(plain_site, 60)
    starting = threading.Thread(target=plain_site.collect, args=(CONFIG,))
    starting.start()
    wait_for(Place(plain_site.settings.state_dir / SINK_LOCK_FILE).is_wanted, "a sink that waits")
    assert not is_gone(sink)
    sink.resume()
    starting.join(DEADLINE_S)
    assert not starting.is_alive()
    wait_for(lambda: is_gone(sink), "the sink's end")
    assert "ended with" not in plain_site.said()
    plain_site.flush()
    check(plain_site.settings.data, [sender], plain_site.home.parent / "without-faults")


def test_a_sink_makes_room(plain_site: Site) -> None:
    """Once somebody waits for its place it begins nothing more: what it would fold, the one that waits folds too."""
    _, sink, _ = backlog(plain_site, 60)
    settings = plain_site.settings
    before = read_manifest(settings.data, writer_id(settings.state_dir)).position
    place = Place(settings.state_dir / SINK_LOCK_FILE)
    resuming = threading.Thread(target=lambda: (wait_for(place.is_wanted, "a wish"), sink.resume()))
    resuming.start()
    with place.held(DEADLINE_S):
        assert read_manifest(settings.data, writer_id(settings.state_dir)).position == before
        assert not place.is_wanted()
    resuming.join()


def test_exporters_make_room(plain_site: Site) -> None:
    """Those of a killed collector let go of their address at once, and of their logs when the next ones wait for them:
    what was not taken is sent by one process at a time, and arrives once.
    """
    backend = Backend()
    backend.always = (503, {}, b"")
    with backend.http() as server:
        with backend.http() as other:
            scraped = other.server_port
        plain_site.config = RELAY.format(port=server.server_port, scraped=scraped)
        collector = plain_site.collect()
        exporters = child(collector, "pipelines")
        for number in range(20):
            assert collector.post(request(float(number)))[0] == 200
        wait_for(lambda: backend.attempts > 20, "attempts")
        collector.process.kill()
        collector.process.wait()
        killed_s = time.monotonic()
        with Place(plain_site.settings.state_dir / EXPORTERS_LOCK_FILE).held(DEADLINE_S):
            assert time.monotonic() - killed_s < DRAIN_S, "they went on until they gave up"
        collector = plain_site.collect()
        wait_for(lambda: is_gone(exporters), "their end")
        backend.always = None
        wait_for(lambda: len(backend.values()) >= 20, "what was acknowledged")
        assert collector.post(request(20.0))[0] == 200
        wait_for(lambda: 20.0 in backend.values(), "the last")
        assert sorted(backend.values()) == list(range(21))
        collector.process.send_signal(signal.SIGTERM)
        assert collector.process.wait(DEADLINE_S) == 0
    assert not Place(plain_site.settings.state_dir / EXPORTERS_LOCK_FILE).is_wanted()
