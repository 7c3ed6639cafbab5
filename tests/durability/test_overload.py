"""More load than a collector can take, for ten minutes (`make soak`): it stays within its memory and loses nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from stepsize.collector import control
from tests.durability.flood import POINTS
from tests.durability.site import Site

_ROOT = Path(__file__).resolve().parents[2]
_SECONDS = float(os.environ.get("STEPSIZE_OVERLOAD_SECONDS", "600"))
_DRAIN_S = 600.0
_MIB = 1 << 20
_INGEST_MIB, _SINK_MIB = 256, 768
_CONFIG = f"""
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:0"}}}}}}}}
processors: {{memory_limiter: {{check_interval: 1s, limit_mib: {_INGEST_MIB}}}}}
exporters: {{parquet: {{write_ahead_log: {{max_size: 64MiB, segment_size: 8MiB}}}}}}
service: {{pipelines: {{metrics: {{receivers: [otlp], processors: [memory_limiter], exporters: [parquet]}}}}}}
"""


def resident_mib(process: psutil.Process) -> float:
    try:
        return process.memory_info().rss / _MIB
    except psutil.NoSuchProcess:
        return 0.0


@pytest.mark.soak
def test_overload(plain_site: Site) -> None:
    """Refusals are retryable, receiver and sink stay below their limits, and what was acknowledged is stored once."""
    plain_site.config = _CONFIG
    collector = plain_site.collect()
    ingest, sink = psutil.Process(collector.process.pid), collector.sink()
    host, port = collector.http.split(":")
    floods = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.durability.flood", host, port, str(_SECONDS), "64", str(index << 40)],
            stdout=subprocess.PIPE,
            cwd=_ROOT,
        )
        for index in range(2)
    ]
    plain_site.processes += floods
    peak_mib = {"ingest": 0.0, "sink": 0.0}
    until_s = time.monotonic() + _SECONDS
    while time.monotonic() < until_s:
        peak_mib["ingest"] = max(peak_mib["ingest"], resident_mib(ingest))
        peak_mib["sink"] = max(peak_mib["sink"], resident_mib(sink))
        time.sleep(0.1)  # not to wait for anything: this is the measure's own pace
    found = [json.loads(flood.communicate(timeout=60)[0]) for flood in floods]
    acknowledged = sorted(number for one in found for number in one["acknowledged"])
    answers = [one["answers"] for one in found]
    assert control.flush(plain_site.settings, _DRAIN_S) is control.Answer.DONE
    print(f"{len(acknowledged)} requests acknowledged, {answers}, {peak_mib} MiB")
    assert acknowledged
    assert {kind for one in answers for kind in one} <= {"503 retry-after", "429 retry-after"}
    assert peak_mib["ingest"] < _INGEST_MIB
    assert peak_mib["sink"] < _SINK_MIB
    assert "ended with" not in plain_site.said(), plain_site.said()
    query = "SELECT value_int, count(*), count(DISTINCT time_unix_nano) FROM exact_points GROUP BY ALL ORDER BY 1"
    stored = plain_site.rows(query)
    assert {(count, distinct) for _, count, distinct in stored} == {(POINTS, POINTS)}
    assert set(acknowledged) <= {number for number, _, _ in stored}
    assert collector.terminate() == 0
