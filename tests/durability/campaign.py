"""Kills, one after the other, of collectors that serve one lake, under load and with a reader."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING

import psutil

from stepsize.store.lake import Lake
from tests.collector.otlp import SECOND
from tests.collector.running import DEADLINE_S, wait_for
from tests.durability.checks import Reader, check, seen
from tests.durability.senders import Sender

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.collector.running import RunningCollector
    from tests.durability.points import Point
    from tests.durability.site import Site

CONFIG = """
receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:0"}}}}
processors: {batch: {timeout: 100ms}}
exporters: {parquet: {linger: 2s, write_ahead_log: {segment_size: 64KiB, max_size: 64MiB}}}
service: {pipelines: {metrics: {receivers: [otlp], processors: [batch], exporters: [parquet]}}}
"""
"""Commits often, small segments, attempts that are final soon: every kind of file is written all the time."""

RANDOM = ("ingest", "sink", "both", "group", "end")
"""Whom a random kill hits; `end`: the sink of a collector that has been told to end, and drains."""


class Campaign:
    """Senders, a reader, and the collectors that are killed under them.

    Args:
        site: where it happens.
        points: the named points that may be armed.
        seed: of the random kills.
    """

    def __init__(self, site: Site, points: Sequence[Point], seed: int) -> None:
        self._site = site
        self._site.config = CONFIG
        self._rules = {point: site.rule(point.operation, point.pattern, point.action) for point in points}
        self._random = random.Random(seed)
        self._collector: RunningCollector = site.collect()
        start_ns = (time.time_ns() // SECOND - 600) * SECOND
        self.senders = [Sender(f"s{i}", lambda: self._collector.http, start_ns, 0.002) for i in range(3)]
        self._reader = Reader(site.settings.data)
        self._looks = 0
        self.kills: Counter[str] = Counter()

    def kill_at(self, point: Point) -> None:
        """Kill at the next such call, and see that everything goes on."""
        rule = self._rules[point]
        if point.action == "cut":  # nobody reads on through one, and what was seen but not synced may be gone after it
            self._stop_reading()
        rule.arm()
        wait_for(lambda: rule.has_acted, f"{point}")
        self.kills[str(point)] += 1
        if point.ends_collector:  # which a busy machine may be late with
            self._collector.process.wait(DEADLINE_S)
        if point.action == "cut":
            with Lake(self._site.settings.data).reading() as connection:
                seen(connection)
        self._go_on()
        if point.action == "cut":
            self._reader = Reader(self._site.settings.data)

    def kill_at_random(self, whom: str) -> None:
        """Kill at any moment."""
        time.sleep(self._random.uniform(0.0, 0.4))  # not to wait for anything: any moment is meant
        sinks = [one for one in psutil.Process(self._collector.process.pid).children() if one.is_running()]
        if whom == "end":
            self._collector.process.terminate()
            time.sleep(self._random.uniform(0.0, 0.2))  # as above
        if whom == "group":
            os.killpg(self._collector.process.pid, signal.SIGKILL)
        if whom in ("ingest", "both"):
            self._collector.process.kill()
        if whom in ("sink", "both", "end"):
            for sink in sinks:
                with contextlib.suppress(psutil.NoSuchProcess):
                    sink.kill()
        if whom == "end":
            self._collector.process.wait(DEADLINE_S)
        self.kills[f"random: {whom}"] += 1
        self._go_on()

    def _stop_reading(self) -> None:
        self._reader.stop()
        self._looks += self._reader.looks

    def _go_on(self) -> None:
        """Return once requests are acknowledged, by a new collector where the old one is dead."""
        collector = self._collector.process
        marks = [sender.acknowledged for sender in self.senders]

        def acknowledged_or_dead() -> bool:
            return collector.poll() is not None or all(
                sender.acknowledged > mark + 2 for sender, mark in zip(self.senders, marks, strict=True)
            )

        wait_for(acknowledged_or_dead, "life or death")
        if collector.poll() is not None:
            self._collector = self._site.collect()
        for sender in self.senders:
            sender.wait_for(3)

    def finish(self) -> int:
        """Check everything; returns how often the reader looked."""
        for sender in self.senders:
            sender.stop()
        if self._collector.process.poll() is not None:
            self._collector = self._site.collect()
        self._site.flush()
        self._stop_reading()
        check(self._site.settings.data, self.senders, self._site.home.parent / "without-faults")
        assert self._collector.terminate() == 0
        assert not list(self._site.settings.state_dir.glob("*.wal")), "what is stored is still in the log"
        assert not list(self._site.settings.data.glob(".views-*")), "what killed ones left is still there"
        return self._looks
