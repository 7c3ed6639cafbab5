"""Series of pods as cAdvisor and kube-state-metrics have them, in a real Prometheus."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SCRAPE_S = 30


@dataclass(frozen=True)
class Pod:
    """One pod; what it used at each scrape between its start and end is on a straight line up to its peak.

    ``restarts``: so many times its container ended and was started again. ``sidecar``: it has a second container, which
    asks for nothing and has no limit.
    """

    name: str
    start_s: int
    end_s: int
    peak_bytes: int
    cores: float = 1.0
    reason: str = "Completed"
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    memory_bytes: int = 4 << 30
    restarts: int = 0
    sidecar: bool = False

    def samples(self) -> Iterator[tuple[str, str, float, int]]:
        """Metric, labels, value and time of each sample, those of an exporter one after another."""
        pod = f'namespace="ml",pod="{self.name}"'
        container = f'{pod},container="main"'
        for at_s in range(self.start_s + SCRAPE_S, self.end_s + 1, SCRAPE_S):
            share = (at_s - self.start_s) / (self.end_s - self.start_s)
            cadvisor = f'{container},id="/kubepods/{self.name}"'
            yield "container_memory_working_set_bytes", cadvisor, int(share * self.peak_bytes), at_s
            # What a pod's own group and its pause container have is no use of a container's.
            yield "container_memory_working_set_bytes", f'{pod},container="",id="/{self.name}"', 9e12, at_s
            yield "container_memory_working_set_bytes", f'{pod},container="POD",id="/p{self.name}"', 9e12, at_s
            # So has what ran before it.
            init = f'{pod},container="setup",id="/i{self.name}"'
            yield "container_memory_working_set_bytes", init, 9e12, at_s
            yield "container_cpu_usage_seconds_total", f'{init},cpu="total"', 9e12, at_s
            if self.sidecar:
                yield "container_memory_working_set_bytes", f'{pod},container="proxy",id="/s{self.name}"', 1000, at_s
            # A kubelet of a series for each core, which two have scraped; a container's next start has its own.
            lived_s = (self.end_s - self.start_s) // (self.restarts + 1)
            start = min((at_s - self.start_s) // lived_s, self.restarts)
            seconds = (at_s - self.start_s - start * lived_s) * self.cores
            for core, scraper in (("cpu00", "a"), ("cpu01", "a"), ("cpu00", "b"), ("cpu01", "b")):
                series = f'{container},id="/kubepods/{self.name}/{start}",cpu="{core}",instance="{scraper}"'
                yield "container_cpu_usage_seconds_total", series, seconds / 2, at_s
        # kube-state-metrics goes on to show a pod that has ended, until it is deleted.
        for at_s in range(self.start_s + SCRAPE_S, self.end_s + 600, SCRAPE_S):
            for name, value in (("cpu", 2), ("memory", self.memory_bytes)):
                more = f'{container},resource="{name}",unit="core"'
                yield "kube_pod_container_resource_requests", more, value, at_s
            limit = f'{container},resource="memory",unit="byte"'
            yield "kube_pod_container_resource_limits", limit, self.memory_bytes, at_s
            yield "kube_pod_container_state_started", container, self.start_s, at_s
            if self.sidecar:
                yield "kube_pod_container_state_started", f'{pod},container="proxy"', self.start_s, at_s
            for kind, found in (("label", self.labels), ("annotation", self.annotations)):
                names = "".join(f',{kind}_{name}="{value}"' for name, value in found.items())
                yield f"kube_pod_{kind}s", pod + names, 1, at_s
            yield "kube_pod_owner", f'{pod},owner_kind="Job",owner_name="job-{self.name}"', 1, at_s
            phase = "Running" if at_s < self.end_s else "Succeeded" if self.reason == "Completed" else "Failed"
            for one in ("Running", "Succeeded", "Failed"):
                yield "kube_pod_status_phase", f'{pod},phase="{one}"', float(one == phase), at_s
            if at_s >= self.end_s:
                yield "kube_pod_completion_time", pod, self.end_s, at_s
                reason = f'{container},reason="{self.reason}"'
                yield "kube_pod_container_status_terminated_reason", reason, 1, at_s


def openmetrics(pods: list[Pod]) -> str:
    """The pods' samples in the text form of OpenMetrics, metric by metric and series by series."""
    lines: dict[str, dict[str, list[str]]] = {}
    for pod in pods:
        for metric, labels, value, at_s in pod.samples():
            line = f"{metric}{{{labels}}} {value} {at_s}"
            lines.setdefault(metric, {}).setdefault(labels, []).append(line)
    text = []
    for metric, series in lines.items():
        is_counter = metric.endswith("_total")
        text.append(f"# TYPE {metric.removesuffix('_total')} {'counter' if is_counter else 'gauge'}")
        text += [line for found in series.values() for line in found]
    return "\n".join([*text, "# EOF\n"])


@contextlib.contextmanager
def prometheus(program: Path, directory: Path, pods: list[Pod], *options: str) -> Iterator[str]:
    """A Prometheus that holds the pods' samples: its address."""
    source = directory / "samples.txt"
    source.write_text(openmetrics(pods))
    data = directory / "prometheus"
    promtool = shutil.which("promtool", path=str(program.parent))
    command = [str(promtool), "tsdb", "create-blocks-from", "openmetrics", source, data]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    (directory / "prometheus.yml").write_text("scrape_configs: []\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    serve = [program, f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={data}"]
    more = [f"--web.listen-address={address}", "--storage.tsdb.retention.time=100y", *options]
    with subprocess.Popen([*serve, *more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _until_ready(f"http://{address}/-/ready", process)
            yield f"http://{address}"
        finally:
            process.terminate()


def _until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        assert process.poll() is None, "Prometheus has ended"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.05)
    raise AssertionError("Prometheus is not ready")
