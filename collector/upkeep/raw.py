"""Requests that are not in the lake: in a write-ahead log, set aside beside it, or in an agent's spool.

What comes in: bytes, and who is meant. What goes out: whether points of theirs are in them, and requests without those.
Never changes a segment of a log (`stepsize.collector.upkeep.logs` does).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from stepsize.collector.decode.values import attributes
from stepsize.collector.decode.vocabulary import find_tags
from stepsize.collector.state import LOGS
from stepsize.collector.wal.reader import read_records
from stepsize.discovery import write_whole
from stepsize.store.erasure import Subject, whose
from stepsize.store.manifest import WalPosition

if TYPE_CHECKING:
    from pathlib import Path

    from stepsize.store.erasure import Matcher

_ASIDE = "*.bin"
_END = WalPosition(segment=2**62)


def without(message: Any, matcher: Matcher) -> int:
    """Take the points that are meant out of an ``ExportMetricsServiceRequest``; how many there were."""
    taken = 0
    for one in message.resource_metrics:
        resource = attributes(one.resource.attributes)
        for scope in one.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                if kind is None:
                    continue
                points = getattr(metric, kind).data_points
                kept = [point for point in points if not _is_meant(resource, point, matcher)]
                taken += len(points) - len(kept)
                if len(kept) < len(points):
                    del points[:]
                    points.extend(kept)
            _drop_empty(scope.metrics, lambda metric: not _points_of(metric))
        _drop_empty(one.scope_metrics, lambda scope: not scope.metrics)
    _drop_empty(message.resource_metrics, lambda one: not one.scope_metrics)
    return taken


def count_in_log(directory: Path, matcher: Matcher) -> int:
    """How many points that are meant a state directory's logs hold, and the files set aside beside the main one."""
    found = 0
    for log in (directory, *(directory / LOGS).glob("*")):
        for record, _ in read_records(log, WalPosition(), _END):
            found += _count(record.request, matcher)
    for path in directory.glob(_ASIDE):
        found += _count(path.read_bytes(), matcher)
    return found


def erase_aside(directory: Path, matcher: Matcher) -> int:
    """Take what is meant out of the files set aside in a log's directory; how many points that were.

    Bytes that are no request are deleted where they hold a name that is meant: whose they are nobody can tell.
    """
    taken = 0
    for path in directory.glob(_ASIDE):
        content = path.read_bytes()
        found = _count(content, matcher)
        if not found:
            continue
        taken += found
        message = parsed(content)
        if message is not None and without(message, matcher) and message.resource_metrics:
            write_whole(path, message.SerializeToString(), mode=0o600)
        else:
            path.unlink(missing_ok=True)
    return taken


def _count(content: bytes, matcher: Matcher) -> int:
    """Points in a request that are meant; 1 for bytes that are none and hold the name that is."""
    message = parsed(content)
    if message is not None:
        return without(message, matcher)
    selection = matcher.selection
    name = (selection.user or selection.run or selection.flow or "").encode()
    return int(bytes([len(name) & 0x7F]) + name in content if len(name) < 128 else name in content)


def parsed(content: bytes) -> Any | None:
    """The ``ExportMetricsServiceRequest`` in ``content``; None where that is none."""
    try:
        return ExportMetricsServiceRequest.FromString(content)
    except DecodeError:
        return None


def _is_meant(resource: dict[str, Any], point: Any, matcher: Matcher) -> bool:
    said = attributes(point.attributes)
    user, project = whose(resource, said)
    return matcher.is_meant(Subject(*find_tags(resource, said), user, project))


def _points_of(metric: Any) -> Any:
    kind = metric.WhichOneof("data")
    return getattr(metric, kind).data_points if kind else ()


def _drop_empty(messages: Any, is_empty: Any) -> None:
    kept = [message for message in messages if not is_empty(message)]
    if len(kept) < len(messages):
        del messages[:]
        messages.extend(kept)
