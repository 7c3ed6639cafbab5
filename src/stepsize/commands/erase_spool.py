"""What agents of this machine keep until somebody takes it, searched and rid of points that are meant.

What comes in: the spools' directories, and who is meant. What goes out: counts, and requests without those points. An
agent may be sending meanwhile: a file that it takes away is its business, and what it sends is found in the lake.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from stepsize.collector.otlp.json_request import parse_json
from stepsize.collector.upkeep.raw import without
from stepsize.errors import DataError
from stepsize.instrumentation.agent.delivery import Encoding, Request
from stepsize.instrumentation.agent.spool_files import compressed, damaged_files, entries, read_entry, write_entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from stepsize.instrumentation.agent.spool_files import Entry
    from stepsize.store.erasure import Matcher


def count_spooled(directories: Iterable[Path], matcher: Matcher) -> int:
    """How many points that are meant wait in these spools."""
    return sum(without(message, matcher) for directory in directories for _, message in _requests(directory))


def erase_spooled(directories: Iterable[Path], matcher: Matcher) -> int:
    """Take what is meant out of these spools; how many points that were."""
    directories = list(directories)
    taken = sum(_erase_in(directory, matcher) for directory in directories)
    if taken:
        for directory in directories:
            for path in damaged_files(directory):  # whose points are in it nobody can tell
                path.unlink(missing_ok=True)
    return taken


def _erase_in(directory: Path, matcher: Matcher) -> int:
    taken = 0
    for entry, message in _requests(directory):
        found = without(message, matcher)
        if not found:
            continue
        taken += found
        if message.resource_metrics:
            rest = Request(message.SerializeToString(), entry.points - found)
            write_entry(directory, rest, compressed(rest), entry.time_unix_nano)
        entry.path.unlink(missing_ok=True)
    return taken


def _requests(directory: Path) -> Iterator[tuple[Entry, Any]]:
    for entry in entries(directory):
        with contextlib.suppress(FileNotFoundError, DecodeError, DataError):
            request = read_entry(entry)
            is_json = request.encoding is Encoding.JSON
            yield entry, parse_json(request.body) if is_json else ExportMetricsServiceRequest.FromString(request.body)
