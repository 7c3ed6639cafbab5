"""Real agents, real Collectors, real Prometheus: one site, whose points come to Prometheus in each way that
docs/grafana.md tells of.

Agents send to the Collector as it is shipped, which writes to Prometheus 2.42. A second pipeline hands the same
requests, untouched, to stepsize's own collector, whose `prometheus` exporter another Prometheus 2.42 scrapes, and to
the OTLP receiver of Prometheus 3.14. Rules are the shipped ones, made twelve times as fast.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.collector.otlp import SECOND, RequestBuilder, identity
from tests.collector.running import DEADLINE_S, Place, RunningCollector, place_in, wait_for
from tests.grafana.prometheus.asking import Prometheus
from tests.grafana.prometheus.boards import SHIPPED
from tests.instrumentation.cgroups import real_group
from tests.instrumentation.gpu.conftest import FakeNvml, build, device, process
from tests.interop.peers import OTELCOL, PROMETHEUS, PROMETHEUS_3, Peer
from tests.interop.processes import free_address

FASTER = 12
LABELS = ("stepsize.flow.name", "stepsize.run.id", "stepsize.step.name", "stepsize.task.id", "stepsize.task.attempt")
WAYS = {"written": PROMETHEUS, "scraped": PROMETHEUS, "otlp": PROMETHEUS_3}
"""How points come there: by remote write of the Collector, by a scrape of ours, by OTLP."""
LIMIT_BYTES = 200 << 20
ODD = {
    "stepsize.flow.name": "O'Neil's \"flow\" a.b|c\\d",
    "stepsize.step.name": "f(x) = {1}",
    "stepsize.run.id": "r[1]+",
}
"""Names as a user may give them."""
# Says its own number, tracks attempts that end well and badly and others that go on until its input ends.
_WORK = """
import os, sys, threading, time
import stepsize
from stepsize import Request

def work(run, step, task, megabytes, over, fail=False):
    try:
        asked = Request(cpu=2, memory_bytes=500_000_000, gpu=1)
        with stepsize.track(flow="Train", run=run, step=step, task=task, request=asked):
            held = bytearray(megabytes * 1_000_000)
            until = time.monotonic() + 2
            while not over() and (over is ended or time.monotonic() < until):
                sum(range(20_000))
                time.sleep(0.02)
            if fail:
                raise RuntimeError
    except RuntimeError:
        pass

stopped = threading.Event()
ended = stopped.is_set
never = lambda: False
print(os.getpid(), flush=True)
attempts = [("7", "fit", "1", 10, never), ("7", "fit", "2", 20, never, True)]
attempts += [("8", "fit", "3", 30, ended), ("8", "load", "4", 5, ended)]
threads = [threading.Thread(target=work, args=one) for one in attempts]
for one in threads:
    one.start()
sys.stdin.read()
stopped.set()
for one in threads:
    one.join()
"""
# Holds nearly all that its container may, until its file is there; then more than that.
_HOLD = """
import sys
held = [bytearray(180 << 20)]
while not sys.stdin.read(1):
    pass
while True:
    held.append(bytearray(1 << 20))
"""


@dataclass(frozen=True)
class Site:
    """What there is.

    Attributes:
        ways: a Prometheus for each of `WAYS`; none of the version that is not here.
        has_limit: whether attempts ran in containers with a limit: one is near its own, another one was killed.
        otlp: where the Collector takes points.
        environment: of programs that are tracked there.
    """

    ways: dict[str, Prometheus]
    has_limit: bool
    otlp: str
    environment: dict[str, str]


def hastened(rules: str) -> str:
    """Rules whose intervals and windows are shorter, all by the same."""

    def shorter(found: re.Match[str]) -> str:
        milliseconds = int(found[2]) * {"s": 1000, "m": 60_000}[found[3]] // FASTER
        return f"{found[1]}{milliseconds}ms"

    return re.sub(r"(\[|offset |interval: |for: )(\d+)(s|m)\b", shorter, rules)


@contextlib.contextmanager
def running(log: Path, *command: str | Path, **variables: str) -> Iterator[None]:
    """A program, until the block ends."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(log.parent), **variables}
    with (
        log.open("ab") as output,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment) as started,
    ):
        try:
            yield
        finally:
            started.terminate()
            try:
                started.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:  # a Collector that still tries to write
                started.kill()


@contextlib.contextmanager
def prometheus(
    directory: Path,
    way: str,
    *scraped: str,
    window: str = "2h",
    rules: bool = True,
    peer: Peer | None = None,
    address: str | None = None,
) -> Iterator[Prometheus]:
    """A Prometheus, ``peer`` or the usual one, that takes points in one of `WAYS`, so late as ``window`` says."""
    directory.mkdir()
    (directory / "rules.yaml").write_text(hastened((SHIPPED / "rules.yaml").read_text("utf-8")), "utf-8")
    jobs = [{"job_name": "stepsize", "honor_labels": True, "static_configs": [{"targets": list(scraped)}]}]
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "storage": {"tsdb": {"out_of_order_time_window": window}},
        "rule_files": ["rules.yaml"] if rules else [],
        "scrape_configs": jobs if scraped else [],
    }
    if way == "otlp":
        config["otlp"] = {"promote_resource_attributes": [*LABELS, "host.name"]}
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(config), "utf-8")
    address = address or free_address()
    takes = "--web.enable-otlp-receiver" if way == "otlp" else "--web.enable-remote-write-receiver"
    options = [f"--storage.tsdb.path={directory / 'data'}", f"--web.listen-address={address}", takes]
    with running(
        directory / "log", (peer or WAYS[way]).path, f"--config.file={directory / 'prometheus.yaml'}", *options
    ):
        wait_for(lambda: answers(f"http://{address}/-/ready"), f"Prometheus is ready, see {directory / 'log'}")
        yield Prometheus(address)


@contextlib.contextmanager
def collector(directory: Path, otlp: str, metrics: str, written: Prometheus, more: dict[str, object]) -> Iterator[None]:
    """The Collector as it is shipped, and what a test adds to its configuration."""
    (directory / "more.yaml").write_text(yaml.safe_dump(more), "utf-8")
    host, _, port = metrics.partition(":")
    told = {"STEPSIZE_METRICS_HOST": host, "STEPSIZE_METRICS_PORT": port}
    command = [OTELCOL.path, "--config", SHIPPED / "collector.yaml", "--config", directory / "more.yaml"]
    where = {"STEPSIZE_OTLP": otlp, "STEPSIZE_PROMETHEUS": f"http://{written.address}", **told}
    with running(directory / "collector.log", *command, **where):
        wait_for(lambda: answers(f"http://{otlp}/"), f"the Collector serves, see {directory / 'collector.log'}")
        yield


@contextlib.contextmanager
def site(directory: Path) -> Iterator[Site]:
    """All of it, while two attempts still run."""
    otlp, metrics, shown, own = (free_address() for _ in range(4))
    with (
        place_in(directory) as place,
        prometheus(directory / "written", "written", metrics, own) as written,
        prometheus(directory / "scraped", "scraped", shown) as scraped,
        prometheus(directory / "otlp", "otlp") if PROMETHEUS_3.is_built() else contextlib.nullcontext() as by_otlp,
    ):
        ours = place.collect(_ours(shown, own))
        untouched = {"otlphttp/ours": f"http://{ours.http}"}
        ways = {"written": written, "scraped": scraped}
        if by_otlp:
            untouched["otlphttp/prometheus"] = f"http://{by_otlp.address}/api/v1/otlp"
            ways["otlp"] = by_otlp
        more = {
            "exporters": {name: {"endpoint": url} for name, url in untouched.items()},
            "service": {"pipelines": {"metrics/untouched": {"receivers": ["otlp"], "exporters": list(untouched)}}},
        }
        nvml = FakeNvml(build(directory), directory / "nvml.txt")
        with (
            collector(directory, otlp, metrics, written, more),
            _tracked(place, otlp, nvml) as environment,
            _near_its_limit(environment, written) as has_limit,
        ):
            _kill(environment)
            _sent_by_hand(otlp)
            _refused(ours, written)
            for way in ways.values():
                wait_for(lambda way=way: len(way.asked("stepsize:attempt_failed:time_seconds")) >= 2, "minutes passed")
            yield Site(ways, has_limit, otlp, environment)


def _ours(shown: str, own: str) -> str:
    """A collector of ours as docs/grafana.md has it for those who scrape it."""
    host, _, port = own.partition(":")
    exporter = {
        "endpoint": shown,
        "send_timestamps": True,
        "without_scope_info": True,
        "resource_to_telemetry_conversion": {"enabled": True},
    }
    return yaml.safe_dump(
        {
            "receivers": {
                "otlp": {"protocols": {"http": {"endpoint": "127.0.0.1:0"}, "grpc": {"endpoint": "127.0.0.1:0"}}}
            },
            "exporters": {"parquet": {}, "prometheus": exporter},
            "service": {
                "pipelines": {"metrics": {"receivers": ["otlp"], "exporters": ["parquet", "prometheus"]}},
                "telemetry": {
                    "metrics": {"readers": [{"pull": {"exporter": {"prometheus": {"host": host, "port": int(port)}}}}]}
                },
            },
        }
    )


@contextlib.contextmanager
def _tracked(place: Place, otlp: str, nvml: FakeNvml) -> Iterator[dict[str, str]]:
    """Attempts of which two run as long as the block does; what their environment is."""
    environment = {
        **place.environment(),
        "STEPSIZE_DATA": str(place.home / "elsewhere"),
        "STEPSIZE_AGENT_IDLE": "1",
        "STEPSIZE_EXPORT_INTERVAL": "1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{otlp}",
        **nvml.environment(),
    }
    nvml.say(device(0, util=70), device(1, util=0))
    command = [sys.executable, "-c", _WORK]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as work:
        assert work.stdin
        assert work.stdout
        nvml.say(device(0, util=70), device(1, util=0), process(int(work.stdout.readline()), device=0, memory=1 << 30))
        try:
            yield environment
        finally:
            work.stdin.close()


@contextlib.contextmanager
def _near_its_limit(environment: dict[str, str], written: Prometheus) -> Iterator[bool]:
    """An attempt that holds nearly all that its container may, another one that held more; whether that can be had."""
    with contextlib.ExitStack() as stack:
        holding = []
        for task in ("5", "6"):
            group = stack.enter_context(real_group("memory", limit_bytes=LIMIT_BYTES))
            if group is None:
                yield False
                return
            names = ["--flow", "Train", "--run", "9", "--step", "big", "--task", task, "--quiet"]
            program = [*group.enter(), sys.executable, "-c", _HOLD]
            command = [sys.executable, "-m", "stepsize", "run", *names, "--", *program]
            one = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
            holding.append(stack.enter_context(one))
            stack.callback(one.kill)
        _wait_for_alert(written, "StepsizeNearMemoryLimit")
        holding[0].communicate(b".", DEADLINE_S)
        yield True


def _wait_for_alert(where: Prometheus, name: str) -> None:
    wait_for(lambda: name in where.firing(), f"{name} fires")


def _kill(environment: dict[str, str]) -> None:
    identity = ["--flow", "Train", "--run", "9", "--step", "big", "--task", "7", "--quiet"]
    slept = [sys.executable, "-c", "import os, time; time.sleep(1); os.kill(os.getpid(), 9)"]
    done = subprocess.run(
        [sys.executable, "-m", "stepsize", "run", *identity, "--", *slept], env=environment, check=False
    )
    assert done.returncode == 128 + signal.SIGKILL


def _sent_by_hand(otlp: str) -> None:
    """An attempt with odd names; what an agent says when it loses points, which none does here."""
    now = time.time_ns()
    odd = RequestBuilder(identity(**ODD)).gauge("stepsize.task.memory.peak", [(now, 1e6)], "By")
    post(otlp, odd.gauge("stepsize.task.memory.usage", [(now, 1e6)], "By").end(now, "ok").content())
    made = RequestBuilder({"host.name": "elsewhere"})
    made.sum("stepsize.agent.points.lost", now - SECOND, [(now, 5)], "{point}", stepsize__loss__reason="refused")
    made.gauge("stepsize.agent.points.waiting", [(now, 3)], "{point}", stepsize__waiting__place="spool")
    post(otlp, made.content())


def post(otlp: str, body: bytes) -> None:
    """Hand a request to a Collector."""
    request = urllib.request.Request(
        f"http://{otlp}/v1/metrics", body, {"content-type": "application/x-protobuf"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
        assert answer.status == 200


def _refused(ours: RunningCollector, written: Prometheus) -> None:
    """Have our collector refuse, twice: what a counter begins with is no increase."""
    for count in (1, 2):
        assert ours.post(b"no OTLP at all")[0] == 400
        wait_for(
            lambda count=count: written.asked(f"sum(stepsize_receiver_refused_requests) >= {count}"), "it is scraped"
        )


def answers(url: str) -> bool:
    """Whether something is served there, if only that there is nothing."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        return error.code == 404
    except OSError:
        return False
