"""Time-series databases that hold the same points: VictoriaMetrics and Prometheus, as Debian packages them.

What comes in: rows of `points`. What goes out: bytes a point once everything is merged, and what a query costs. Their
packages are downloaded once and unpacked below `.peers/`, nothing is installed. Both keep milliseconds, and neither the
time of arrival nor integers apart; a series' labels are what our columns hold of it, shared by all its points.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

_ROOT = Path(__file__).resolve().parent.parent / ".peers"
_LABELS = ("flow", "run", "step", "task", "attempt", "host", "service", "unit")
_MS = 10**6
_PART_ROWS = 600
_DEADLINE_S = 300.0
_ASKED = 5
_HELD = 10


@dataclass(frozen=True, slots=True)
class Package:
    """A Debian package, at the version that the figures are quoted for."""

    name: str
    version: str
    program: str

    def unpacked(self) -> Path:
        """The program, which is downloaded where it is missing.

        Raises:
            OSError, subprocess.CalledProcessError: it cannot be had here.
        """
        directory = _ROOT / f"{self.name}-{self.version}"
        program = directory / "usr" / "bin" / self.program
        if not program.exists():
            directory.mkdir(parents=True, exist_ok=True)
            asked = ["apt-get", "download", f"{self.name}={self.version}"]
            subprocess.run(asked, cwd=directory, check=True, capture_output=True)
            (package,) = directory.glob("*.deb")
            subprocess.run(["dpkg-deb", "-x", package, directory], check=True)
            package.unlink()
        return program


VICTORIA_METRICS = Package("victoria-metrics", "1.79.5+ds1-2+b5", "victoria-metrics")
PROMETHEUS = Package("prometheus", "2.42.0+ds-5+deb12u1", "promtool")


@dataclass(frozen=True, slots=True)
class Held:
    """What a database made of the points.

    Attributes:
        bytes_a_point: on disk, all files together.
        index_bytes_a_point: those of them that find series by their labels.
        query_cpu_ms: CPU time of the mean of one metric by flow; None where that was not asked.
    """

    bytes_a_point: float
    index_bytes_a_point: float
    query_cpu_ms: float | None = None


class Series:
    """One series: its labels, times in milliseconds, values."""

    def __init__(self, rows: pa.Table) -> None:
        row = rows.slice(0, 1).to_pylist()[0]
        self.name = row["metric"].replace(".", "_")
        attributes = json.loads(row["attributes"])
        labels = {name: row[name] for name in _LABELS if row[name] is not None} | attributes
        self.labels = {name.replace(".", "_"): str(value) for name, value in labels.items()}
        self.times = [time_ns // _MS for time_ns in rows["time_unix_nano"].to_pylist()]
        kind = "value_double" if rows["value_int"].null_count else "value_int"
        self.values = rows[kind].to_pylist()


def series(points: pa.Table, rows: int) -> Iterator[Series]:
    """The series of points that lie by series, of ``rows`` points each."""
    for start in range(0, points.num_rows, rows):
        yield Series(points.slice(start, rows))


def in_victoria_metrics(points: pa.Table, rows: int, directory: Path) -> Held:
    """Import the points as they would come, a part of each series after the other, and have all of it merged."""
    port = _free_port()
    command = [VICTORIA_METRICS.unpacked(), f"-storageDataPath={directory}", f"-httpListenAddr=127.0.0.1:{port}"]
    process = subprocess.Popen([*command, "-retentionPeriod=100y"], stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    end_s = points["time_unix_nano"][-1].as_py() // 10**9 + 1
    try:
        _until(lambda: _get(f"{address}/health") == b"OK", "VictoriaMetrics")
        for start in range(0, rows, _PART_ROWS):
            lines = (_import_line(one, start) for one in series(points, rows))
            _post(f"{address}/api/v1/import", "\n".join(lines).encode())
        _get(f"{address}/internal/force_flush")
        _get(f"{address}/internal/force_merge")
        _until(lambda: _is_merged(_get(f"{address}/metrics").decode()), "the merge")
        if _count(address, end_s) != points.num_rows:
            raise AssertionError("VictoriaMetrics does not hold all points")
        query_cpu_ms = _asked(address, psutil.Process(process.pid), end_s)
    finally:
        process.terminate()
        process.wait()
    index = _size(directory / "indexdb")
    return Held((_size(directory / "data") + index) / points.num_rows, index / points.num_rows, query_cpu_ms)


def in_prometheus(points: pa.Table, rows: int, directory: Path) -> Held:
    """Make blocks of the points, as Prometheus' own tool does of another's data."""
    text, blocks = directory / "points.txt", directory / "blocks"
    with text.open("w") as file:
        before = ""
        for one in sorted(series(points, rows), key=lambda one: one.name):
            if one.name != before:
                file.write(f"# TYPE {one.name} gauge\n")
                before = one.name
            labels = ",".join(f'{name}="{value}"' for name, value in one.labels.items())
            for time_ms, value in zip(one.times, one.values, strict=True):
                file.write(f"{one.name}{{{labels}}} {value} {time_ms / 1000:.3f}\n")
        file.write("# EOF\n")
    subprocess.run([PROMETHEUS.unpacked(), "tsdb", "create-blocks-from", "openmetrics", "-q", text, blocks], check=True)
    text.unlink()
    index = sum(path.stat().st_size for path in blocks.glob("*/index"))
    return Held(_size(blocks) / points.num_rows, index / points.num_rows)


def _import_line(one: Series, start: int) -> str:
    end = start + _PART_ROWS
    metric = {"__name__": one.name, **one.labels}
    return json.dumps({"metric": metric, "values": one.values[start:end], "timestamps": one.times[start:end]})


def _is_merged(metrics: str) -> bool:
    busy = re.findall(
        r"^vm_(?:active_merges|pending_rows|active_force_merges)(?:\{[^}]*\})? (\S+)$", metrics, re.MULTILINE
    )
    return bool(busy) and not any(map(float, busy))


def _asked(address: str, process: psutil.Process, end_s: int) -> float:
    """CPU milliseconds of one query, the mean of some."""
    before_s = sum(process.cpu_times()[:2])
    for _ in range(_ASKED):
        _answer(address, "avg(avg_over_time(stepsize_task_cpu_usage[2h])) by (flow)", end_s)
    return (sum(process.cpu_times()[:2]) - before_s) / _ASKED * 1e3


def _count(address: str, end_s: int) -> int:
    """How many points it holds."""
    (found,) = _answer(address, 'sum(count_over_time({__name__=~".+"}[2h]))', end_s)
    return int(found["value"][1])


def _answer(address: str, query: str, end_s: int) -> list[dict[str, Any]]:
    options = urllib.parse.urlencode({"query": query, "time": end_s, "nocache": 1})
    return list(json.loads(_get(f"{address}/api/v1/query?{options}"))["data"]["result"])


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=_DEADLINE_S) as answer:
        return bytes(answer.read())


def _post(url: str, content: bytes) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, content), timeout=_DEADLINE_S):
        pass


def _until(condition: Callable[[], bool], what: str) -> None:
    """Return once ``condition`` has held for a while: work that was asked for begins a moment later."""
    deadline_s, held = time.monotonic() + _DEADLINE_S, 0
    while held < _HELD:
        if time.monotonic() >= deadline_s:
            raise TimeoutError(f"{what} is not there after {_DEADLINE_S:g} s")
        time.sleep(0.1)
        try:
            held = held + 1 if condition() else 0
        except OSError:
            held = 0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
