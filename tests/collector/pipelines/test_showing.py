"""Exporters that show what comes: debug, file, prometheus."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import struct
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from stepsize.collector.otlp.json_request import parse_json
from stepsize.collector.pipelines.debug_lines import DebugLines
from stepsize.collector.pipelines.file_writer import FileWriter
from stepsize.collector.pipelines.json_text import json_text
from stepsize.collector.pipelines.prometheus_names import labels, metric_name
from stepsize.collector.pipelines.prometheus_series import PrometheusSeries
from stepsize.errors import UnavailableError
from tests.collector.otlp import SECOND, RequestBuilder, identity
from tests.collector.pipelines.backend import values_of
from tests.collector.pipelines.logs import Exporting, exporter, request, wait_until

# debug


def shown(settings: dict[str, object], times: list[float], message: Any = None) -> list[str]:
    lines: list[str] = []
    clock = iter(times)
    debug = DebugLines(exporter("debug", **settings), lines.append, lambda: next(clock))
    for _ in times:
        debug.consume(message or ExportMetricsServiceRequest.FromString(request(1.0)))
    return lines


def test_debug_sampling() -> None:
    """Of each second the first requests are shown, then each so-many-th; by default all of them."""
    assert len(shown({}, [1.0] * 10)) == 10
    assert len(shown({"sampling_initial": 2, "sampling_thereafter": 3}, [1.0] * 11 + [2.0])) == 2 + 3 + 1
    assert len(shown({"sampling_initial": 2, "sampling_thereafter": 0}, [1.0] * 11)) == 2


def test_debug_lines() -> None:
    """A name from outside starts no line of its own, whatever it holds."""
    message = RequestBuilder(identity()).gauge("loss\nFATAL: forged", [(1, 1.0)]).message
    assert shown({"verbosity": "normal"}, [1.0], message)[1] == "debug:   'loss\\nFATAL: forged' gauge 1 points"
    detailed = shown({"verbosity": "detailed"}, [1.0], message)
    assert not any(line.startswith("FATAL") for line in detailed)
    assert any("loss\\nFATAL: forged" in line for line in detailed)


# file


def read_proto(path: Path) -> list[bytes]:
    content, found = path.read_bytes(), []
    while content:
        (length,) = struct.unpack_from(">I", content)
        found.append(content[4 : 4 + length])
        content = content[4 + length :]
    return found


@pytest.mark.parametrize("format", ["json", "proto"])
def test_file(tmp_path: Path, format: str) -> None:  # noqa: A002 - upstream's key
    """Each request is in the file soon, in the format that was asked for, equal to what was sent."""
    path = tmp_path / "out" / "data.json"
    sent = [request(float(number)) for number in range(10)]

    async def scenario() -> None:
        config = exporter("file", path=str(path), format=format, create_directory=True, flush_interval="10ms")
        async with Exporting(tmp_path / "log", config) as exporting:
            await asyncio.gather(*map(exporting.wal.append, sent))
            await wait_until(lambda: len(read()) == 10, "ten requests")

    def read() -> list[bytes]:
        if format == "proto":
            return read_proto(path)
        lines = path.read_bytes().split(b"\n")[:-1]
        return [parse_json(line).SerializeToString() for line in lines]

    asyncio.run(scenario())
    assert sorted(read()) == sorted(sent)


def test_file_over_a_kill(tmp_path: Path) -> None:
    """Over a kill nothing that was acknowledged is missing in the file; a new start empties it, unless it appends."""
    path = tmp_path / "data.json"

    def values() -> list[float]:
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return [value for line in lines for value in values_of(parse_json(line).SerializeToString())]

    async def scenario() -> None:
        config = exporter("file", path=str(path), flush_interval="10ms")
        async with Exporting(tmp_path / "log", config) as exporting:
            await exporting.wal.append(request(1.0))
            await wait_until(lambda: values() == [1.0], "the first")
            pid = exporting.process.pid
            assert pid
            os.kill(pid, signal.SIGKILL)
            await exporting.wal.append(request(2.0))
            await wait_until(lambda: set(values()) == {1.0, 2.0}, "the second")
        async with Exporting(tmp_path / "log", config) as exporting:
            await exporting.wal.append(request(3.0))
            await wait_until(lambda: values() == [3.0], "the third alone")

    asyncio.run(scenario())


def test_file_rotation(tmp_path: Path) -> None:
    """A full file is renamed with the time in its name; of those that are, the newest and the young stay."""
    now = [datetime(2026, 11, 22, 5, 2, 14, 173000, tzinfo=timezone.utc)]
    config = exporter("file", path=str(tmp_path / "data.json"), rotation={"max_megabytes": 1, "max_backups": 2})
    content = request(*[1.0] * 30_000)
    writer = FileWriter(config, keep=False, now=lambda: now[0])
    for _ in range(4):
        writer.consume(content)
        writer.flush()
        now[0] += timedelta(days=1)
    writer.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "data-2026-11-24T05-02-14.173.json",
        "data-2026-11-25T05-02-14.173.json",
        "data.json",
    ]
    old = exporter("file", path=str(tmp_path / "data.json"), rotation={"max_megabytes": 1, "max_days": 1})
    writer = FileWriter(old, keep=False, now=lambda: now[0])
    writer.consume(content)
    writer.flush()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "data-2026-11-25T05-02-14.173.json",
        "data-2026-11-26T05-02-14.173.json",
        "data.json",
    ]
    assert all(parse_json(line) for line in (tmp_path / "data.json").read_bytes().split(b"\n")[:-1])


def test_file_that_cannot_be(tmp_path: Path) -> None:
    """A file that cannot be opened is said at the start."""
    with pytest.raises(UnavailableError, match=r"cannot write to .*No such file or directory"):
        FileWriter(exporter("file", path=str(tmp_path / "none" / "x")), keep=False, now=datetime.now)


def test_json_has_hex_ids() -> None:
    """Ids of exemplars are hex, enums numbers, 64-bit integers text, as OTLP's JSON has them."""
    message = ExportMetricsServiceRequest()
    total = message.resource_metrics.add().scope_metrics.add().metrics.add(name="n").sum
    total.aggregation_temporality = 2
    point = total.data_points.add(as_int=2**60, time_unix_nano=SECOND)
    point.exemplars.add(trace_id=bytes(range(16)), span_id=b"\xff" * 8, as_double=float("nan"))
    made = json.loads(json_text(message))
    found = made["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["sum"]
    assert found["aggregationTemporality"] == 2
    assert found["dataPoints"][0]["asInt"] == str(2**60)
    assert found["dataPoints"][0]["exemplars"][0]["traceId"] == bytes(range(16)).hex()
    assert parse_json(json_text(message)).resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points[0].exemplars[
        0
    ].span_id == (b"\xff" * 8)


# prometheus


@pytest.mark.parametrize(
    ("name", "unit", "more", "expected"),
    [
        ("(lambda).function.executions(#)", "", {}, "lambda_function_executions"),
        ("system.filesystem.usage", "By", {}, "system_filesystem_usage_bytes"),
        ("system.network.dropped", "{packets}", {}, "system_network_dropped"),
        ("system.network.dropped", "packets", {}, "system_network_dropped_packets"),
        ("system.memory.utilization", "1", {"is_gauge": True}, "system_memory_utilization_ratio"),
        ("storage.filesystem.utilization", "%", {}, "storage_filesystem_utilization_percent"),
        ("astro.light.speed", "m/s", {}, "astro_light_speed_meters_per_second"),
        ("crypto.dogecoin.value", "$", {}, "crypto_dogecoin_value_dollars"),
        ("system.processes.created", "", {"is_counter": True}, "system_processes_created_total"),
        ("requests.total.count", "", {"is_counter": True}, "requests_count_total"),
        ("request.bytes", "By", {}, "request_bytes"),
        ("2.things", "", {}, "_2_things"),
        ("x.y", "s", {"namespace": "my-ns", "suffixes": False}, "my_ns_x_y"),
        ("äöü", "", {}, ""),
    ],
)
def test_prometheus_names(name: str, unit: str, more: dict[str, Any], expected: str) -> None:
    """Upstream's own examples (pkg/translator/prometheus/README.md), and the edges."""
    assert metric_name(name, unit, **more) == expected


def test_prometheus_labels() -> None:
    """Upstream's own examples; two attributes that become one label are joined in the order of their keys."""
    found = dict.fromkeys(("name", "host.name", "name (of the host)", "2 cents", "__name", "_name"), "v")
    assert labels(found.items()).keys() == {
        "name",
        "host_name",
        "name__of_the_host_",
        "key_2_cents",
        "__name",
        "key_name",
    }
    assert labels([("a_b", "2"), ("a.b", "1")]) == {"a_b": "1;2"}


def series(**settings: Any) -> tuple[PrometheusSeries, list[str]]:
    lines: list[str] = []
    return PrometheusSeries(exporter("prometheus", endpoint="127.0.0.1:0", **settings), lines.append), lines


def lines_of(shown: PrometheusSeries, now_s: float = 0.0) -> list[str]:
    return [line for line in shown.text(now_s).decode().splitlines() if not line.startswith("#")]


def test_prometheus_last_values() -> None:
    """The newest value of each series is shown, for as long as news of it come."""
    shown, _ = series(without_scope_info=True, const_labels={"site": "a"}, metric_expiration="5m")
    one = RequestBuilder({"service.name": "shop", "service.namespace": "x", "service.instance.id": "i"})
    one.gauge("load", [(2 * SECOND, 2.5), (SECOND, 1.0)], "1", cpu='0\n"')
    one.sum("seen", 0, [(SECOND, 7)])
    shown.consume(one.message, 0.0)
    common = 'instance="i",job="x/shop",site="a"'
    assert lines_of(shown) == [
        f'load_ratio{{cpu="0\\n\\"",{common}}} 2.5',
        f"seen_total{{{common}}} 7",
    ]
    assert b"# TYPE load_ratio gauge\n" in shown.text(0.0)
    assert b"# TYPE seen_total counter\n" in shown.text(0.0)
    assert lines_of(shown, 299.0)
    assert lines_of(shown, 301.0) == []


def test_prometheus_resources() -> None:
    """Resource attributes are in target_info, and labels where that is asked for."""
    resource = {"service.name": "shop", "host.name": "h", "service.instance.id": "i"}
    message = RequestBuilder(resource).gauge("load", [(SECOND, 1.0)], "").message
    shown, _ = series(without_scope_info=True)
    shown.consume(message, 0.0)
    assert lines_of(shown) == [
        'load{instance="i",job="shop"} 1',
        'target_info{host_name="h",instance="i",job="shop"} 1',
    ]
    shown, _ = series(
        without_scope_info=True,
        send_timestamps=True,
        resource_to_telemetry_conversion={"enabled": True, "exclude_service_attributes": True},
    )
    shown.consume(message, 0.0)
    assert lines_of(shown)[0] == 'load{host_name="h",instance="i",job="shop"} 1 1000'


def test_prometheus_distributions() -> None:
    """Histograms are cumulative, summaries have quantiles, deltas are added up, what has no value goes."""
    message = ExportMetricsServiceRequest()
    metrics = message.resource_metrics.add().scope_metrics.add().metrics
    histogram = metrics.add(name="h").histogram
    histogram.aggregation_temporality = 1
    histogram.data_points.add(time_unix_nano=1, count=6, sum=9.5, explicit_bounds=[1.0, 2.5], bucket_counts=[1, 2, 3])
    summary = metrics.add(name="s").summary.data_points.add(time_unix_nano=1, count=2, sum=3.0)
    summary.quantile_values.add(quantile=0.5, value=1.0)
    exponential = metrics.add(name="e").exponential_histogram
    exponential.aggregation_temporality = 2
    exponential.data_points.add(time_unix_nano=1, count=4, sum=float("inf"))
    shown, _ = series(without_scope_info=True)
    shown.consume(message, 0.0)
    assert lines_of(shown) == [
        'e_bucket{le="+Inf"} 4',
        "e_sum{} +Inf",
        "e_count{} 4",
        'h_bucket{le="1"} 1',
        'h_bucket{le="2.5"} 3',
        'h_bucket{le="+Inf"} 6',
        "h_sum{} 9.5",
        "h_count{} 6",
        's{quantile="0.5"} 1',
        "s_sum{} 3",
        "s_count{} 2",
    ]
    histogram.data_points[0].time_unix_nano = 2
    exponential.data_points[0].flags = 1
    shown.consume(message, 0.0)
    assert 'h_bucket{le="+Inf"} 12' in lines_of(shown)
    assert not any(line.startswith("e_") for line in lines_of(shown))


def test_prometheus_conflicts_and_bounds() -> None:
    """One name has one type, and series are bounded: what is beyond is said once and not shown."""
    lines: list[str] = []
    shown = PrometheusSeries(exporter("prometheus", endpoint="127.0.0.1:0"), lines.append, max_series=3)
    builder = RequestBuilder({}).gauge("n", [(SECOND, 1.0)], "")
    builder.sum("n_total", 0, [(SECOND, 1)]).gauge("n.total", [(SECOND, 1.0)], "")
    for cpu in range(10):
        builder.gauge("many", [(SECOND, 1.0)], "", cpu=str(cpu))
    shown.consume(builder.message, 0.0)
    assert len(lines_of(shown)) == 3
    assert len(lines) == 2


def test_prometheus_endpoint(tmp_path: Path) -> None:
    """A scrape shows what has come, in the text format; other paths say what there is."""

    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            config = exporter("prometheus", endpoint="127.0.0.1:0")
            async with Exporting(tmp_path, config, listeners={"one": listener.fileno()}) as exporting:
                await exporting.wal.append(request(0.5))

                def scrape(path: str = "/metrics") -> tuple[str, str]:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
                        return response.headers["content-type"], response.read().decode()

                loop = asyncio.get_running_loop()
                found = ""
                for _ in range(500):
                    kind, found = await loop.run_in_executor(None, scrape)
                    if "loss" in found:
                        break
                    await asyncio.sleep(0.01)
                assert kind == "text/plain; version=0.0.4; charset=utf-8"
                assert "loss_ratio{" in found
                with pytest.raises(urllib.error.HTTPError, match="404"):
                    await loop.run_in_executor(None, scrape, "/")

    asyncio.run(scenario())
