"""Load for a collector, in a process of its own: ``python benchmarks/collector_load.py JSON``.

What comes in: what to send (`Load`, as JSON), on the command line; a line on standard input, to begin. What goes out: a
line ``ready``, then one of JSON (`Sent`). Loopback only.

Requests are made before the start, from one task's worth of real metrics each: gauges that walk at random, rounded as
real ones are, sums that rise. Only their times are written while sending (four of eight bytes each, or forty for a
batch), so that what is measured is the collector. A connection has one request in flight, as OpenTelemetry's exporters
have. HTTP is spoken over bare sockets, gRPC through grpcio.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import struct
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from typing import TYPE_CHECKING

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

if TYPE_CHECKING:
    from collections.abc import Iterator

SECOND_NS = 10**9
SERIES = 10
_EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
_HOLDER = 0x5A5A_0000_0000_0000
_VARIANTS = 8
"""Requests that are made for each task, of which it sends one after the other, again from the first."""
_WALKS = (
    ("stepsize.task.cpu.usage", "{cpu}", 4.0, 0.2, 2, None),
    ("stepsize.task.memory.usage", "By", 2e9, 4e6, -3, None),
    ("stepsize.task.memory.peak", "By", 3e9, 0.0, 0, None),
    ("stepsize.task.process.count", "1", 3.0, 0.1, 0, None),
    ("stepsize.task.thread.count", "1", 12.0, 0.2, 0, None),
    ("stepsize.task.disk.usage", "By", 1e8, 1e5, -3, None),
    ("stepsize.task.network.io.rate", "By/s", 1e6, 1e5, 0, ("network.io.direction", "receive")),
    ("stepsize.task.network.io.rate", "By/s", 1e5, 1e4, 0, ("network.io.direction", "transmit")),
)
"""Gauges: name, unit, about how much, about how much it changes, digits, attribute."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to send.

    Attributes:
        protocol: ``http`` or ``grpc``.
        address: ``HOST:PORT``.
        tasks: how many tasks send in turn.
        tasks_per_request, samples: what is in a request: so many tasks, so many samples of each series.
        requests: how many requests are sent.
        rate: requests a second at most; 0 for as many as are taken.
        connections: how many are in flight at a time.
        run: name of the run that the tasks belong to.
        began_ns: time of the first sample of the tasks.
        first_round: how many requests each task has sent before.
    """

    protocol: str
    address: str
    tasks: int
    tasks_per_request: int
    samples: int
    requests: int
    rate: float = 0.0
    connections: int = 32
    run: str = "1"
    began_ns: int = 0
    first_round: int = 0

    @property
    def points(self) -> int:
        """In one request."""
        return self.tasks_per_request * self.samples * SERIES


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of it.

    Attributes:
        acknowledged: requests.
        refused: answers that asked to send again, which was done.
        wall_s: from the first byte to the last acknowledgement.
        cpu_s: of this process, making the requests left out.
        worst_s: the longest that an acknowledgement took.
    """

    acknowledged: int
    refused: int
    wall_s: float
    cpu_s: float
    worst_s: float


def _pair(key: str, value: str | int) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(**{"int_value" if isinstance(value, int) else "string_value": value}))


class _Task:
    """A task whose metrics walk."""

    def __init__(self, number: int, run: str) -> None:
        self._random = random.Random(number)
        self._levels = [level * self._random.uniform(0.5, 1.5) for _, _, level, _, _, _ in _WALKS]
        self._cpu_s = [0.0, 0.0]
        self._identity = [
            *(_pair(key, text) for key, text in (("service.name", "TrainFlow"), ("stepsize.flow.name", "TrainFlow"))),
            _pair("stepsize.run.id", run),
            _pair("stepsize.step.name", f"step{number % 7}"),
            _pair("stepsize.task.id", str(number)),
            _pair("stepsize.task.attempt", 0),
            _pair("stepsize.request.cpu", 4),
            _pair("stepsize.request.memory", 8 * 10**9),
            _pair("host.name", f"worker-{number % 100}"),
            _pair("host.type", "m5.2xlarge"),
            _pair("cloud.provider", "aws"),
            _pair("cloud.region", "eu-west-1"),
        ]

    def add_to(self, request: ExportMetricsServiceRequest, samples: int, began_ns: int) -> None:
        """The next samples of every series; times are placeholders."""
        one = request.resource_metrics.add()
        one.resource.attributes.extend(self._identity)
        scope = one.scope_metrics.add()
        scope.scope.name = "stepsize"
        times = [_HOLDER + index for index in range(samples)]
        for place, (name, unit, _, change, digits, attribute) in enumerate(_WALKS):
            points = scope.metrics.add(name=name, unit=unit).gauge.data_points
            for time_ns in times:
                self._levels[place] = abs(self._levels[place] + self._random.gauss(0.0, change))
                point = points.add(time_unix_nano=time_ns, as_double=round(self._levels[place], digits))
                if attribute:
                    point.attributes.append(_pair(*attribute))
        for place, mode in enumerate(("user", "system")):
            data = scope.metrics.add(name="stepsize.task.cpu.time", unit="s").sum
            data.aggregation_temporality, data.is_monotonic = 2, True
            for time_ns in times:
                self._cpu_s[place] = round(self._cpu_s[place] + self._random.uniform(0.0, 1.0), 2)
                data.data_points.add(
                    start_time_unix_nano=began_ns,
                    time_unix_nano=time_ns,
                    as_double=self._cpu_s[place],
                    attributes=[_pair("cpu.mode", mode)],
                )


class Requests:
    """The requests of a load, each with times of its own."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._groups = max(1, load.tasks // load.tasks_per_request)
        self._holders = [struct.pack("<Q", _HOLDER + index) for index in range(load.samples)]
        self._variants: list[list[bytes]] = []
        variants = min(_VARIANTS, -(-load.requests // self._groups))
        for group in range(self._groups):
            first = group * load.tasks_per_request
            tasks = [_Task(first + number, load.run) for number in range(load.tasks_per_request)]
            self._variants.append([self._content(tasks) for _ in range(variants)])

    def _content(self, tasks: list[_Task]) -> bytes:
        request = ExportMetricsServiceRequest()
        for task in tasks:
            task.add_to(request, self._load.samples, self._load.began_ns)
        content: bytes = request.SerializeToString()
        return content

    def __iter__(self) -> Iterator[bytes]:
        load = self._load
        for number in range(load.requests):
            turn, group = divmod(number, self._groups)
            content = self._variants[group][turn % len(self._variants[group])]
            first_ns = load.began_ns + (load.first_round + turn) * load.samples * SECOND_NS
            for index, holder in enumerate(self._holders):
                content = content.replace(holder, struct.pack("<Q", first_ns + index * SECOND_NS))
            yield content


class _Pace:
    """Hands out requests, at most so many a second."""

    def __init__(self, requests: Requests, rate: float) -> None:
        self._requests = iter(requests)
        self._gap_s = 1.0 / rate if rate else 0.0
        self._due_s = time.perf_counter()

    async def next(self) -> bytes | None:
        """The next request when it is due; None after the last."""
        self._due_s += self._gap_s
        wait_s = self._due_s - time.perf_counter()
        if self._gap_s and wait_s > 0.001:
            await asyncio.sleep(wait_s)
        return next(self._requests, None)


@dataclass(slots=True)
class _Count:
    acknowledged: int = 0
    refused: int = 0
    worst_s: float = 0.0

    def answered(self, began_s: float, *, taken: bool) -> None:
        """An answer came."""
        self.worst_s = max(self.worst_s, time.perf_counter() - began_s)
        if taken:
            self.acknowledged += 1
        else:
            self.refused += 1


async def _http_connection(load: Load, pace: _Pace, count: _Count) -> None:
    host, _, port = load.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/metrics HTTP/1.1\r\nhost: {load.address}\r\ncontent-type: application/x-protobuf\r\n"
    while (content := await pace.next()) is not None:
        taken = False
        while not taken:
            began_s = time.perf_counter()
            writer.write(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            if length:
                await reader.readexactly(length)
            taken = answer.startswith(b"HTTP/1.1 200")
            count.answered(began_s, taken=taken)
            if not taken:
                await asyncio.sleep(0.2)
    writer.close()


async def _grpc_connection(load: Load, pace: _Pace, count: _Count) -> None:
    import grpc  # noqa: PLC0415 - HTTP alone does not pay for it

    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", 64 << 20)]
    async with grpc.aio.insecure_channel(load.address, options=options) as channel:
        export = channel.unary_unary(_EXPORT)
        while (content := await pace.next()) is not None:
            taken = False
            while not taken:
                began_s = time.perf_counter()
                try:
                    await export(content)
                    taken = True
                except grpc.aio.AioRpcError as error:
                    if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
                        raise
                    await asyncio.sleep(0.2)
                count.answered(began_s, taken=taken)


async def _send(load: Load, requests: Requests) -> Sent:
    pace, count = _Pace(requests, load.rate), _Count()
    connection = _http_connection if load.protocol == "http" else _grpc_connection
    began_s, cpu_s = time.perf_counter(), _cpu_s()
    await asyncio.gather(*(connection(load, pace, count) for _ in range(load.connections)))
    wall_s = time.perf_counter() - began_s
    return Sent(count.acknowledged, count.refused, wall_s, _cpu_s() - cpu_s, count.worst_s)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Make the requests, wait for the word, send them, say what became of them."""
    load = Load(**json.loads(sys.argv[1]))
    requests = Requests(load)
    print("ready", flush=True)
    sys.stdin.readline()
    uvloop.install()
    print(json.dumps(asdict(asyncio.run(_send(load, requests)))), flush=True)


if __name__ == "__main__":
    main()
