"""`otel-config.yaml`: what is understood, and in which words the rest is refused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import stepsize
from stepsize.collector.components.batch_processor import BatchConfig
from stepsize.collector.components.debug_exporter import DebugExporterConfig
from stepsize.collector.components.health_check_extension import HealthCheckConfig
from stepsize.collector.components.memory_limiter_processor import MemoryLimiterConfig, memory_gate
from stepsize.collector.components.otlp_receiver import OtlpReceiverConfig
from stepsize.collector.components.table import COMPONENTS
from stepsize.collector.config.language import Endpoint
from stepsize.collector.config.service import default_text, parse
from stepsize.errors import ConfigError
from tests.collector.otlp import RequestBuilder, identity
from tests.collector.running import CONFIG

if TYPE_CHECKING:
    from tests.collector.running import Place

ROOT = Path(stepsize.__file__).parents[2]


def test_default_is_the_shipped_file() -> None:
    """The configuration where none is given is the `otel-config.yaml` at the top of the repository."""
    assert (ROOT / "otel-config.yaml").read_text("utf-8") == default_text()


def test_default_is_understood() -> None:
    """It listens on the loopback alone, on OTLP's ports, and keeps the lake where the environment says."""
    config = parse(default_text(), "otel-config.yaml", {"STEPSIZE_DATA": "/data", "HOME": "/home/ada"})
    (receiver,) = config.of_kind(OtlpReceiverConfig)
    assert receiver.protocols.grpc.endpoint == Endpoint("127.0.0.1", 4317)
    assert receiver.protocols.http.endpoint == Endpoint("127.0.0.1", 4318)
    assert config.parquet.directory == Path("/data")
    assert config.parquet.state_directory is None
    assert parse(default_text(), "x", {}).parquet.directory == Path("~/.stepsize").expanduser()
    assert config.of_kind(DebugExporterConfig) == []


@pytest.mark.parametrize(
    ("http", "health", "prometheus", "reader", "said"),
    [
        (
            "127.0.0.1:1",
            "127.0.0.1:1",
            ":0",
            "a",
            "extensions.health_check.endpoint: 127.0.0.1:1 is the address of receiv",
        ),
        ("127.0.0.1:1", "h:2", "localhost:1", "a", "exporters.prometheus.endpoint: localhost:1 is the address of"),
        (
            "0.0.0.0:1",
            "h:2",
            "10.0.0.1:1",
            "a",
            "exporters.prometheus.endpoint: 10.0.0.1:1 is the address of receivers.",
        ),
        (
            "127.0.0.1:1",
            "[::]:1",
            "h:3",
            "a",
            "extensions.health_check.endpoint: [::]:1 is the address of receivers.otlp.",
        ),
        ("h:1", "h:2", "h:8888", "h", "prometheus: h:8888 is the address of exporters.prometheus.endpoint already"),
        ("h:0", "h:0", "h:0", "a", ""),
        ("10.0.0.1:1", "10.0.0.2:1", "[::1]:1", "a", ""),
    ],
)
def test_two_on_one_address(http: str, health: str, prometheus: str, reader: str, said: str) -> None:
    """Whoever would be refused by the kernel is refused by name when the configuration is read, and nobody else."""
    text = f"""
receivers: {{otlp: {{protocols: {{http: {{endpoint: "{http}"}}}}}}}}
exporters: {{parquet: , prometheus: {{endpoint: "{prometheus}"}}}}
extensions: {{health_check: {{endpoint: "{health}"}}}}
service:
  extensions: [health_check]
  pipelines: {{metrics: {{receivers: [otlp], exporters: [parquet, prometheus]}}}}
  telemetry: {{metrics: {{readers: [{{pull: {{exporter: {{prometheus: {{host: {reader}}}}}}}}}]}}}}
"""
    if not said:
        assert parse(text, "c", {})
        return
    with pytest.raises(ConfigError) as refused:
        parse(text, "c", {})
    assert said in str(refused.value)


def test_values() -> None:
    """Durations are Go's, addresses may be IPv6 or without a host, protocols without a value have their defaults."""
    text = """
receivers:
  otlp: {protocols: {grpc: , http: {endpoint: ":4319", read_timeout: 1m30s}}}
  otlp/two: {protocols: {http: {endpoint: "[::1]:1"}}}
processors: {batch: {timeout: 250ms}, memory_limiter: {limit_mib: 100, check_interval: 2s}}
exporters: {parquet: {silence: 1h}, debug: {verbosity: Detailed}}
extensions: {health_check: {endpoint: "localhost:1", path: /up}}
service:
  extensions: [health_check]
  pipelines: {metrics/a: {receivers: [otlp], processors: [batch, memory_limiter], exporters: [parquet, debug]}}
"""
    config = parse(text, "c", {})
    (receiver,) = config.of_kind(OtlpReceiverConfig)  # the other one is defined and not used
    assert receiver.protocols.grpc.endpoint == Endpoint("127.0.0.1", 4317)
    assert receiver.protocols.http.endpoint == Endpoint("0.0.0.0", 4319)
    assert receiver.protocols.http.read_timeout_s == 90.0
    assert config.of_kind(BatchConfig)[0].timeout_s == 0.25
    assert config.of_kind(MemoryLimiterConfig)[0].soft_limit_bytes == 80 << 20
    assert config.parquet.silence_s == 3600.0
    assert config.exporters["debug"].verbosity == "detailed"
    assert config.of_kind(HealthCheckConfig)[0].path == "/up"


BASE = {
    "receivers": "{otlp: {protocols: {http: {}}}}",
    "processors": "{}",
    "exporters": "{parquet: {}}",
    "extensions": "{}",
    "service": "{pipelines: {metrics: {receivers: [otlp], exporters: [parquet]}}}",
}


@pytest.mark.parametrize(
    ("section", "value", "said"),
    [
        (
            "receivers",
            "{otlp: {protocols: {http: {endpont: 1}}}}",
            "receivers.otlp.protocols.http: unknown key 'endpont'; known: ",
        ),
        ("receivers", "{jaeger: {}}", "receivers: unknown type 'jaeger'; known: otlp"),
        ("receivers", "{otlp: {protocols: {thrift: {}}}}", "unknown key 'thrift'; known: grpc, http"),
        ("receivers", "{otlp: {}}", "receivers.otlp: name at least one of grpc and http"),
        ("receivers", "{otlp: 3}", "receivers.otlp: expected keys and values, found 3"),
        (
            "receivers",
            "{otlp: {protocols: {http: {endpoint: nowhere}}}}",
            "endpoint: expected HOST:PORT, found 'nowhere'",
        ),
        ("receivers", '{otlp: {protocols: {http: {endpoint: "a:99999"}}}}', "endpoint: expected HOST:PORT"),
        ("receivers", "{otlp: {protocols: {grpc: {max_recv_msg_size_mib: -1}}}}", "expected a whole number"),
        ("receivers", "{otlp: {protocols: {http: {read_timeout: 3 days}}}}", "read_timeout: expected a duration"),
        ("receivers", "{otlp: {protocols: {grpc: {first_call_timeout: 0s}}}}", "first_call_timeout must be above 0"),
        ("processors", "{attributes: {}}", "processors.attributes: actions is needed"),
        ("processors", "{memory_limiter: {}}", "processors.memory_limiter: limit_mib or limit_percentage is needed"),
        ("processors", "{batch: {timeout: 60s}}", "processors.batch: timeout must be from 50ms to 4s"),
        (
            "exporters",
            "{parquet: {}, kafka: {}}",
            "exporters: unknown type 'kafka'; known: debug, file, otlp, otlp_grpc, otlp_http, o",
        ),
        ("exporters", "{parquet: {directory: gs://bucket}}", "directory: give a local directory, or s3://"),
        ("exporters", "{parquet: {state_directory: s3://bucket}}", "state_directory: give a local directory"),
        ("exporters", "{debug: {}}", "'parquet' is not defined under exporters; defined: debug"),
        ("exporters", "{parquet: {}, debug: {verbosity: loud}}", "expected basic or normal or detailed, found 'loud'"),
        ("exporters", "{parquet: {directory: '${env:NOWHERE}'}}", "environment variable NOWHERE is not set"),
        ("exporters", "{parquet: {directory: '${file:x}'}}", "${file:x} is not understood here: no files are read"),
        (
            "extensions",
            "{zpages: {}}",
            "extensions: unknown type 'zpages'; known: basicauth, bearertokenauth, health_check",
        ),
        ("service", "3", "a service section with pipelines is needed"),
        ("service", "{pipelines: {traces: {}}}", "unknown pipeline 'traces'; stepsize takes metrics only"),
        ("service", "{pipelines: {metrics: {receivers: [otlp]}}}", "a pipeline needs receivers and exporters"),
        ("service", "{pipelines: {metrics: {receivers: otlp}}}", "expected a list of names"),
        (
            "service",
            "{telemetry: {logs: {level: 3}}, pipelines: {metrics: {receivers: [otlp], exporters: [parquet]}}}",
            "level",
        ),
        (
            "service",
            "{extensions: [health_check], pipelines: {metrics: {receivers: [otlp], exporters: [parquet]}}}",
            "health_check",
        ),
        ("connectors", "{}", "unknown section 'connectors'; known: receivers"),
    ],
)
def test_refusals(section: str, value: str, said: str) -> None:
    """What is wrong is refused in one line that starts with the place and lists what is known there."""
    text = "\n".join(f"{name}: {content}" for name, content in {**BASE, section: value}.items())
    with pytest.raises(ConfigError) as refused:
        parse(text, "c.yaml", {})
    where = "service" if "is not defined" in said else section
    line = [*BASE, section].index(where) + 1
    assert str(refused.value).startswith(f"c.yaml:{line}: ")
    assert said.removeprefix("") in str(refused.value)
    assert "\n" not in str(refused.value)


LAYOUT = """# a comment
receivers:
  otlp:
    protocols:
      http:
        read_timeout: 1s
processors:
  batch: {}
exporters:
  parquet:
    silence: 1h
service:
  pipelines:
    metrics:
      receivers: [otlp]
      processors: [batch]
      exporters: [parquet]
"""


@pytest.mark.parametrize(
    ("number", "written", "said"),
    [
        (6, "        endpont: 'h:1'", "6: receivers.otlp.protocols.http: unknown key 'endpont'"),
        (6, "        endpoint: nowhere", "6: receivers.otlp.protocols.http.endpoint: expected HOST:PORT"),
        (
            8,
            "  attributes: {actions: [{key: a, action: hash}, {key: b}]}",
            "8: processors.attributes.actions[1]: action is",
        ),
        (11, "    silence: ${env:NOWHERE}", "11: exporters.parquet.silence: environment variable NOWHERE is not set"),
        (16, "      processors: [filter]", "16: service: 'filter' is not defined under processors"),
    ],
)
def test_the_line_is_told(number: int, written: str, said: str) -> None:
    """What is refused is named with its key and its line, however deep it lies and whoever it is referred to by."""
    lines = LAYOUT.splitlines()
    lines[number - 1] = written
    with pytest.raises(ConfigError) as refused:
        parse("\n".join(lines), "c.yaml", {})
    assert str(refused.value).startswith(f"c.yaml:{said}")


def test_every_component_refuses_unknown_keys() -> None:
    """No component of the table takes a key that it does not know."""
    for section, types in COMPONENTS.items():
        for kind in types:
            text = "\n".join(
                f"{name}: {content}" for name, content in {**BASE, section: f"{{{kind}: {{bogus: 1}}}}"}.items()
            )
            with pytest.raises(ConfigError, match=f"{section}.{kind}: unknown key 'bogus'; known: "):
                parse(text, "c.yaml", {})


def test_memory_gate() -> None:
    """The gate reads the memory once each interval, closes above the soft limit and opens below it."""
    now, resident, reads = [0.0], [0], [0]

    def read() -> int:
        reads[0] += 1
        return resident[0]

    gate = memory_gate(MemoryLimiterConfig(limit_mib=100, spike_limit_mib=20), read, lambda: now[0])
    assert gate() is None
    resident[0] = 90 << 20
    assert (gate(), reads[0]) == (None, 1)
    now[0] = 1.0
    assert "memory limit" in str(gate())
    resident[0], now[0] = 70 << 20, 2.0
    assert (gate(), reads[0]) == (None, 3)


TOKENS = "extensions: {bearertokenauth: {filename: /no/such}}"
NO_TOKENS = "extensions.bearertokenauth.filename: cannot read /no/such: No such file or directory"


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (None, 2, "leave --config away for the built-in configuration"),
        ("receivers: [", 2, "config.yaml:1:13: not valid YAML"),
        ("\xff", 2, "not"),
        ("receivers: {bogus: }", 2, "unknown type 'bogus'"),
        (CONFIG.replace("grpc: {", "grpc: {auth: {authenticator: nobody}, "), 2, "'nobody' is no extension in"),
        (CONFIG.replace("grpc: {", "grpc: {tls: {cert_file: /no/such, key_file: /no/such}, "), 2, "/no/such"),
        (
            CONFIG.replace("grpc: {", "grpc: {auth: {authenticator: bearertokenauth}, ").replace(
                "service: {", f"{TOKENS}\nservice: {{extensions: [bearertokenauth], "
            ),
            2,
            NO_TOKENS,
        ),
        (
            CONFIG.replace("{parquet: {}}", "{parquet: , file: {path: /no/such/x}}").replace(
                "[parquet]", "[parquet, file]"
            ),
            2,
            "exporters.file.path: there is no directory /no/such; make it",
        ),
        (
            CONFIG.replace("{parquet: {}}", "{parquet: {directory: /dev/null/lake}}"),
            2,
            "exporters.parquet.directory: /dev/null is not a directory",
        ),
        (CONFIG, 0, "valid"),
    ],
)
def test_validate(place: Place, content: str | None, code: int, said: str) -> None:
    """`--validate` says in one line what is wrong with a file, ends with 2 or 0, and touches nothing."""
    file = place.home / "config.yaml"
    if content is not None:
        file.write_bytes(content.encode("latin-1"))
    process = place.spawn("--validate", "--config", str(file), "--data", str(place.home / "lake"))
    _, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert err.count(b"\n") == 1
    assert said in err.decode()
    assert not (place.home / "lake").exists()


def test_debug_and_health_check(place: Place) -> None:
    """The debug exporter shows each request on standard error; the health check answers while the collector serves."""
    collector = place.collect(
        """
receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:0"}}}}
exporters: {parquet: {}, debug: {verbosity: normal}}
extensions: {health_check: {endpoint: "127.0.0.1:0", path: /up}}
service: {extensions: [health_check], pipelines: {metrics: {receivers: [otlp], exporters: [parquet, debug]}}}
"""
    )
    assert collector.post(RequestBuilder(identity()).gauge("loss", [(1, 1.0)]).content())[0] == 200
    assert collector.process.stderr
    assert b"1 resources, 1 points" in collector.process.stderr.readline()
    assert b"loss gauge 1 points" in collector.process.stderr.readline()
    health = collector.line.rpartition("health check on ")[2].partition(";")[0]
    collector.line = f"HTTP on {health}"
    assert collector.post(None, path="/up", method="GET")[:2] == (200, b'{"status":"Server available"}')


@pytest.mark.parametrize(
    ("pipelines", "said"),
    [
        ("{metrics: {receivers: [otlp, otlp], exporters: [parquet]}}", "receivers name one twice: otlp, otlp"),
        (
            "{metrics: {receivers: [otlp], exporters: [parquet, parquet/b]}}",
            "one parquet exporter can be used, not several",
        ),
        (
            "{metrics: {receivers: [otlp, otlp/same], exporters: [parquet]}}",
            "receivers.otlp/same.protocols.http.endpoint: h:1 is the address of receivers.otlp.protocols.http.endpoint",
        ),
    ],
)
def test_what_cannot_be_together(pipelines: str, said: str) -> None:
    """Pipelines that contradict each other are refused before anything listens."""
    http = "{protocols: {http: {endpoint: 'h:1'}}}"
    text = f"""
receivers: {{otlp: {http}, otlp/same: {http}}}
exporters: {{parquet: , parquet/b: }}
service: {{pipelines: {pipelines}}}
"""
    with pytest.raises(ConfigError) as refused:
        parse(text, "c", {})
    assert said in str(refused.value)
