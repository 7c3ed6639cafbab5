"""From a receiver to the logs of its pipelines, through their processors.

What comes in: requests, checked. What goes out: records in every log that takes them, durable when :meth:`append`
returns. A pipeline without processors that change anything passes a request's own bytes on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from stepsize.collector.pipelines.transforms import transform

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from stepsize.collector.pipelines.plan import Route

    Chain = Callable[[bytes], bytes]


class Appender(Protocol):
    """Takes requests; a write-ahead log's writer is one."""

    def append(self, request: bytes) -> Awaitable[None]:
        """Return once ``request`` is durable; raises `UnavailableError` where it is not."""


def appender(routes: Sequence[Route], logs: Mapping[Path, Appender]) -> Appender:
    """What takes a receiver's requests; the log itself where nothing lies between."""
    made = [(_chain(route.processors), [logs[directory] for directory in route.logs]) for route in routes]
    if len({id(log) for _, targets in made for log in targets}) == 1 and all(chain is None for chain, _ in made):
        return made[0][1][0]
    return _Fanout(made)


class _Fanout:
    def __init__(self, routes: Sequence[tuple[Chain | None, Sequence[Appender]]]) -> None:
        self._routes = routes

    async def append(self, request: bytes) -> None:
        """Return once every log has what it takes of ``request``.

        Raises:
            UnavailableError: one has not. Sending it again is safe: a log that has it already drops the repetition.
        """
        waiting: dict[tuple[int, bytes], Awaitable[None]] = {}
        for chain, targets in self._routes:
            content = request if chain is None else chain(request)
            for log in targets if content else ():
                if (id(log), content) not in waiting:
                    waiting[id(log), content] = log.append(content)
        if len(waiting) == 1:
            await next(iter(waiting.values()))
            return
        for outcome in await asyncio.gather(*waiting.values(), return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome


def _chain(processors: Sequence[Any]) -> Chain | None:
    """What a pipeline does to a request, as bytes: empty where nothing is left; None where it does nothing."""
    transforms = [made for made in map(transform, processors) if made is not None]
    if not transforms:
        return None

    def change(request: bytes) -> bytes:
        message = ExportMetricsServiceRequest.FromString(request)
        for one in transforms:
            one(message)
        content: bytes = message.SerializeToString()
        return content

    return change
