"""What agents of this machine keep until somebody takes it, searched and rid of points that are meant.

What comes in: the directory of spools, and who is meant. What goes out: counts, and requests without those points. An
agent may be sending meanwhile: a file that it takes away is its business, and what it sends is found in the lake.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import zlib
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from stepsize.collector.otlp.json_request import parse_json
from stepsize.collector.upkeep.raw import without
from stepsize.discovery import write_whole
from stepsize.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stepsize.store.erasure import Matcher

_NAME = re.compile(r"(?P<time>\d{20})-(?P<points>\d+)-(?P<salt>[0-9a-f]{8})\.(pb|json)\.gz")
"""As `stepsize.instrumentation.agent.spool` names them."""


def count_spooled(directory: Path, matcher: Matcher) -> int:
    """How many points that are meant wait in the spools in ``directory``."""
    return sum(without(message, matcher) for _, message in _requests(directory))


def erase_spooled(directory: Path, matcher: Matcher) -> int:
    """Take what is meant out of the spools in ``directory``; how many points that were."""
    taken = 0
    for path, message in _requests(directory):
        found = without(message, matcher)
        if not found:
            continue
        taken += found
        match = _NAME.fullmatch(path.name)
        if message.resource_metrics and match is not None:
            left = int(match["points"]) - found
            rest = path.with_name(f"{match['time']}-{left}-{match['salt']}.pb.gz")
            write_whole(rest, gzip.compress(message.SerializeToString(), 1, mtime=0), mode=0o600)
            if rest == path:
                continue
        path.unlink(missing_ok=True)
    if taken:
        for path in directory.glob("*/*.damaged"):  # whose points are in it nobody can tell
            path.unlink(missing_ok=True)
    return taken


def _requests(directory: Path) -> Iterator[tuple[Path, Any]]:
    for path in sorted(directory.glob("*/*.gz")):
        with contextlib.suppress(FileNotFoundError, EOFError, zlib.error, gzip.BadGzipFile, DecodeError, DataError):
            content = gzip.decompress(path.read_bytes())
            is_json = path.name.endswith(".json.gz")
            yield path, parse_json(content) if is_json else ExportMetricsServiceRequest.FromString(content)
