"""What a kill leaves of a file, and what becomes of it when its exporter goes on."""

from __future__ import annotations

import os
import struct
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.collector.otlp.json_request import parse_json
from stepsize.collector.pipelines.file_writer import FileWriter
from stepsize.errors import UnavailableError
from tests.collector.pipelines.logs import exporter, request

NOW = datetime(2026, 11, 22, tzinfo=timezone.utc)
REQUESTS = [request(1.0), request(2.0, 3.0), request(*map(float, range(500)))]
KINDS = pytest.mark.parametrize("kind", ["json", "proto"])


def write(path: Path, kind: str, requests: list[bytes]) -> None:
    """Go on with a file."""
    writer = FileWriter(exporter("file", path=str(path), format=kind, append=True), keep=False, now=lambda: NOW)
    for one in requests:
        writer.consume(one)
    writer.flush()
    writer.close()


def read(path: Path, kind: str) -> list[bytes]:
    """The requests of a file, all of which has to be requests."""
    content = path.read_bytes()
    if kind == "json":
        assert not content or content.endswith(b"\n")
        return [parse_json(line).SerializeToString() for line in content.split(b"\n")[:-1]]
    found = []
    while content:
        (length,) = struct.unpack(">I", content[:4])
        assert len(content) >= 4 + length
        found.append(content[4 : 4 + length])
        content = content[4 + length :]
    return found


@KINDS
@given(st.lists(st.sampled_from(REQUESTS), max_size=4), st.integers(0, 100_000), st.sampled_from(REQUESTS))
def test_cut_anywhere(kind: str, before: list[bytes], cut: int, after: bytes) -> None:
    """Of a file that ends anywhere the whole requests stay, the part of one goes, and what follows can be read."""
    with TemporaryDirectory() as directory:
        path = Path(directory, "data")
        write(path, kind, before)
        kept_bytes = min(cut, path.stat().st_size)
        os.truncate(path, kept_bytes)
        write(path, kind, [after])
        found = read(path, kind)
    assert found[-1] == after
    assert found[:-1] == before[: len(found) - 1]
    sizes = [_size(kind, one) for one in before]
    assert len(found) - 1 == max(count for count in range(len(sizes) + 1) if sum(sizes[:count]) <= kept_bytes)


def _size(kind: str, one: bytes) -> int:
    with TemporaryDirectory() as directory:
        write(path := Path(directory, "data"), kind, [one])
        return path.stat().st_size


def test_a_file_of_somebody_else(tmp_path: Path) -> None:
    """What was there before and is none of ours stays: lines go below it, lengths cannot and say so."""
    path = tmp_path / "notes"
    path.write_text("first\nsecond, without an end")
    write(path, "json", REQUESTS[:1])
    first, second, line, rest = path.read_text().split("\n")
    assert (first, second, rest) == ("first", "second, without an end", "")
    assert parse_json(line.encode()).SerializeToString() == REQUESTS[0]
    path.write_text('{"a user": "file"}')
    with pytest.raises(UnavailableError, match="holds something else than requests after their lengths"):
        write(path, "proto", REQUESTS[:1])
    assert path.read_text() == '{"a user": "file"}'


def test_a_device() -> None:
    """What is no regular file is written to, and neither cut nor synced."""
    write(Path(os.devnull), "json", REQUESTS)
