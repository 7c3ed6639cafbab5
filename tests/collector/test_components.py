"""The contract that every component of the configuration keeps: its keys, its defaults, its refusals."""

from __future__ import annotations

import pickle
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.collector.components.table import COMPONENTS
from stepsize.collector.config.language import Section, Sections, build
from stepsize.errors import ConfigError

ALL = [(section, name) for section, types in COMPONENTS.items() for name in types]
NEEDED: dict[str, dict[str, Any]] = {
    "attributes": {"actions": [{"action": "delete", "key": "x"}]},
    "resource": {"attributes": [{"action": "delete", "key": "x"}]},
    "filter": {"metrics": {}},
    "memory_limiter": {"limit_mib": 100},
    "file": {"path": "/tmp/x"},
    "otlp exporter": {"endpoint": "h:4317"},
    "otlphttp": {"endpoint": "http://h"},
    "prometheus": {"endpoint": "127.0.0.1:9464"},
    "otlp": {"protocols": {"grpc": None, "http": None}},
    "bearertokenauth": {"token": "t"},
    "basicauth": {"htpasswd": {"inline": "a:{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs="}},
}
"""The least that a component needs to be built."""

UPSTREAM: dict[str, dict[str, Any]] = {
    "receivers.otlp": {
        "protocols.http.metrics_url_path": "/v1/metrics",
        "protocols.http.max_request_body_size": 20 << 20,
    },
    "processors.batch": {"timeout": 0.2, "send_batch_size": 8192, "send_batch_max_size": 0},
    "processors.memory_limiter": {"limit_percentage": 0, "spike_limit_mib": 0, "spike_limit_percentage": 0},
    "processors.filter": {"error_mode": "propagate"},
    "processors.attributes": {"include": None, "exclude": None},
    "processors.resource": {},
    "exporters.debug": {"verbosity": "basic", "sampling_initial": 2, "sampling_thereafter": 1},
    "exporters.file": {"format": "json", "append": False, "rotation": None, "flush_interval": 1.0},
    "exporters.otlp": {
        "compression": "gzip",
        "timeout": 5.0,
        "tls.insecure": False,
        "headers": (),
        "authority": "",
        "sending_queue.num_consumers": 10,
        "sending_queue.batch": None,
        "retry_on_failure.enabled": True,
        "retry_on_failure.initial_interval": 5.0,
        "retry_on_failure.randomization_factor": 0.5,
        "retry_on_failure.multiplier": 1.5,
        "retry_on_failure.max_interval": 30.0,
        "retry_on_failure.max_elapsed_time": 300.0,
    },
    "exporters.otlphttp": {
        "compression": "gzip",
        "timeout": 30.0,
        "encoding": "proto",
        "headers": (),
        "proxy_url": "",
        "tls.insecure_skip_verify": False,
        "tls.min_version": "1.2",
        "tls.max_version": "",
        "sending_queue.num_consumers": 10,
        "retry_on_failure.max_elapsed_time": 300.0,
    },
    "exporters.prometheus": {
        "namespace": "",
        "const_labels": (),
        "send_timestamps": False,
        "metric_expiration": 300.0,
        "resource_to_telemetry_conversion.enabled": False,
        "resource_to_telemetry_conversion.exclude_service_attributes": False,
        "without_scope_info": False,
        "add_metric_suffixes": True,
    },
    "exporters.parquet": {},  # ours alone
    "extensions.health_check": {"path": "/"},
    "extensions.bearertokenauth": {"scheme": "Bearer", "header": "Authorization"},
    "extensions.basicauth": {"client_auth": None},
    "extensions.postgres_wire": {},  # ours alone
}
"""Defaults as upstream's documentation has them, durations in seconds (README.md and config.go of each component,
exporterhelper, configretry, configtls, as of v0.161)."""

DEVIATIONS = {
    ("receivers.otlp", "protocols.http.read_timeout"): (0.0, 30.0, "a request that never ends holds room for ever"),
    ("receivers.otlp", "protocols.http.write_timeout"): (0.0, 30.0, "so does an answer that nobody reads"),
    ("receivers.otlp", "protocols.http.idle_timeout"): (0.0, 75.0, "and a connection that nobody uses"),
    ("exporters.otlp", "sending_queue.sizer"): ("requests", "bytes", "the queue lies on disk"),
    ("exporters.otlp", "sending_queue.queue_size"): (1000, 1 << 30, "as above"),
    ("processors.memory_limiter", "check_interval"): (
        0.0,
        1.0,
        "upstream refuses its own default, and recommends this",
    ),
}
"""Where a default is not upstream's: upstream's, ours, why."""


def minimal(section: str, name: str) -> Any:
    return NEEDED.get(f"{name} exporter" if (section, name) == ("exporters", "otlp") else name, {})


def value_at(config: Any, path: str) -> Any:
    for key in path.split("."):
        config = getattr(config, next(row.name for row in fields(config) if (row.metadata["key"] or row.name) == key))
    return config


def sections(kind: type[Any], path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], type[Any], bool]]:
    """Every section of a component: the keys that lead to it, its class, whether it is one of a list."""
    found = []
    for row in fields(kind):
        parse, key = row.metadata["parse"], row.metadata["key"] or row.name
        if isinstance(parse, (Section, Sections)):
            found.append(((*path, key), parse.kind, isinstance(parse, Sections)))
            if isinstance(parse, Section):
                found += sections(parse.kind, (*path, key))
    return found


@pytest.mark.parametrize(("section", "name"), ALL)
def test_unknown_keys(section: str, name: str) -> None:
    """In every section a key that is not known is refused by name, with the ones that are."""
    kind = COMPONENTS[section][name]
    places = [((), kind, False), *sections(kind)]
    for path, inner, is_list in places:
        values: Any = {"bogus": 1}
        for key in reversed(path):
            values = {key: [values] if is_list and key == path[-1] else values}
        with pytest.raises(ConfigError) as refused:
            build(kind, values, f"{section}.{name}")
        known = ", ".join(sorted(row.metadata["key"] or row.name for row in fields(inner))) or "none"
        assert f"unknown key 'bogus'; known: {known}" in str(refused.value)
        assert str(refused.value).startswith(".".join([f"{section}.{name}", *path]))


@pytest.mark.parametrize(("section", "name"), ALL)
def test_defaults(section: str, name: str) -> None:
    """Defaults are upstream's; a component is in the table of these, or it is not finished."""
    config = build(COMPONENTS[section][name], minimal(section, name), name)
    for key, default in UPSTREAM[f"{section}.{name}"].items():
        assert value_at(config, key) == default, key


@pytest.mark.parametrize(("component", "key"), DEVIATIONS)
def test_deviations(component: str, key: str) -> None:
    """Where a default is not upstream's, it is the one that the table of these says."""
    section, name = component.split(".")
    upstream, ours, why = DEVIATIONS[component, key]
    assert value_at(build(COMPONENTS[section][name], minimal(section, name), name), key) == ours != upstream
    assert why


@pytest.mark.parametrize(("section", "name"), ALL)
def test_nothing_but_a_mapping(section: str, name: str) -> None:
    """What is no mapping is refused in one line that does not show it: it may be a secret."""
    with pytest.raises(ConfigError) as refused:
        build(COMPONENTS[section][name], "s3cret", f"{section}.{name}")
    assert str(refused.value) == f"{section}.{name}: expected keys and values, found a str"


@pytest.mark.parametrize(("section", "name"), ALL)
def test_configurations_travel(section: str, name: str) -> None:
    """A configuration equals itself when it is built again, and after a pipe: that is how changes are found."""
    config = build(COMPONENTS[section][name], minimal(section, name), name)
    assert build(COMPONENTS[section][name], minimal(section, name), name) == config
    assert pickle.loads(pickle.dumps(config)) == config
    assert is_dataclass(config)


def test_secrets_are_not_shown() -> None:
    """Neither a configuration's text nor an error about it shows a header or key."""
    values = {
        "endpoint": "http://h",
        "headers": {"authorization": "s3cret"},
        "tls": {"key_pem": "s3cret", "cert_pem": "x"},
    }
    config = build(COMPONENTS["exporters"]["otlphttp"], values, "otlphttp")
    assert config.headers[0][1].reveal() == "s3cret"
    assert "s3cret" not in f"{config!r} {config}"
    for wrong in ({"headers": "s3cret"}, {"headers": {"a": ["s3cret"]}}, {"headers": {"a": "s3cret\n"}}):
        with pytest.raises(ConfigError) as refused:
            build(COMPONENTS["exporters"]["otlphttp"], {"endpoint": "http://h", **wrong}, "otlphttp")
        assert "s3cret" not in str(refused.value)
    for url in ("http://ada:s3cret@h", "s3cret@h", "ftp://ada:s3cret@h"):
        with pytest.raises(ConfigError) as refused:
            build(COMPONENTS["exporters"]["otlphttp"], {"endpoint": url}, "otlphttp")
        assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        ("otlp", {}, "otlp: endpoint is needed"),
        ("otlp", {"endpoint": "nowhere"}, "expected HOST:PORT"),
        ("otlp", {"endpoint": "h:1", "compression": "snappy"}, "expected gzip or none"),
        ("otlp", {"endpoint": "h:1", "tls": {"insecure_skip_verify": True}}, "unknown key 'insecure_skip_verify'"),
        ("otlp", {"endpoint": "h:1", "sending_queue": {"sizer": "items"}}, "sizer: expected bytes, found 'items'"),
        ("otlp", {"endpoint": "h:1", "sending_queue": {"queue_size": 5000}}, "queue_size is in bytes"),
        ("otlp", {"endpoint": "h:1", "sending_queue": {"storage": "file_storage"}}, "unknown key 'storage'"),
        ("otlp", {"endpoint": "h:1", "retry_on_failure": {"multiplier": 0.5}}, "multiplier must be at least 1"),
        ("otlphttp", {}, "endpoint or metrics_endpoint is needed"),
        ("otlphttp", {"endpoint": "h:1"}, "expected http://HOST:PORT"),
        (
            "otlphttp",
            {"endpoint": "https://h", "tls": {"ca_file": "/no/such"}},
            "tls.ca_file: there is no file /no/such",
        ),
        ("otlphttp", {"endpoint": "https://h", "tls": {"cert_pem": "x"}}, "a certificate needs its key"),
        ("otlp", {"endpoint": "h:1", "sending_queue": {"enabled": False}}, "sending_queue.enabled: only true is"),
        ("file", {"path": "x", "append": True, "rotation": {}}, "append and rotation exclude one another"),
        ("file", {}, "file: path is needed"),
        ("file", {"path": "x", "compression": "zstd"}, "unknown key 'compression'"),
        ("file", {"path": "x", "format": "csv"}, "expected json or proto"),
        ("prometheus", {"endpoint": "127.0.0.1:1", "enable_open_metrics": True}, "unknown key 'enable_open_metrics'"),
        ("prometheus", {"endpoint": "127.0.0.1:1", "metric_expiration": "0s"}, "metric_expiration must be above 0"),
    ],
)
def test_exporters_refuse(kind: str, values: dict[str, Any], said: str) -> None:
    """What an exporter cannot do is refused when the configuration is read."""
    with pytest.raises(ConfigError) as refused:
        build(COMPONENTS["exporters"][kind], values, kind)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        ("attributes", {"actions": []}, "actions are needed"),
        ("attributes", {"actions": [{"key": "x", "action": "drop"}]}, "actions[0].action: expected insert or update"),
        (
            "attributes",
            {"actions": [{"key": "x", "action": "insert"}]},
            "needs a value, from_attribute or default_value",
        ),
        ("attributes", {"actions": [{"action": "delete"}]}, "action delete needs a key"),
        ("attributes", {"actions": [{"key": "x", "action": "delete", "value": 1}]}, "does not use value"),
        ("attributes", {"actions": [{"key": "x", "action": "convert"}]}, "needs a converted_type"),
        (
            "attributes",
            {"actions": [{"key": "x", "action": "extract", "pattern": "(a)"}]},
            "every group of which has a",
        ),
        ("attributes", {"actions": [{"key": "x", "action": "hash", "pattern": "("}]}, "is no regular expression"),
        ("attributes", {"actions": [{"key": "x", "action": "hash", "pattern": "(a+)+"}]}, "may take for ever"),
        (
            "attributes",
            {"actions": [{"key": "x", "action": "hash", "pattern": "(?=a)"}]},
            "look-around is not supported",
        ),
        (
            "attributes",
            {"actions": [{"key": "x", "action": "insert", "from_context": "metadata.y"}]},
            "unknown key 'from_context'",
        ),
        ("filter", {}, "filter: metrics is needed"),
        ("filter", {"logs": {}}, "unknown key 'logs'"),
        ("filter", {"metrics": {"include": {"match_type": "expr"}}}, "expected strict or regexp, found 'expr'"),
        (
            "filter",
            {"metrics": {"include": {"match_type": "strict"}}},
            "metric_names or resource_attributes are needed",
        ),
        ("filter", {"metrics": {"metric": ["name == "]}}, "it ends too early; supported: "),
        ("filter", {"metrics": {"metric": ['attributes["x"] == "y"']}}, "attributes is not known in metric"),
        ("filter", {"metrics": {"datapoint": ["Concat(name)"]}}, "function Concat is not known in datapoint"),
        (
            "filter",
            {"metrics": {"metric": ['name == "a"'], "exclude": {"match_type": "strict", "metric_names": ["b"]}}},
            "give conditions, or include and exclude, not both",
        ),
        ("batch", {"send_batch_size": float("inf")}, "send_batch_size: expected a whole number from 0, found inf"),
        ("batch", {"send_batch_size": 10, "send_batch_max_size": 5}, "must not be below send_batch_size"),
    ],
)
def test_processors_refuse(kind: str, values: dict[str, Any], said: str) -> None:
    """What a processor cannot do is refused when the configuration is read."""
    with pytest.raises(ConfigError) as refused:
        build(COMPONENTS["processors"][kind], values, kind)
    assert said in str(refused.value)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(("section", "name"), ALL)
@given(data=st.data())
def test_anything(section: str, name: str, data: st.DataObject) -> None:
    """Whatever a key holds, a configuration is built or refused in one line."""
    kind = COMPONENTS[section][name]
    known = [row.metadata["key"] or row.name for row in fields(kind)]
    values = data.draw(st.dictionaries(st.sampled_from(known), PLAIN, max_size=3))
    said = ""
    try:
        build(kind, {**minimal(section, name), **values}, name)
    except ConfigError as error:
        said = str(error)
    assert len(said.splitlines()) <= 1


def test_every_key_has_a_default_or_is_needed() -> None:
    """No component has a default that is shared and could change."""
    for section, name in ALL:
        for row in fields(COMPONENTS[section][name]):
            assert row.default is MISSING or not isinstance(row.default, (list, dict, set))
