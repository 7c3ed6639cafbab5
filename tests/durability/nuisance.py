"""Clients that a collector has to bear besides its load: ``python -m tests.durability.nuisance HOST PORT SECONDS``.

Each kind goes on until the time is up: connections without end, clients that never read their answers, that say what
they want byte by byte or stop in the middle, bodies beyond the bound with and without saying so, and small ones that
unpack to large ones. What goes out, as JSON on standard output: how often each kind was answered what, or how its
connection ended.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_HEAD = b"POST /v1/metrics HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n"
_OVERSIZE = 30 << 20
_PATIENCE_S = 5.0
_PAUSE_S = 0.02


@dataclass
class Nuisance:
    """All kinds, against one address."""

    host: str
    port: int
    until_s: float
    answers: Counter[str] = field(default_factory=Counter)

    async def connections(self) -> None:
        """Many that come and say nothing, held for a moment and let go of."""
        held = [await asyncio.open_connection(self.host, self.port) for _ in range(50)]
        await asyncio.sleep(_PAUSE_S)
        for _, writer in held:
            writer.close()
        self.answers["connections: let go"] += len(held)

    async def oversize_that_says_so(self) -> None:
        """A length beyond the bound."""
        await self._ask("oversize, said", _HEAD + b"content-length: %d\r\n\r\n" % _OVERSIZE)

    async def oversize_in_chunks(self) -> None:
        """A body that grows beyond the bound."""
        chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
        body = [chunk] * (_OVERSIZE >> 20)
        await self._ask("oversize, chunked", _HEAD + b"transfer-encoding: chunked\r\n\r\n", *body, b"0\r\n\r\n")

    async def bomb(self) -> None:
        """A small body that unpacks to a large one."""
        head = _HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(_BOMB)
        await self._ask("bomb", head, _BOMB)

    async def byte_by_byte(self) -> None:
        """A request that hardly arrives, and in the end does not."""
        _, writer = await asyncio.open_connection(self.host, self.port)
        for byte in _HEAD[:20]:
            writer.write(bytes([byte]))
            await asyncio.sleep(_PAUSE_S)
        writer.transport.abort()
        self.answers["byte by byte: given up"] += 1

    async def half_a_body(self) -> None:
        """A large body that stops half-way, held open for a while."""
        _, writer = await asyncio.open_connection(self.host, self.port)
        writer.write(_HEAD + b"content-length: %d\r\n\r\n" % (8 << 20) + bytes(4 << 20))
        await asyncio.sleep(1.0)
        writer.transport.abort()
        self.answers["half a body: given up"] += 1

    async def never_reads(self) -> None:
        """Requests one after the other whose answers nobody takes."""
        _, writer = await asyncio.open_connection(self.host, self.port, limit=1)  # more than that waits unread
        for _ in range(5000):
            writer.write(b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n")
        await asyncio.sleep(1.0)
        writer.transport.abort()
        self.answers["never reads: given up"] += 1

    async def run(self) -> None:
        """All of them at once, again and again."""
        kinds = (
            self.connections,
            self.oversize_that_says_so,
            self.oversize_in_chunks,
            self.bomb,
            self.byte_by_byte,
            self.half_a_body,
            self.never_reads,
        )
        await asyncio.gather(*map(self._again_and_again, kinds))

    async def _again_and_again(self, kind: Callable[[], Awaitable[None]]) -> None:
        while time.monotonic() < self.until_s:
            try:
                await kind()
            except (OSError, asyncio.TimeoutError) as error:
                self.answers[f"{kind.__name__}: {type(error).__name__}"] += 1
            await asyncio.sleep(_PAUSE_S)

    async def _ask(self, what: str, *parts: bytes) -> None:
        """Say it, as far as anybody listens, and count the answer."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        answer = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
        try:
            for part in parts:
                if answer.done():
                    break
                writer.write(part)
                await writer.drain()
            head = await asyncio.wait_for(answer, _PATIENCE_S)
            told = " retry-after" if b"retry-after:" in head.lower() else ""
            self.answers[f"{what}: {head[9:12].decode()}{told}"] += 1
        except (OSError, asyncio.IncompleteReadError):
            self.answers[f"{what}: connection ended"] += 1
        finally:
            answer.cancel()
            writer.transport.abort()


_BOMB = gzip.compress(bytes(_OVERSIZE))


async def main(host: str, port: int, seconds: float) -> None:
    """All kinds."""
    nuisance = Nuisance(host, port, time.monotonic() + seconds)
    await nuisance.run()
    print(json.dumps(nuisance.answers))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
