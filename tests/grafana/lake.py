"""A lake as a site has it: days of runs of three flows, tasks that run now, hosts with GPUs, a collector that tells of
itself and refuses, a nightly report; all of it by stepsize's own collector and its nightly job."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.collector.otlp import SECOND, RequestBuilder, identity
from tests.collector.running import Place, RunningCollector, wait_for
from tests.interop.processes import free_address

CONFIG = """
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:0"}}, http: {{endpoint: "{http}"}}}}}}}}
exporters: {{parquet: {{}}}}
service:
  pipelines: {{metrics: {{receivers: [otlp], exporters: [parquet]}}}}
  telemetry:
    metrics: {{readers: [{{periodic: {{interval: 300, exporter: {{otlp: {{endpoint: "http://{http}"}}}}}}}}]}}
"""
GB = 10**9
DAY_S = 86_400
FLOWS = ("Train", "Score", "O'Neil's flow")
STEPS = ("load", "fit")


def make_lake(place: Place) -> None:
    """Make it in a place's data directory; its collector ends."""
    collector = place.collect(CONFIG.format(http=free_address()))
    now = time.time_ns()
    for body in _requests(now):
        assert collector.post(body)[0] == 200
    _has_told(collector, place, "otelcol_process_uptime")
    assert collector.post(b"no OTLP at all")[0] == 400
    _has_told(collector, place, "otelcol_receiver_requests")
    _has_told(collector, place, "stepsize_receiver_refused_requests")
    collector.flush()
    collector.process.kill()  # so that what runs is not closed
    report = subprocess.run(
        [sys.executable, "-m", "stepsize", "nightly", "--data", str(place.settings.data)],
        env={"PATH": os.environ["PATH"], "HOME": str(place.home), "STEPSIZE_RUNTIME": str(place.runtime)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert report.returncode == 0, report.stderr


def _has_told(collector: RunningCollector, place: Place, metric: str) -> None:
    """Wait until the collector has told this of itself twice: a rate takes two."""

    def told() -> bool:
        collector.flush()
        query = f"SELECT count(*) FROM points WHERE metric = '{metric}'"
        return bool(place.rows(query)[0][0] >= 2)

    wait_for(told, f"its own metrics, {metric} among them")


def _requests(now: int) -> Iterator[bytes]:
    for flow in FLOWS:
        for run in range(6):
            began = now - (run + 1) * DAY_S * SECOND // 3
            for step in STEPS:
                for task in range(4):
                    failed = run == 2 and step == "fit" and task == 3
                    yield _attempt(flow, str(run), step, task, began, "oom" if failed else "ok")
        for task in range(3):
            yield _attempt(flow, "now", "fit", task, now - 120 * SECOND, None)
    for host in ("worker-1", "worker-2"):
        yield _host(host, now)


def _attempt(flow: str, run: str, step: str, task: int, began: int, outcome: str | None) -> bytes:
    """Two minutes of an attempt; without an outcome it still runs."""
    resource: dict[str, Any] = identity(
        str(task),
        **{
            "stepsize.flow.name": flow,
            "service.name": flow,
            "stepsize.run.id": run,
            "stepsize.step.name": step,
            "stepsize.task.item": f"part-{task}",
            "stepsize.request.cpu": 8.0,
            "stepsize.request.memory": 16 * GB,
            "stepsize.request.gpu": 1.0,
            "host.name": f"worker-{task % 2 + 1}",
            "host.type": "m5.2xlarge",
            "cloud.provider": "aws",
            "cloud.region": "us-east-1",
        },
    )
    times = [began + second * SECOND for second in range(1, 120, 5)]
    peak = (task + 1) * GB
    made = RequestBuilder(resource)
    made.gauge("stepsize.task.cpu.usage", [(at, 1.5) for at in times], "{cpu}")
    made.sum("stepsize.task.cpu.time", began, [(times[-1], 180.0)], "s", cpu__mode="user")
    made.gauge("stepsize.task.memory.usage", [(at, peak - GB // 10) for at in times], "By")
    made.gauge("stepsize.task.memory.peak", [(times[-1], peak)], "By")
    made.gauge("container.memory.limit", [(times[0], 16 * GB)], "By")
    made.gauge("stepsize.task.gpu.utilization", [(at, 0.4) for at in times], hw__id="gpu-0")
    made.gauge("stepsize.task.gpu.memory.usage", [(at, 2 * GB) for at in times], "By", hw__id="gpu-0")
    made.gauge("stepsize.task.gpu.count", [(at, 1) for at in times])
    if outcome is not None:
        made.end(began + 120 * SECOND, outcome)
    return made.content()


def _host(name: str, now: int) -> bytes:
    """An hour of a host with a GPU that works and one that does not."""
    made = RequestBuilder({"host.name": name, "host.type": "m5.2xlarge", "cloud.region": "us-east-1"})
    times = [now - second * SECOND for second in range(3600, 0, -30)]
    for mode, share in (("user", 0.5), ("system", 0.1), ("idle", 0.4)):
        made.gauge("system.cpu.utilization", [(at, share) for at in times], cpu__mode=mode)
    made.gauge("system.cpu.logical.count", [(at, 64) for at in times], "{cpu}")
    for state, held in (("used", 20 * GB), ("free", 100 * GB)):
        made.gauge("system.memory.usage", [(at, held) for at in times], "By", system__memory__state=state)
    made.gauge("system.memory.limit", [(at, 128 * GB) for at in times], "By")
    for device, busy in (("GPU-1", 0.7), ("GPU-2", 0.0)):
        which = {"hw__id": f"{name}-{device}", "hw__name": "NVIDIA L4", "hw__vendor": "nvidia"}
        made.gauge("hw.gpu.utilization", [(at, busy) for at in times], **which)
        made.gauge("hw.gpu.memory.usage", [(at, GB) for at in times], "By", **which)
        made.gauge("hw.gpu.memory.limit", [(at, 24 * GB) for at in times], "By", **which)
    agent = [(at, 5.0) for at in times]
    made.sum("stepsize.agent.points.lost", times[0], agent, "{point}", stepsize__loss__reason="refused")
    made.gauge("stepsize.agent.points.waiting", [(at, 3) for at in times], "{point}", stepsize__waiting__place="spool")
    return made.content()


def data(place: Place) -> Path:
    """Where it lies."""
    return place.settings.data
