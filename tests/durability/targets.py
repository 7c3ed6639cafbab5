"""What strangers' bytes reach, as functions of bytes: each ends, soon, with an answer or one of our own errors.

What comes in: any bytes. What goes out: nothing; whatever a target must not do raises. Fuzzers of any kind call them.
"""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from stepsize.collector.config.service import default_text, parse
from stepsize.collector.decode.arrow import tables
from stepsize.collector.decode.decoder import Decoder
from stepsize.collector.limits import ClockBounds
from stepsize.collector.otlp.json_request import parse_json
from stepsize.collector.otlp.request import check_request, count_points
from stepsize.collector.server.content import decoded
from stepsize.collector.wal.format import HEADER, OVERHEAD_BYTES, segment_name
from stepsize.collector.wal.reader import Damage, read_records
from stepsize.errors import ConfigError, DataError, LakeError, UsageError
from stepsize.store.manifest import WalPosition, manifest_path, read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEADLINE_S = 5.0
WRITER = "11111111-2222-3333-4444-555555555555"


@contextlib.contextmanager
def soon() -> Iterator[None]:
    """A block that takes less than a deadline."""
    started_s = time.monotonic()
    yield
    took_s = time.monotonic() - started_s
    assert took_s < DEADLINE_S, f"took {took_s:.1f} s"


def protobuf(data: bytes) -> bytes | None:
    """A body of protobuf; what is kept of it, if anything."""
    with soon(), contextlib.suppress(DataError):
        return check_request(data).content
    return None


def stored(data: bytes) -> None:
    """A body of protobuf, as far as the lake's tables: all of its points or, where it is refused, none."""
    content = protobuf(data)
    if not content:
        return
    decoder = Decoder()
    batch = decoder.begin()
    with soon():
        decoder.add(batch, [content], [time.time_ns()])
        made = tables(batch, ClockBounds())
    rows = sum(table.num_rows for partitions in made.values() for table in partitions.values())
    assert rows == count_points(ExportMetricsServiceRequest.FromString(content))


def json_body(data: bytes) -> bytes | None:
    """A body of JSON; what is kept of it, if anything."""
    with soon(), contextlib.suppress(DataError):
        return check_request(parse_json(data).SerializeToString()).content
    return None


def compressed(data: bytes) -> None:
    """A compressed body: never more than its bound."""
    for encoding in ("gzip", "deflate", "zlib"):
        with soon(), contextlib.suppress(DataError, UsageError):
            assert len(decoded(data, encoding, 1 << 16, ("gzip", "deflate", "zlib"))) <= 1 << 16


def log(data: bytes, directory: Path) -> None:
    """A segment of the write-ahead log: every byte is part of a record or of what is reported, and none of both."""
    (directory / segment_name(1)).write_bytes(data)
    reported: list[Damage] = []
    spans: list[tuple[int, int]] = []
    with soon():
        for record, after in read_records(directory, WalPosition(), WalPosition(2**62), reported.append):
            spans.append((after.offset - OVERHEAD_BYTES - len(record.request), after.offset))
    if len(data) <= len(HEADER):
        return
    spans += [(one.start, one.end) for one in reported]
    expected = 0 if data[: len(HEADER)] != HEADER else len(HEADER)
    for start, end in sorted(spans):
        assert start == expected, (start, expected)
        expected = end
    assert expected == len(data)


def manifest(data: bytes, directory: Path) -> None:
    """A manifest: what it names lies in the lake."""
    path = manifest_path(directory, WRITER)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    with soon(), contextlib.suppress(LakeError):
        found = read_manifest(directory, WRITER)
        assert found.writer == WRITER
        for one in found.files:
            assert (directory / one.path).resolve().is_relative_to(directory.resolve())
            assert one.rows >= 0
        assert found.position >= WalPosition()


def config(data: bytes) -> None:
    """A configuration."""
    with soon(), contextlib.suppress(ConfigError):
        parse(data.decode("utf-8", "replace"), "otel-config.yaml", {})


def corpus() -> dict[str, list[bytes]]:
    """Valid examples for each target, to begin with."""
    from tests.collector.otlp import RequestBuilder, identity  # noqa: PLC0415 - only who begins needs them

    request = RequestBuilder(identity()).gauge("m", [(10**18, 1.5), (10**18 + 1, 2)])
    request.sum("stepsize.task.cpu.time", 10**18, [(10**18, 1.0)], unit="s", cpu__mode="user").end(10**18, "ok")
    as_json = {
        "resourceMetrics": [
            {
                "resource": {"attributes": [{"key": "a", "value": {"intValue": "1"}}]},
                "scopeMetrics": [
                    {
                        "metrics": [
                            {
                                "name": "m",
                                "gauge": {
                                    "dataPoints": [
                                        {"timeUnixNano": "1", "asDouble": "NaN", "exemplars": [{"traceId": "ab"}]}
                                    ]
                                },
                            }
                        ]
                    }
                ],
            }
        ]
    }
    row = {"table": "points", "partition": "day=2026-01-01", "name": "x.parquet", "rows": 1, "size_bytes": 2}
    named = {
        "version": 2,
        "writer": WRITER,
        "generation": 1,
        "sequence": 1,
        "position": {"segment": 1, "offset": 8},
        "files": [{**row, "level": 0}],
        "recent": "",
    }
    return {
        "protobuf": [request.content()],
        "stored": [request.content()],
        "json_body": [json.dumps(as_json).encode()],
        "config": [default_text().encode()],
        "manifest": [json.dumps(named).encode()],
    }


def by_name(directory: Path) -> dict[str, Callable[[bytes], object]]:
    """The targets, those with files using ``directory``."""
    return {
        "protobuf": protobuf,
        "stored": stored,
        "json_body": json_body,
        "compressed": compressed,
        "log": lambda data: log(data, directory),
        "manifest": lambda data: manifest(data, directory),
        "config": config,
    }
