"""Clients that number their points, send again what was not acknowledged, and know what was."""

from __future__ import annotations

import contextlib
import http.client
import random
import threading
import time
from typing import TYPE_CHECKING

from tests.collector.otlp import SECOND, RequestBuilder, identity
from tests.collector.running import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = 86_400 * SECOND
POINTS_EACH = 3
REQUESTS_EACH_TASK = 25
_PAUSE_S = 0.02
_NOTE_BYTES = 3000
"""Makes requests so large that the smallest segments are soon full."""


class Sender:
    """Sends requests 0, 1, 2 and so on, each until it is acknowledged, to whatever address is told at the time.

    Of each task there are `REQUESTS_EACH_TASK` requests, the last of which ends it. Every tenth lies a day back. Now
    and then an acknowledged request is sent again, as by a client that has lost the answer.
    """

    def __init__(self, name: str, address: Callable[[], str], start_ns: int, pace_s: float = 0.0) -> None:
        self.name = name
        self.acknowledged = 0
        self.refused = 0
        self._address = address
        self._start_ns = start_ns
        self._pace_s = pace_s
        self._stop = threading.Event()
        self._random = random.Random(name)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def request(self, number: int) -> bytes:
        """Request ``number``, always the same."""
        task, part = divmod(number, REQUESTS_EACH_TASK)
        at = self._start_ns + number * SECOND // 10 - (DAY if number % 10 == 9 else 0)
        builder = RequestBuilder(identity(f"{self.name}-{task}", note="x" * _NOTE_BYTES))
        builder.gauge("n", [(at + i, number * POINTS_EACH + i) for i in range(POINTS_EACH)])
        begun = self._start_ns + task * REQUESTS_EACH_TASK * SECOND // 10
        now = self._start_ns + number * SECOND // 10
        builder.sum("stepsize.task.cpu.time", begun, [(now, 0.05 * (part + 1))], unit="s", cpu__mode="user")
        builder.gauge("stepsize.task.memory.usage", [(now, 1000 + part)], unit="By")
        if part == REQUESTS_EACH_TASK - 1:
            builder.end(now + 1, "ok")
        return builder.content()

    def wait_for(self, more: int) -> None:
        """Return once so many more are acknowledged."""
        wanted = self.acknowledged + more
        wait_for(lambda: self.acknowledged >= wanted, f"acknowledgements of {self.name}")

    def stop(self) -> None:
        """Send no more than the request that is under way."""
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._stop.wait(self._pace_s):
            again = self.acknowledged and self._random.random() < 0.05
            number = self.acknowledged - 1 if again else self.acknowledged
            try:
                connection = connection or http.client.HTTPConnection(self._address(), timeout=30)
                status = _post(connection, self.request(number))
            except (OSError, http.client.HTTPException):
                status = 0
            if status == 200:
                self.acknowledged += 0 if again else 1
                continue
            self.refused += status != 0
            if connection:
                connection.close()
            connection = None
            time.sleep(_PAUSE_S)
        if connection:
            connection.close()


def _post(connection: http.client.HTTPConnection, content: bytes) -> int:
    connection.request("POST", "/v1/metrics", content, {"content-type": "application/x-protobuf"})
    response = connection.getresponse()
    with contextlib.closing(response):
        response.read()
        return response.status
