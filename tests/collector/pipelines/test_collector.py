"""Whole collectors with pipelines: what goes where, and what of it is left over a kill."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import stepsize
from tests.collector.otlp import SECOND, RequestBuilder, identity
from tests.collector.pipelines.backend import Backend
from tests.collector.pipelines.logs import request
from tests.collector.running import Place, RunningCollector, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(stepsize.__file__).parents[2]
HTTP = '{protocols: {http: {endpoint: "127.0.0.1:0"}}}'
RETRY = "retry_on_failure: {initial_interval: 20ms, max_interval: 100ms}"


@pytest.fixture
def backend() -> Iterator[tuple[Backend, int]]:
    made = Backend()
    with made.http() as server:
        yield made, server.server_port


def metrics_of(backend: Backend) -> set[str]:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest  # noqa: PLC0415

    return {
        metric.name
        for content in backend.taken
        for resource in ExportMetricsServiceRequest.FromString(content).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def test_several_pipelines(place: Place, backend: tuple[Backend, int]) -> None:
    """Each pipeline has its processors and exporters; one receiver feeds two; the lake has the untouched points."""
    taken, port = backend
    out = place.home / "out.json"
    collector = place.collect(
        f"""
receivers: {{otlp: {HTTP}}}
processors:
  filter: {{metrics: {{exclude: {{match_type: regexp, metric_names: ["^secret"]}}}}}}
  attributes: {{actions: [{{key: user, action: delete}}, {{key: site, value: a, action: insert}}]}}
exporters:
  parquet: {{}}
  otlphttp: {{endpoint: "http://127.0.0.1:{port}"}}
  file: {{path: "{out}", flush_interval: 10ms}}
service:
  pipelines:
    metrics: {{receivers: [otlp], exporters: [parquet]}}
    metrics/on: {{receivers: [otlp], processors: [filter, attributes], exporters: [otlphttp, file]}}
"""
    )
    message = RequestBuilder(identity()).gauge("loss", [(SECOND, 1.0)], user="ada").gauge("secret.x", [(SECOND, 2.0)])
    assert collector.post(message.content())[0] == 200
    assert collector.post(RequestBuilder(identity()).gauge("secret.y", [(SECOND, 3.0)]).content())[0] == 200
    wait_for(lambda: taken.taken, "what was sent on")
    wait_for(lambda: out.exists() and out.read_bytes(), "the file")
    collector.flush()
    assert place.rows("SELECT metric, attributes FROM points ORDER BY metric") == [
        ("loss", '{"user":"ada"}'),
        ("secret.x", "{}"),
        ("secret.y", "{}"),
    ]
    assert collector.terminate() == 0
    assert metrics_of(taken) == {"loss"}
    (line,) = out.read_text().splitlines()
    (metric,) = json.loads(line)["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
    (point,) = metric["gauge"]["dataPoints"]
    assert point["attributes"] == [{"key": "site", "value": {"stringValue": "a"}}]


def test_the_manuals_example(place: Place, backend: tuple[Backend, int]) -> None:
    """Who copies the example at the top of docs/collector.md gets what it says: names stay here, others get digests."""
    taken, port = backend
    (place.home / "token").write_text("s3cret\n")
    page = (ROOT / "docs/collector.md").read_text("utf-8")
    written = page.partition("```yaml\n")[2].partition("```")[0]
    for shown, ours in (
        ("0.0.0.0:431", "127.0.0.1:0 #"),
        ("/var/lib/stepsize", str(place.settings.data)),
        ("https://metrics.example.com", f"http://127.0.0.1:{port}"),
        ("/run/secrets/token", str(place.home / "token")),
    ):
        assert shown in written
        written = written.replace(shown, ours)
    collector = place.collect(re.sub(r"127.0.0.1:0 #\d", '"127.0.0.1:0"', written))
    said = RequestBuilder(identity(**{"stepsize.user": "ada"}))
    said.gauge("system.cpu.time", [(SECOND, 1.0)], state="idle").gauge("loss", [(SECOND, 2.0)])
    assert collector.post(said.content())[0] == 200
    wait_for(lambda: taken.taken, "what was sent on")
    collector.flush()
    assert place.rows("SELECT resource->>'stepsize.user', metric FROM points ORDER BY metric") == [
        ("ada", "loss"),
        ("ada", "system.cpu.time"),
    ]
    assert metrics_of(taken) == {"loss"}
    assert b"ada" not in taken.taken[0]
    assert hashlib.sha256(b"ada").hexdigest().encode() in taken.taken[0]
    assert taken.headers[0]["authorization"] == "Bearer s3cret"


def test_receivers_apart(place: Place) -> None:
    """Two receivers lead into the same lake through processors of their own."""
    collector = place.collect(
        f"""
receivers: {{otlp/a: {HTTP}, otlp/b: {HTTP}}}
processors:
  resource/a: {{attributes: [{{key: tenant, value: a, action: upsert}}]}}
  resource/b: {{attributes: [{{key: tenant, value: b, action: upsert}}]}}
exporters: {{parquet: {{}}}}
service:
  pipelines:
    metrics/a: {{receivers: [otlp/a], processors: [resource/a], exporters: [parquet]}}
    metrics/b: {{receivers: [otlp/b], processors: [resource/b], exporters: [parquet]}}
"""
    )
    first, second = re.findall(r"HTTP on ([\d.:]+)", collector.line)
    for address, value in ((first, 1.0), (second, 2.0)):
        one = RunningCollector(place, collector.process, f"HTTP on {address}")
        assert one.post(request(value))[0] == 200
    collector.flush()
    found = place.rows("SELECT value, resource->>'tenant' FROM points ORDER BY value")
    assert found == [(1.0, "a"), (2.0, "b")]


def test_relay_over_kills(place: Place, backend: tuple[Backend, int]) -> None:
    """A collector without a lake keeps what it acknowledged until it is sent on, over a kill of all of it."""
    taken, port = backend
    taken.always = (503, {}, b"")
    config = f"""
receivers: {{otlp: {HTTP}}}
exporters: {{otlphttp: {{endpoint: "http://127.0.0.1:{port}", {RETRY}}}}}
service: {{pipelines: {{metrics: {{receivers: [otlp], exporters: [otlphttp]}}}}}}
"""
    collector = place.collect(config)
    for number in range(5):
        assert collector.post(request(float(number)))[0] == 200
    wait_for(lambda: taken.attempts, "an attempt")
    kill_all(collector)
    taken.always = None
    collector = place.collect(config)
    assert collector.post(request(5.0))[0] == 200
    wait_for(lambda: sorted(taken.values()) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "all points, once each")
    assert not (place.settings.data / "points").exists()
    assert collector.terminate() == 0


def test_forwarding_to_another_collector(place: Place, backend: tuple[Backend, int]) -> None:
    """What the lake's own log holds is sent on from there; an exporter that is behind keeps its segments."""
    taken, port = backend
    taken.always = (503, {}, b"")
    config = f"""
receivers: {{otlp: {HTTP}}}
processors: {{batch: {{timeout: 100ms}}}}
exporters: {{parquet: {{}}, otlphttp: {{endpoint: "http://127.0.0.1:{port}", {RETRY}}}}}
service: {{pipelines: {{metrics: {{receivers: [otlp], processors: [batch], exporters: [parquet, otlphttp]}}}}}}
"""
    collector = place.collect(config)
    for number in range(5):
        assert collector.post(request(float(number)))[0] == 200
    collector.flush()
    assert place.rows("SELECT count(*) FROM points") == [(5,)]
    assert collector.terminate() == 0
    taken.always = None
    collector = place.collect(config)
    wait_for(lambda: sorted(taken.values()) == [0.0, 1.0, 2.0, 3.0, 4.0], "all points, once each")
    collector.flush()
    assert place.rows("SELECT count(*) FROM points") == [(5,)]
    assert collector.terminate() == 0


def test_full_queue(place: Place, backend: tuple[Backend, int]) -> None:
    """Beyond the queue's bound requests are refused, and may be sent again."""
    taken, port = backend
    taken.always = (503, {}, b"")
    queue = "sending_queue: {queue_size: 1048576}"
    collector = place.collect(
        f"""
receivers: {{otlp: {HTTP}}}
exporters: {{otlphttp: {{endpoint: "http://127.0.0.1:{port}", {RETRY}, {queue}}}}}
service: {{pipelines: {{metrics: {{receivers: [otlp], exporters: [otlphttp]}}}}}}
"""
    )
    content = request(*map(float, range(20_000)))
    status, body, headers = 200, b"", {}

    def is_refused() -> bool:
        nonlocal status, body, headers
        status, body, headers = collector.post(content)
        return status != 200

    wait_for(is_refused, "a refusal")
    assert status == 503
    assert b"the queue of exporter otlphttp is full" in body
    assert int(headers["retry-after"]) > 0
    taken.always = None
    wait_for(lambda: not is_refused(), "room")


def test_prometheus(place: Place) -> None:
    """The prometheus exporter's endpoint is named at the start, and shows what came through its pipeline."""
    collector = place.collect(
        f"""
receivers: {{otlp: {HTTP}}}
exporters: {{parquet: {{}}, prometheus: {{endpoint: "127.0.0.1:0"}}}}
service: {{pipelines: {{metrics: {{receivers: [otlp], exporters: [parquet, prometheus]}}}}}}
"""
    )
    address = re.search(r"Prometheus on ([\d.:]+)", collector.line)[1]  # type: ignore[index]  # no match is the failure
    assert collector.post(request(0.5))[0] == 200

    def shown() -> Any:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as response:
            return re.search(r"^loss_ratio\{.*\} 0.5$", response.read().decode(), re.MULTILINE)

    wait_for(shown, "the value")


def test_secrets(place: Place, backend: tuple[Backend, int]) -> None:
    """A header's value is in no line, no argument and no environment of a process, but arrives."""
    taken, port = backend
    taken.answers = [(401, {}, b"who are you?")]
    collector = place.collect(
        f"""
receivers: {{otlp: {HTTP}}}
exporters:
  debug: {{}}
  otlphttp: {{endpoint: "http://127.0.0.1:{port}", headers: {{authorization: "Bearer s3cret"}}}}
service: {{pipelines: {{metrics: {{receivers: [otlp], exporters: [otlphttp, debug]}}}}}}
"""
    )
    assert collector.post(request(1.0))[0] == 200
    assert collector.post(request(2.0))[0] == 200
    wait_for(lambda: taken.taken, "a request")
    assert taken.headers[0]["authorization"] == "Bearer s3cret"
    for pid in [collector.process.pid, *(child.pid for child in children(collector))]:
        for name in ("cmdline", "environ"):
            assert b"s3cret" not in Path(f"/proc/{pid}/{name}").read_bytes()
    assert collector.terminate() == 0
    assert collector.process.stderr
    said = collector.process.stderr.read()
    assert b"answered 401" in said
    assert b"s3cret" not in said


def children(collector: RunningCollector) -> Any:
    import psutil  # noqa: PLC0415

    return psutil.Process(collector.process.pid).children(recursive=True)


def kill_all(collector: RunningCollector) -> None:
    """Kill every process of a collector at once."""
    for pid in [collector.process.pid, *(child.pid for child in children(collector))]:
        os.kill(pid, signal.SIGKILL)
    collector.process.wait()
