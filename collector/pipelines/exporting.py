"""The collector's side of its exporters' process: told what is durable, counted for what it sent.

What comes in: positions of the logs. What goes out: lines for the operator, counts of points. Never passes a request:
the logs lie between the two.
"""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from stepsize.collector.pipelines.settings import DRAIN_S, HEAD_BYTES
from stepsize.collector.processes.supervised import Launch, Supervised
from stepsize.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from stepsize.collector.pipelines.settings import ExportingSettings
    from stepsize.store.manifest import WalPosition

_END_S = DRAIN_S + 5.0


class ExportingProcess:
    """The exporters of one collector.

    Args:
        settings: handed to the process.
        durable: up to where each of its logs can be read; what shows only what is new begins there.
        log: takes a line for the operator.
    """

    def __init__(self, settings: ExportingSettings, durable: Sequence[WalPosition], log: Callable[[str], None]) -> None:
        self._settings = settings
        self._durable = list(durable)
        self._process = Supervised(
            "the exporters", _launch(settings), news=self._news, hear=self._hear, log=log, failure=UnavailableError
        )
        self.counts: Counter[tuple[str, str]] = Counter()
        """Points by what happened to them (`sent`, `failed`) and exporter."""

    @property
    def pid(self) -> int | None:
        """The process's id, once there was one."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.is_alive

    async def start(self) -> None:
        """Return once the exporters are ready.

        Raises:
            UnavailableError: one of them cannot begin.
        """
        await self._process.start()
        self._process.launch = _launch(replace(self._settings, is_first=False))

    def advance(self, index: int, durable: WalPosition) -> None:
        """The log of that index can be read up to ``durable``."""
        self._durable[index] = durable
        self._process.tell_soon()

    async def stop(self, *, drain: bool) -> None:
        """Have the process end; with ``drain`` it sends what is durable first, as far as that takes little time."""
        await self._process.stop(_END_S, "" if drain else "stop")

    def _news(self) -> Iterator[str]:
        for index, durable in enumerate(self._durable):
            yield f"durable {index} {durable.segment} {durable.offset}"

    def _hear(self, word: str, rest: str) -> bool:
        if word != "count":
            raise ValueError(word)
        what, _, rest = rest.partition(" ")
        exporter, _, points = rest.rpartition(" ")
        self.counts[what, exporter] += int(points)
        return True


def _launch(settings: ExportingSettings) -> Launch:
    content = pickle.dumps(settings)
    return Launch(
        "stepsize.collector.pipelines.process",
        settings.state,
        content=len(content).to_bytes(HEAD_BYTES, "little") + content,
        descriptors=tuple(settings.listeners.values()),
    )
