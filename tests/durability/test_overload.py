"""More load than a collector can take, for ten minutes (`make soak`): it stays within its memory and loses nothing.

How long is what ``STEPSIZE_OVERLOAD_SECONDS`` says; the report is printed, and written where
``STEPSIZE_OVERLOAD_RESULT`` says.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stepsize.collector import control
from tests.durability.flood import POINTS

if TYPE_CHECKING:
    from tests.collector.running import RunningCollector
    from tests.durability.site import Site

_ROOT = Path(__file__).resolve().parents[2]
_SECONDS = float(os.environ.get("STEPSIZE_OVERLOAD_SECONDS", "600"))
_RESULT = os.environ.get("STEPSIZE_OVERLOAD_RESULT")
_DRAIN_S = 600.0
_FLOODS, _CONNECTIONS = 2, 64
_INGEST_MIB, _SINK_MIB = 256, 512
_CONFIG = f"""
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:0"}}}}}}}}
processors: {{memory_limiter: {{check_interval: 1s, limit_mib: {_INGEST_MIB}}}}}
exporters: {{parquet: {{write_ahead_log: {{max_size: 64MiB, segment_size: 8MiB}}}}}}
service: {{pipelines: {{metrics: {{receivers: [otlp], processors: [memory_limiter], exporters: [parquet]}}}}}}
"""
_NUISANCES = {
    "oversize, said: 413",
    "oversize, chunked: 413",
    "oversize, chunked: connection ended",  # the answer came, and behind it the end of what was still being sent
    "bomb: 413",
    "bomb: 400",
}
"""What those that are wrong for good may be answered; of all others the answer is to come again."""
_STORED = "SELECT value_int, count(*), bit_xor(hash(time_unix_nano)) FROM exact_points GROUP BY 1 ORDER BY 1"
"""The number of each request, how many points it has, and what stands for their times."""


def peak_mib(pid: int) -> float:
    """The most memory that a process has had so far."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found, "it has ended"
    return int(found[1]) / 1024


@dataclass
class Load:
    """What is done to a collector, by processes of its own."""

    site: Site
    collector: RunningCollector

    def run(self) -> tuple[list[int], Counter[str], Counter[str]]:
        """All of it: the numbers that were acknowledged, what else the floods were answered, and the nuisances."""
        host, port = self.collector.http.split(":")
        floods = [
            self._start("flood", host, port, str(_SECONDS), str(_CONNECTIONS), str(index << 40))
            for index in range(_FLOODS)
        ]
        nuisance = self._start("nuisance", host, port, str(_SECONDS))
        found = [self._result(flood) for flood in floods]
        acknowledged = sorted(number for one in found for number in one["acknowledged"])
        refused: Counter[str] = sum((Counter(one["answers"]) for one in found), Counter())
        return acknowledged, refused, Counter(self._result(nuisance))

    def _start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"tests.durability.{module}", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=_ROOT)
        self.site.processes.append(process)
        return process

    def _result(self, process: subprocess.Popen[bytes]) -> Any:
        return json.loads(process.communicate(timeout=_SECONDS + 120)[0])


@pytest.mark.soak
def test_overload(plain_site: Site) -> None:
    """Refusals are retryable, receiver and sink stay below their limits, and what was acknowledged is stored once."""
    plain_site.config = _CONFIG
    collector = plain_site.collect()
    pids = {"receiver": collector.process.pid, "sink": collector.sink().pid}
    acknowledged, refused, nuisances = Load(plain_site, collector).run()
    loaded_s = time.monotonic()
    assert control.flush(plain_site.settings, _DRAIN_S) is control.Answer.DONE
    drained_s = time.monotonic() - loaded_s
    peaks_mib = {name: peak_mib(pid) for name, pid in pids.items()}
    stored = plain_site.rows(_STORED)
    report = _report(acknowledged, refused, nuisances, peaks_mib, len(stored), drained_s)
    print(report)
    if _RESULT:
        Path(_RESULT).write_text(report)
    assert acknowledged
    assert refused, "that was no overload"
    assert set(refused) <= {"503 retry-after", "429 retry-after"}
    wrong = {what for what in nuisances if what.startswith(("oversize", "bomb")) and "retry-after" not in what}
    assert wrong <= _NUISANCES
    assert peaks_mib["receiver"] < _INGEST_MIB
    assert peaks_mib["sink"] < _SINK_MIB
    assert "ended with" not in plain_site.said(), plain_site.said()
    assert {count for _, count, _ in stored} == {POINTS}
    assert len({times for *_, times in stored}) == _FLOODS, "of a flood's requests each has the same times"
    assert set(acknowledged) <= {number for number, _, _ in stored}
    assert collector.terminate() == 0


def _report(
    acknowledged: list[int],
    refused: Counter[str],
    nuisances: Counter[str],
    peaks_mib: dict[str, float],
    stored: int,
    drained_s: float,
) -> str:
    limits = {"receiver": _INGEST_MIB, "sink": _SINK_MIB}
    peaks = "\n".join(f"| {name} | {peak:.0f} | {limits[name]} |" for name, peak in peaks_mib.items())
    answers = "\n".join(f"| {what} | {count} |" for what, count in sorted(nuisances.items()))
    return f"""# A collector under more load than it can take

`STEPSIZE_OVERLOAD_SECONDS={_SECONDS:.0f} pytest -m soak -s tests/durability/test_overload.py` on
{platform.platform()}, {os.cpu_count()} cores, a load of {os.getloadavg()[1]:.0f}, Python {platform.python_version()}:
{_FLOODS} processes of {_CONNECTIONS} connections each send requests of {POINTS} points as fast as they are answered, to
a log of 64 MiB at most, beside clients that are slow, too many, too large or never read.

- {len(acknowledged)} requests acknowledged, {len(acknowledged) / _SECONDS:.0f}/s; {stored} in the lake
  {drained_s:.0f} s after the load's end, each point once, none of those acknowledged missing;
- refused, and told to come again: {", ".join(f"{count} with {what}" for what, count in sorted(refused.items()))}.

| process | peak MiB | limit MiB |
| --- | --- | --- |
{peaks}

| nuisance: answer | times |
| --- | --- |
{answers}
"""
