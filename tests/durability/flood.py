"""More than a collector can take: ``python -m tests.durability.flood HOST PORT SECONDS CONNECTIONS FIRST``.

Each connection sends numbered requests as fast as it is answered, from number FIRST on; what is refused is not sent
again. What goes out, as JSON on standard output: the numbers that were acknowledged, how many requests were refused
(told to come later) and what else was answered.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
POINTS = 2000
_MARK = 0x1122334455667788
_PAUSE_S = 0.005
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


def template() -> bytes:
    """A request whose points hold a number to be replaced."""
    sys.path.insert(0, str(_ROOT))
    from tests.collector.otlp import RequestBuilder, identity  # noqa: PLC0415 - found only now

    now = time.time_ns()
    request = RequestBuilder(identity()).gauge("n", [(now + i, _MARK) for i in range(POINTS)])
    return request.content()


async def send(host: str, port: int, until_s: float, numbers: Iterator[int], body: bytes) -> tuple[list[int], Counter]:
    """One connection's life."""
    acknowledged: list[int] = []
    answers: Counter[str] = Counter()
    head = b"POST /v1/metrics HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n"
    head += b"content-length: %d\r\n\r\n" % len(body)
    mark = _MARK.to_bytes(8, "little")
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while time.monotonic() < until_s:
        number = next(numbers)
        try:
            streams = streams or await asyncio.open_connection(host, port)
            reader, writer = streams
            writer.write(head + body.replace(mark, number.to_bytes(8, "little")))
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
            length = _LENGTH.search(answer)
            if length:
                await reader.readexactly(int(length[1]))
        except (OSError, asyncio.IncompleteReadError) as error:
            answers[type(error).__name__] += 1
            streams = None
            await asyncio.sleep(_PAUSE_S)
            continue
        status = answer[9:12].decode()
        if status == "200":
            acknowledged.append(number)
        else:
            told = b"retry-after:" in answer.lower()
            answers[f"{status}{' retry-after' if told else ''}"] += 1
            await asyncio.sleep(_PAUSE_S)
        if b"connection: close" in answer.lower():
            streams = None
    return acknowledged, answers


async def main(host: str, port: int, seconds: float, connections: int, first: int) -> None:
    """All connections."""
    body, numbers = template(), itertools.count(first)
    until_s = time.monotonic() + seconds
    found = await asyncio.gather(*(send(host, port, until_s, numbers, body) for _ in range(connections)))
    acknowledged = sorted(number for one, _ in found for number in one)
    answers = sum((counted for _, counted in found), Counter())
    print(json.dumps({"acknowledged": acknowledged, "answers": answers}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])))
