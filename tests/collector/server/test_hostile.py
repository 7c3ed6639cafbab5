"""What senders write is data: no name becomes a path, a piece of SQL or a line of a log."""

from __future__ import annotations

import re
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stepsize.collector.access.directories import exposed
from tests.collector.otlp import SECOND, RequestBuilder
from tests.collector.running import DEADLINE_S

if TYPE_CHECKING:
    from tests.collector.running import Place

NAMES = [
    "../../../../tmp/stepsize-was-here",
    "/etc/passwd",
    "o'clock'; DROP VIEW tasks; --",
    'quoted "name" \\ and `backticks` $(touch here) ${HOME} %s {x}',
    "two\nlines\r\nstepsize collect: forged\x1b[31m",
    "nul\0and\x01\x7f",
    "snow \N{SNOWMAN} \N{PILE OF POO} \u202e \ufeff",
    "x" * 10_240,
    "day=1970-01-01",
    "NULL",
    " ",
]
CONFIG = """
receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:0"}}}}
exporters: {parquet: {}, debug: {verbosity: normal}}
service: {pipelines: {metrics: {receivers: [otlp], exporters: [parquet, debug]}}}
"""
FILES = re.compile(r"[\w=.-]+(/[\w=.-]+){0,2}")
"""Our own names: table, day or month, writer and number."""


def test_names_of_everything(place: Place) -> None:
    """Names in every place of a request come back as they were sent, and leave no file, view or line of their own."""
    collector = place.collect(CONFIG)
    now = time.time_ns()
    for name in NAMES:
        tags = ("stepsize.flow.name", "stepsize.run.id", "stepsize.step.name", "stepsize.task.id", "stepsize.user")
        resource = {**dict.fromkeys(tags, name), name: name, "stepsize.task.attempt": 0, "host.name": name}
        request = RequestBuilder(resource).gauge("stepsize.task.cpu.usage", [(now, 1.0)], **{name: name})
        request.gauge(name, [(now + SECOND, 2.0)], unit=name).end(now + 2 * SECOND, "ok")
        request.message.resource_metrics[0].scope_metrics[0].scope.name = name
        request.message.resource_metrics[0].schema_url = name
        assert collector.post(request.content())[0] == 200
    collector.flush()
    for column in ("flow", "run", "step", "task"):
        assert {found for (found,) in place.rows(f"SELECT {column} FROM points")} == set(NAMES)
        assert {found for (found,) in place.rows(f"SELECT {column} FROM tasks")} == set(NAMES)
    assert {found for (found,) in place.rows("SELECT metric FROM points")} >= set(NAMES)
    assert {found for (found,) in place.rows("SELECT host FROM points")} == set(NAMES)
    views = {found for (found,) in place.rows("SELECT view_name FROM duckdb_views() WHERE NOT internal")}
    assert {"tasks", "points"} <= views
    data = place.settings.data
    assert data.stat().st_mode & 0o777 == 0o700
    written = [str(path.relative_to(data)) for path in data.rglob("*") if path.is_file()]
    assert [path for path in written if not FILES.fullmatch(path)] == []
    assert not {part for path in written for part in path.split("/")} & {"passwd", "NULL", "x" * 10_240, NAMES[0]}
    assert {path.name for path in place.home.iterdir()} <= {"lake", "config.yaml", ".stepsize", ".cache"}
    collector.process.send_signal(signal.SIGTERM)
    assert collector.process.stderr
    lines = collector.process.stderr.read().decode().splitlines()
    assert collector.process.wait(DEADLINE_S) == 0
    assert lines
    for line in lines:
        assert line.isprintable()
        assert line.startswith("stepsize collect: ")
        assert not line.startswith("stepsize collect: forged")


def test_open_directories_are_told(place: Place, tmp_path: Path) -> None:
    """A data directory that others may write to is served, with a line that says so."""
    data = place.settings.data
    data.mkdir()
    data.chmod(0o777)
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG)
    process = place.spawn("--config", str(file), "--data", str(data))
    assert process.stderr
    line = process.stderr.readline().decode()
    assert f"warn: {data} can be written to by others (mode 0777)" in line


@pytest.mark.parametrize(("mode", "is_exposed"), [(0o700, False), (0o755, False), (0o770, True), (0o757, True)])
def test_modes(tmp_path: Path, mode: int, is_exposed: bool) -> None:
    """Others may read what its owner lets them read; that they may write is said."""
    directory = tmp_path / "lake"
    directory.mkdir()
    directory.chmod(mode)
    assert bool(exposed([directory, tmp_path / "nowhere"])) == is_exposed


def test_many_connections(place: Place) -> None:
    """A collector allows itself as many files as its system lets it."""
    resource = pytest.importorskip("resource", reason="not on Windows")
    if sys.platform != "linux":
        pytest.skip("limits are read from /proc")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    collector = place.collect()
    limits = Path(f"/proc/{collector.process.pid}/limits").read_text()
    soft = re.search(r"Max open files\s+(\S+)", limits)
    assert soft
    assert soft[1] in (str(hard), "unlimited")
