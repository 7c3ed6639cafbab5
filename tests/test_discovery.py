"""How the parts on one machine find each other."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from stepsize import discovery
from stepsize.discovery import CollectorAddress
from stepsize.errors import LakeError
from stepsize.settings import Settings
from tests.places import short_directory


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In place of pytest's own: a path short enough for sockets."""
    with short_directory() as directory:
        yield directory


def _settings(tmp_path: Path, **environ: str) -> Settings:
    return Settings.load({"STEPSIZE_DATA": str(tmp_path / "d"), "STEPSIZE_RUNTIME": str(tmp_path / "r"), **environ})


def _address(machine: str) -> CollectorAddress:
    return CollectorAddress(pid=7, machine=machine, socket="/tmp/x.sock", token="t", embedded=True)


def test_the_runtime_directory_is_for_its_user_alone(tmp_path: Path) -> None:
    """Made with mode 0700 where it is missing."""
    made = discovery.runtime_dir(_settings(tmp_path))
    assert made == tmp_path / "r"
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


@pytest.mark.parametrize("variable", ["TMPDIR", "TEMP", "TMP"])
def test_without_a_place_of_its_own_it_lies_in_the_temporary_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """In the first that is there, of those that `tempfile` looks at."""
    for name in ("XDG_RUNTIME_DIR", "TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    (tmp_path / "t").mkdir()
    monkeypatch.setenv(variable, str(tmp_path / "t"))
    made = discovery.runtime_dir(Settings.load({"STEPSIZE_DATA": str(tmp_path / "d")}))
    assert made == tmp_path / "t" / f"stepsize-{os.getuid()}"


@pytest.mark.parametrize("mode", [0o1777, 0o755, 0o711])
def test_a_directory_that_others_use_is_left_as_it_is(tmp_path: Path, mode: int) -> None:
    """`STEPSIZE_RUNTIME=/tmp`: the sockets go into a private one in it, and /tmp stays everybody's."""
    (tmp_path / "r").mkdir()
    (tmp_path / "r").chmod(mode)
    made = discovery.runtime_dir(_settings(tmp_path))
    assert made == tmp_path / "r" / f"stepsize-{os.getuid()}"
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "r").stat().st_mode) == mode
    assert discovery.runtime_dir(_settings(tmp_path)) == made


@pytest.mark.parametrize("inside", [False, True])
def test_a_directory_that_others_may_tamper_with_is_refused(tmp_path: Path, inside: bool) -> None:
    """World-writable without the sticky bit, or with our own part of it open."""
    (tmp_path / "r").mkdir()
    (tmp_path / "r").chmod(0o1777 if inside else 0o777)
    if inside:
        (tmp_path / "r" / f"stepsize-{os.getuid()}").mkdir(mode=0o755)
    with pytest.raises(LakeError, match="others"):
        discovery.runtime_dir(_settings(tmp_path))


def test_pinned_settings_stay_where_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that sets XDG_RUNTIME_DIR, as GUI toolkits do, goes on talking to the agent it began with."""
    (tmp_path / "one").mkdir(mode=0o700)
    (tmp_path / "two").mkdir(mode=0o700)
    settings = Settings.load({"STEPSIZE_DATA": str(tmp_path / "d")})
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "one"))
    pinned = discovery.pinned(settings)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "two"))
    assert discovery.agent_socket(pinned).parent == tmp_path / "one" / "stepsize"
    assert discovery.agent_socket(settings).parent == tmp_path / "two" / "stepsize"


def test_a_link_in_place_of_the_runtime_directory_is_refused(tmp_path: Path) -> None:
    """Somebody else could have made it."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "r").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LakeError, match="STEPSIZE_RUNTIME"):
        discovery.runtime_dir(_settings(tmp_path))


def test_a_path_too_long_for_a_socket_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """Sockets' paths hold about a hundred bytes."""
    with pytest.raises(LakeError, match="STEPSIZE_RUNTIME to a shorter"):
        discovery.agent_socket(_settings(tmp_path, STEPSIZE_RUNTIME=str(tmp_path / ("x" * 100))))


def test_each_destination_has_its_own_agent(tmp_path: Path) -> None:
    """Points of one must never go to the other, nor to the same place with somebody else's credentials."""
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    settings = [
        _settings(tmp_path),
        _settings(tmp_path, **endpoint),
        _settings(tmp_path, **endpoint, OTEL_EXPORTER_OTLP_HEADERS="x-tenant=a"),
        _settings(tmp_path, **endpoint, OTEL_EXPORTER_OTLP_HEADERS="x-tenant=b"),
        _settings(tmp_path, **endpoint, OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE="/c.pem"),
    ]
    assert len({discovery.agent_socket(one) for one in settings}) == len(settings)
    assert not any("x-tenant" in one.destination for one in settings), "a header is a secret"


def test_the_address_is_read_back_and_only_its_owner_removes_it(tmp_path: Path) -> None:
    """A collector that ends late does not take away the file of the one that took over."""
    settings = _settings(tmp_path)
    settings.data.mkdir()
    mine = _address(discovery.machine_id())
    discovery.write_address(settings, mine)
    assert discovery.read_address(settings) == mine
    assert stat.S_IMODE((settings.data / discovery.DISCOVERY_FILE).stat().st_mode) == 0o600
    discovery.remove_address(settings, CollectorAddress(8, mine.machine, mine.socket, "u", embedded=False))
    assert discovery.read_address(settings) == mine
    discovery.remove_address(settings, mine)
    assert discovery.read_address(settings) is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", json.dumps({"pid": 1})])
def test_a_broken_or_foreign_address_is_nobody(tmp_path: Path, content: str) -> None:
    """A damaged file, or one of another machine on a shared disk, is no collector of ours."""
    settings = _settings(tmp_path)
    settings.data.mkdir()
    (settings.data / discovery.DISCOVERY_FILE).write_text(content)
    assert discovery.read_address(settings) is None
    discovery.write_address(settings, _address("another machine"))
    assert discovery.read_address(settings) is None


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """What fails leaves the old content and no litter."""
    path = tmp_path / "f"
    discovery.write_whole(path, b"old")
    with pytest.raises(TypeError):
        discovery.write_whole(path, "not bytes")  # type: ignore[arg-type]  # the failure under test
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["f"]
