"""Two collectors, one of which sends on to the other what it acknowledges, and kills of both under load."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import time
from collections import Counter
from typing import TYPE_CHECKING

import psutil

from tests.collector.otlp import SECOND
from tests.collector.running import DEADLINE_S, wait_for
from tests.durability.checks import Reader, check, seen
from tests.durability.points import Point
from tests.durability.senders import Sender

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.collector.running import RunningCollector
    from tests.durability.site import Site

_PARQUET = "parquet: {linger: 2s, write_ahead_log: {segment_size: 64KiB, max_size: 64MiB}}"
_FIRST = """
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:0"}}}}}}}}
processors: {{batch: {{timeout: 100ms}}, filter: {{metrics: {{metric: ['name == "none has it"']}}}}}}
exporters:
  {parquet}
  otlphttp:
    endpoint: "http://127.0.0.1:{port}"
    sending_queue: {{num_consumers: 1}}
    retry_on_failure: {{initial_interval: 20ms, max_interval: 100ms, max_elapsed_time: 0s}}
service:
  pipelines:
    metrics: {{receivers: [otlp], processors: [batch], exporters: [parquet]}}
    metrics/on: {{receivers: [otlp], processors: [filter], exporters: [otlphttp]}}
"""
"""The exporter has a log of its own, as its pipeline has a processor, and sends one request after the other, so that a
reader may expect them in order."""
_SECOND = """
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
processors: {{batch: {{timeout: 100ms}}}}
exporters: {{{parquet}}}
service: {{pipelines: {{metrics: {{receivers: [otlp], processors: [batch], exporters: [parquet]}}}}}}
"""
RANDOM = ("exporters", "first", "first's group", "second", "second's group")
_CALLS = {
    "position": ("rename", "*/otlphttp.position"),
    "position that is written": ("open write", "*/.otlphttp.position*"),
    "segment that is sent": ("unlink", "*/logs/*.wal"),
}
POINTS = [
    Point(what, operation, pattern, action)
    for what, (operations, pattern) in _CALLS.items()
    for operation in operations.split()
    for action in ("kill", "kill-after", "end", "end-after", *(("tear",) if operation == "write" else ()))
]
"""What the exporters do that lasts."""


class Chain:
    """Senders, the collector that they send to, the one that it sends to, and a reader there.

    Args:
        first, second: where they are.
        points: the named points that may be armed, in the first.
        seed: of the random kills.
    """

    def __init__(self, first: Site, second: Site, points: Sequence[Point], seed: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        self._first, self._second = first, second
        first.config = _FIRST.format(parquet=_PARQUET, port=port)
        second.config = _SECOND.format(parquet=_PARQUET, port=port)
        self._rules = {point: first.rule(point.operation, point.pattern, point.action) for point in points}
        self._random = random.Random(seed)
        self._running = {"first": first.collect(), "second": second.collect()}
        self.kills: Counter[str] = Counter()
        start_ns = (time.time_ns() // SECOND - 600) * SECOND
        self.senders = [Sender(f"c{i}", lambda: self._running["first"].http, start_ns, 0.04) for i in range(2)]
        self._reader = Reader(second.settings.data)

    def kill_at(self, point: Point) -> None:
        """Kill at the next such call, and see that everything goes on."""
        rule = self._rules[point]
        rule.arm()
        wait_for(lambda: rule.has_acted, f"{point}")
        self.kills[str(point)] += 1
        if point.ends_collector:
            self._running["first"].process.wait(DEADLINE_S)
        self._go_on()

    def kill_at_random(self, whom: str) -> None:
        """Kill at any moment."""
        time.sleep(self._random.uniform(0.0, 0.4))  # not to wait for anything: any moment is meant
        collector = self._running["second" if whom.startswith("second") else "first"].process
        if whom == "exporters":
            for child in psutil.Process(collector.pid).children():
                with contextlib.suppress(psutil.NoSuchProcess):
                    if "stepsize.collector.pipelines.process" in child.cmdline():
                        child.kill()
        elif whom.endswith("group"):
            os.killpg(collector.pid, signal.SIGKILL)
        else:
            collector.kill()
        self.kills[f"random: {whom}"] += 1
        self._go_on()

    def finish(self) -> int:
        """Both lakes hold each point that was acknowledged, once; returns how often the reader looked."""
        for sender in self.senders:
            sender.stop()
        for site in (self._first, self._second):
            self._alive(site)
        self._first.flush()
        with self._first.lake.reading() as connection:
            wanted = seen(connection)
        while (arrived := self._arrived()) != wanted:
            wait_for(lambda: self._arrived() != arrived, "more of it")
        self._reader.stop()
        for site in (self._first, self._second):
            check(site.settings.data, self.senders, site.home.parent / "without-faults")
        for collector in self._running.values():
            assert collector.terminate() == 0
        assert len(list(self._first.settings.state_dir.glob("logs/*/*.wal"))) <= 1, "what is sent is still in the log"
        return self._reader.looks

    def _arrived(self) -> dict[str, int]:
        self._second.flush()
        with self._second.lake.reading() as connection:
            return seen(connection)

    def _go_on(self) -> None:
        """Return once requests are acknowledged and sent on, by new collectors where the old ones are dead."""
        marks = [sender.acknowledged for sender in self.senders]

        def acknowledged_or_dead() -> bool:
            return any(one.process.poll() is not None for one in self._running.values()) or all(
                sender.acknowledged > mark + 2 for sender, mark in zip(self.senders, marks, strict=True)
            )

        wait_for(acknowledged_or_dead, "life or death")
        for site in (self._first, self._second):
            self._alive(site)
        for sender in self.senders:
            sender.wait_for(3)

    def _alive(self, site: Site) -> RunningCollector:
        name = "first" if site is self._first else "second"
        if self._running[name].process.poll() is not None:
            self._running[name] = site.collect()
        return self._running[name]
