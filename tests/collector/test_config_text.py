"""The text of an `otel-config.yaml`: what references stand for, and which YAML is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stepsize.collector.components.otlp_receiver import OtlpReceiverConfig
from stepsize.collector.config.language import Endpoint
from stepsize.collector.config.service import load, parse
from stepsize.errors import ConfigError
from tests.collector.running import CONFIG


def test_environment() -> None:
    """References are filled in anywhere in a value, defaults where a variable is not set, `$$` is a dollar sign."""
    text = CONFIG.replace("{parquet: {}}", '{parquet: {directory: "/${env:A}/${B:-b}/${env:C:-}/$$x"}}')
    assert parse(text, "c", {"A": "one"}).parquet.directory == Path("/one/b/$x")
    text = CONFIG.replace('grpc: {endpoint: "127.0.0.1:0"}', "grpc: {max_recv_msg_size_mib: '${env:SIZE}'}")
    config = parse(text, "c", {"SIZE": "7"})
    assert config.of_kind(OtlpReceiverConfig)[0].protocols.grpc.max_recv_msg_size_mib == 7


def with_exporter(text: str, environ: dict[str, str]) -> Any:
    """The configuration of an exporter that is written as ``text``."""
    whole = f"""
receivers: {{otlp: {{protocols: {{http: }}}}}}
exporters: {{otlp_http: {text}}}
service: {{pipelines: {{metrics: {{receivers: [otlp], exporters: [otlp_http]}}}}}}
"""
    return parse(whole, "c", environ).exporters["otlp_http"]


def test_variables() -> None:
    """A variable is the text that it holds; where a key wants more than text, what it is as YAML, as upstream."""
    written = "{endpoint: '${env:URL}', headers: '${env:HEADERS}', tls: '${env:TLS}', encoding: '${env:E:-json}'}"
    environ = {"URL": "http://h", "HEADERS": "{authorization: 'Bearer: 007', x: 012}", "TLS": "", "E": ""}
    config = with_exporter(written, environ)
    assert {name: value.reveal() for name, value in config.headers} == {"authorization": "Bearer: 007", "x": "10"}
    assert config.encoding == "json"  # as in a shell, for an empty one too
    assert with_exporter("{endpoint: http://h, headers: {a: '${T}'}}", {"T": "0123"}).headers[0][1].reveal() == "0123"
    assert with_exporter("{endpoint: http://h, headers: {a: '${T}'}}", {"T": "a: [b"}).headers[0][1].reveal() == "a: [b"
    assert with_exporter("{endpoint: http://h, proxy_url: , timeout: null}", {}).timeout_s == 30.0


@pytest.mark.parametrize("written", ["${env:CA}", "${CA}", "/certs/${env:CA}"])
def test_a_variable_that_is_not_set(written: str) -> None:
    """It ends the start: nothing in its place would have a collector admit everybody, or listen to everybody."""
    with pytest.raises(ConfigError) as refused:
        with_exporter(f"{{endpoint: http://h, headers: {{a: '{written}'}}}}", {})
    assert str(refused.value) == (
        "c:3: exporters.otlp_http.headers.a: environment variable CA is not set; "
        "set it, or write ${env:CA:-} if nothing is to stand there"
    )
    empty = with_exporter(f"{{endpoint: http://h, headers: {{a: '{written}'}}}}", {"CA": ""})
    assert empty.headers[0][1].reveal() == written.partition("$")[0]


def test_headers_in_a_list() -> None:
    """Headers may be written as a list of names and values, as upstream takes them too."""
    config = with_exporter("{endpoint: http://h, headers: [{name: a, value: b}, {name: c, value: d}]}", {})
    assert [(name, value.reveal()) for name, value in config.headers] == [("a", "b"), ("c", "d")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &a [*a]", "c.yaml:1:8: not valid YAML: alias *a contains itself"),
        ("a: &a {b: {c: *a}}", "c.yaml:1:15: not valid YAML: alias *a contains itself"),
        (
            "exporters: {parquet: {}}\nexporters: {debug: {}}",
            "c.yaml:2:1: not valid YAML: key 'exporters' is given twice",
        ),
        ("a:\n  b: 1\n  b: 1", "c.yaml:3:3: not valid YAML: key 'b' is given twice"),
        ("[" * 5000 + "]" * 5000, "c.yaml: not valid YAML: it is nested too deeply"),
        ("a: \x00", "c.yaml: not valid YAML: it cannot be read"),
        ("a: 2026-13-01", "c.yaml: not valid YAML: month must be in 1..12"),
    ],
)
def test_yaml_that_is_never_meant(text: str, said: str) -> None:
    """Keys given twice, aliases of themselves and the like are refused in one line, with the place."""
    with pytest.raises(ConfigError) as refused:
        parse(text, "c.yaml", {})
    assert str(refused.value) == said


def test_aliases_and_merged_keys() -> None:
    """An alias of a finished node is understood, and a key may stand beside a merged one of the same name."""
    text = """
receivers: {otlp: {protocols: {http: &http {endpoint: "a:1", read_timeout: 5s}, grpc: }}}
exporters: {parquet: &none {}, debug: *none}
service: {pipelines: {metrics: {receivers: [otlp], exporters: [parquet]}}}
"""
    merged = text.replace("grpc: }", "grpc: }}, otlp/two: {protocols: {http: {<<: *http, endpoint: 'b:2'}}").replace(
        "receivers: [otlp]", "receivers: [otlp/two]"
    )
    assert parse(text, "c", {}).of_kind(OtlpReceiverConfig)[0].protocols.http.endpoint == Endpoint("a", 1)
    http = parse(merged, "c", {}).of_kind(OtlpReceiverConfig)[0].protocols.http
    assert (http.endpoint, http.read_timeout_s) == (Endpoint("b", 2), 5.0)


def test_files(tmp_path: Path) -> None:
    """`${file:PATH}` is what a file holds: values where it stands alone, else its text; wrong ones say which."""
    (tmp_path / "names").write_text("[a.b, c]\n")
    (tmp_path / "token").write_text("s3cret\n")
    path = tmp_path / "c.yaml"
    path.write_text(
        f"""
receivers: {{otlp: {{protocols: {{http: }}}}}}
processors: {{filter: {{metrics: {{exclude: {{match_type: strict, metric_names: "${{file:{tmp_path}/names}}"}}}}}}}}
exporters:
  parquet:
  otlphttp: {{endpoint: http://h, headers: {{authorization: "Bearer ${{file:{tmp_path}/token}}"}}}}
service: {{pipelines: {{metrics: {{receivers: [otlp], processors: [filter], exporters: [parquet, otlphttp]}}}}}}
"""
    )
    config = load(path, {})
    assert config.processors["filter"].metrics.exclude.metric_names == ("a.b", "c")
    assert config.exporters["otlphttp"].headers[0][1].reveal() == "Bearer s3cret"
    (tmp_path / "names").unlink()
    with pytest.raises(ConfigError, match=r"metric_names: cannot read .*/names: No such file or directory"):
        load(path, {})
    (tmp_path / "names").write_text("[")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load(path, {})


def test_bombs() -> None:
    """A text that unfolds to gigabytes, or is large itself, is refused at once."""
    levels = [f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 10)}]" for i in range(1, 12)]
    aliases = "\n".join(["x0: &x0 [a, b]", *levels])
    merged = "\n".join(
        ["x0: &x0 {a: 1}", *(f"x{i}: &x{i} {{<<: [{', '.join([f'*x{i - 1}'] * 50)}]}}" for i in range(1, 12))]
    )
    for text in (aliases, merged):
        with pytest.raises(ConfigError, match="not valid YAML: it unfolds to more than 50000 values"):
            parse(text, "c", {})
    with pytest.raises(ConfigError, match="too many mappings are merged into one"):
        parse("a: &a {b: 1}\nc: {<<: [" + "*a, " * 200 + "]}", "c", {})
    with pytest.raises(ConfigError, match="it is larger than 262144 bytes"):
        parse("#" * 300_000, "c", {})
