"""Who may serve a directory, and what is said to who may not."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from stepsize.collector import control
from stepsize.discovery import DISCOVERY_FILE, read_address
from tests.collector.otlp import RequestBuilder, identity
from tests.collector.running import CONFIG, post_to_socket, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.collector.running import Place


def finish(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Exit code, and everything it said."""
    out, err = process.communicate(timeout=30)
    assert out == b""
    return process.returncode, err.decode()


def test_embedded_listens_to_nobody(place: Place) -> None:
    """An embedded collector has no TCP port, says `ready` and nothing else, and ends with its standard input."""
    process = place.embedded()
    tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children()]
    assert not [one for each in tree for one in each.net_connections("inet")]
    address = read_address(place.settings)
    assert address
    assert (address.pid, address.embedded) == (process.pid, True)
    assert (place.settings.data / DISCOVERY_FILE).stat().st_mode & 0o777 == 0o600
    out, err = process.communicate(timeout=30)  # closes its standard input
    assert (process.returncode, out, err) == (0, b"", b"")
    assert read_address(place.settings) is None


def test_takes_over_from_an_embedded_one(place: Place) -> None:
    """A full collector asks an embedded one to end, which loses nothing, and serves in its place."""
    embedded = place.embedded()
    request = RequestBuilder(identity()).gauge("m", [(time.time_ns(), 1.0)])
    assert post_to_socket(place.settings, "/v1/metrics", request.content())[0] == 200
    collector = place.collect()
    assert embedded.wait(20) == 0
    address = read_address(place.settings)
    assert address
    assert (address.pid, address.embedded) == (collector.process.pid, False)
    assert place.rows("SELECT value FROM points") == [(1.0,)]
    assert control.stop(place.settings, 20.0)
    assert collector.process.wait(20) == 0


@pytest.mark.parametrize("first", ["full", "embedded"])
def test_one_collector_each_directory(place: Place, first: str) -> None:
    """A second collector is told in one line who is there; the first serves on."""
    holder = place.collect().process if first == "full" else place.embedded()
    code, said = finish(place.spawn("--embedded", "--data", str(place.settings.data)))
    assert (code, said.count("\n")) == (1, 1)
    assert f"pid {holder.pid}" in said
    assert control.flush(place.settings, 10.0) is control.Answer.DONE


def test_full_collector_does_not_end_a_full_one(place: Place) -> None:
    """A full collector on a served directory exits with 1 and one line that names the other's pid."""
    holder = place.collect()
    (place.home / "other.yaml").write_text(CONFIG)
    second = place.spawn("--config", str(place.home / "other.yaml"), "--data", str(place.settings.data))
    code, said = finish(second)
    assert (code, said.count("\n")) == (1, 1)
    assert f"pid {holder.process.pid}" in said


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_port_in_use(place: Place, protocol: str) -> None:
    """A port in use is one line with the address and the key to change, exit code 1."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config = place.home / "otel-config.yaml"
        config.write_text(
            CONFIG.replace(f'{protocol}: {{endpoint: "127.0.0.1:0"', f'{protocol}: {{endpoint: "127.0.0.1:{port}"')
        )
        code, said = finish(place.spawn("--config", str(config), "--data", str(place.settings.data)))
    assert (code, said.count("\n")) == (1, 1)
    assert f"127.0.0.1:{port}" in said
    assert f"receivers.otlp.protocols.{protocol}.endpoint" in said


def test_unusable_directories(place: Place) -> None:
    """A data directory that is a file, or under one that may not be written, is one line and exit code 1."""
    file = place.home / "file"
    file.touch()
    for data in (file, file / "below"):
        code, said = finish(place.spawn("--embedded", "--data", str(data)))
        assert (code, said.count("\n")) == (1, 1)
        assert str(data) in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_directory_without_permission(place: Place) -> None:
    """A data directory that may not be written is one line and exit code 1."""
    closed: Path = place.home / "closed"
    closed.mkdir(mode=0o500)
    code, said = finish(place.spawn("--embedded", "--data", str(closed / "lake")))
    assert (code, said.count("\n")) == (1, 1)
    assert "ermission" in said


def test_newer_lake(place: Place) -> None:
    """A lake of a newer stepsize is left alone, with one line."""
    place.settings.data.mkdir()
    (place.settings.data / "schema.json").write_text('{"schema_version": 999}')
    code, said = finish(place.spawn("--embedded", "--data", str(place.settings.data)))
    assert (code, said.count("\n")) == (1, 1)
    assert "update stepsize" in said
    assert not (place.settings.data / "stepsize.duckdb").exists()


def test_killed_collectors_leave_nothing_in_the_way(place: Place) -> None:
    """The socket and discovery file of a killed collector neither answer nor keep the next one from starting."""
    process = place.embedded()
    process.kill()
    process.wait()
    assert read_address(place.settings)
    assert control.flush(place.settings, 2.0) is control.Answer.NOBODY
    again = wait_for(place.embedded, "a collector")
    assert control.flush(place.settings, 10.0) is control.Answer.DONE
    assert again.poll() is None


def test_ends_when_its_directory_is_deleted(place: Place) -> None:
    """A collector whose directory was deleted under it ends by itself, and the next one starts afresh there."""
    process = place.embedded()
    shutil.rmtree(place.settings.data)
    assert process.wait(20) == 0
    again = place.embedded()
    assert control.flush(place.settings, 10.0) is control.Answer.DONE
    assert again.poll() is None
