"""Processors that change requests: attributes, resource, filter."""

from __future__ import annotations

import asyncio
import hashlib
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from stepsize.collector.components.table import COMPONENTS
from stepsize.collector.config.language import build
from stepsize.collector.pipelines.conditions import parse_condition
from stepsize.collector.pipelines.fanout import appender
from stepsize.collector.pipelines.plan import Route
from stepsize.collector.pipelines.transforms import transform
from stepsize.collector.pipelines.values import as_text, plain, set_plain
from tests.collector.otlp import SECOND, RequestBuilder

RESOURCE = {"host.name": "h1", "stepsize.user": "ada", "count": 3, "on": True}


def processor(kind: str, **settings: Any) -> Any:
    return build(COMPONENTS["processors"][kind], settings, kind)


def request(**attributes: Any) -> Any:
    """Gauges `loss` (two points) and `system.load`, a sum `steps`; the points have the attributes."""
    builder = RequestBuilder(RESOURCE).gauge("loss", [(SECOND, 1.0), (2 * SECOND, 2)], **attributes)
    builder.gauge("system.load", [(SECOND, 0.5)], **attributes)
    return builder.sum("steps", SECOND, [(2 * SECOND, 7)], **attributes).message


def changed(message: Any, kind: str, **settings: Any) -> Any:
    change = transform(processor(kind, **settings))
    assert change
    change(message)
    return message


def attributes_of(message: Any, name: str = "loss") -> dict[str, Any]:
    for metric in metrics_of(message):
        if metric.name == name:
            point = getattr(metric, metric.WhichOneof("data")).data_points[0]
            return {pair.key: plain(pair.value) for pair in point.attributes}
    raise AssertionError(f"there is no {name}")


def metrics_of(message: Any) -> list[Any]:
    return [m for resource in message.resource_metrics for scope in resource.scope_metrics for m in scope.metrics]


def names_of(message: Any) -> list[str]:
    return [metric.name for metric in metrics_of(message)]


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ({"action": "insert", "key": "b", "value": 1}, {"a": "x", "b": 1}),
        ({"action": "insert", "key": "a", "value": 1}, {"a": "x"}),
        ({"action": "INSERT", "key": "b", "value": ""}, {"a": "x", "b": ""}),
        ({"action": "update", "key": "a", "value": 1.5}, {"a": 1.5}),
        ({"action": "update", "key": "b", "value": 1}, {"a": "x"}),
        ({"action": "upsert", "key": "a", "value": True}, {"a": True}),
        ({"action": "upsert", "key": "b", "value": ["y", {"z": 1}]}, {"a": "x", "b": ["y", {"z": 1}]}),
        ({"action": "insert", "key": "b", "from_attribute": "a"}, {"a": "x", "b": "x"}),
        ({"action": "insert", "key": "b", "from_attribute": "c"}, {"a": "x"}),
        ({"action": "insert", "key": "b", "from_attribute": "c", "default_value": "d"}, {"a": "x", "b": "d"}),
        ({"action": "insert", "key": "b", "from_attribute": "a", "default_value": "d"}, {"a": "x", "b": "x"}),
        ({"action": "delete", "key": "a"}, {}),
        ({"action": "delete", "key": "b"}, {"a": "x"}),
        ({"action": "delete", "pattern": "^A|a$"}, {}),
        ({"action": "hash", "key": "a"}, {"a": hashlib.sha256(b"x").hexdigest()}),
        (
            {"action": "extract", "key": "a", "pattern": "(?P<first>.)(?P<second>.?)"},
            {"a": "x", "first": "x", "second": ""},
        ),
        ({"action": "extract", "key": "a", "pattern": "(?P<a>y)"}, {"a": "x"}),
        ({"action": "convert", "key": "a", "converted_type": "int"}, {"a": "x"}),
    ],
)
def test_actions(action: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each action does to an attribute what upstream's README says."""
    assert attributes_of(changed(request(a="x"), "attributes", actions=[action])) == expected


@pytest.mark.parametrize(
    ("value", "to", "expected"),
    [
        ("12", "int", 12),
        ("-9223372036854775808", "int", -(2**63)),
        ("9223372036854775808", "int", "9223372036854775808"),
        ("1.5", "int", "1.5"),
        (" 12", "int", " 12"),
        ("1_000", "int", "1_000"),
        (1.9, "int", 1),
        (float("nan"), "string", "NaN"),
        (True, "int", 1),
        ("1e3", "double", 1000.0),
        ("1_0.0", "double", "1_0.0"),
        (3, "double", 3.0),
        (False, "double", 0.0),
        (True, "string", "true"),
        (12, "string", "12"),
        (1.0, "string", "1"),
        (1e-7, "string", "1e-7"),
        (1e21, "string", "1e+21"),
        ([1, "a"], "string", '[1,"a"]'),
        ([1], "int", [1]),
    ],
)
def test_convert(value: Any, to: str, expected: Any) -> None:
    """Conversions are Go's; what cannot be converted stays."""
    action = {"action": "convert", "key": "a", "converted_type": to}
    found = attributes_of(changed(request(a=value), "attributes", actions=[action]))["a"]
    assert (found, type(found)) == (expected, type(expected))


def test_hash_of_every_type() -> None:
    """Numbers are hashed as their eight bytes, booleans as one, nothing as nothing."""
    sha = lambda content: hashlib.sha256(content).hexdigest()  # noqa: E731 - a word for a long name
    for value, expected in (
        (True, sha(b"\1")),
        (7, sha(struct.pack("<q", 7))),
        (0.5, sha(struct.pack("<d", 0.5))),
        ("", ""),
    ):
        made = changed(request(a=value), "attributes", actions=[{"action": "hash", "key": "a"}])
        assert attributes_of(made) == {"a": expected}


def test_include_and_exclude() -> None:
    """Actions are done to the metrics that are included and not excluded, by name and resource."""
    actions = [{"action": "insert", "key": "b", "value": 1}]
    made = changed(
        request(),
        "attributes",
        actions=actions,
        include={"match_type": "regexp", "metric_names": ["^system", "steps"]},
        exclude={"match_type": "strict", "metric_names": ["steps"], "resources": [{"key": "count", "value": 3}]},
    )
    assert [attributes_of(made, name) for name in ("loss", "system.load", "steps")] == [{}, {"b": 1}, {}]


def test_resource() -> None:
    """The same actions on resources; points stay as they are."""
    made = changed(
        request(a="x"),
        "resource",
        attributes=[{"action": "delete", "key": "stepsize.user"}, {"action": "upsert", "key": "site", "value": "a"}],
    )
    found = {pair.key: plain(pair.value) for pair in made.resource_metrics[0].resource.attributes}
    assert found == {"host.name": "h1", "count": 3, "on": True, "site": "a"}
    assert attributes_of(made) == {"a": "x"}


@pytest.mark.parametrize(
    ("metrics", "left"),
    [
        ({"include": {"match_type": "strict", "metric_names": ["loss"]}}, ["loss"]),
        ({"exclude": {"match_type": "strict", "metric_names": ["loss"]}}, ["system.load", "steps"]),
        ({"exclude": {"match_type": "regexp", "metric_names": ["s$"]}}, ["system.load"]),
        (
            {
                "include": {"match_type": "regexp", "metric_names": ["s"]},
                "exclude": {"match_type": "strict", "metric_names": ["loss"]},
            },
            ["system.load", "steps"],
        ),
        ({"exclude": {"match_type": "strict", "resource_attributes": [{"key": "host.name"}]}}, []),
        ({"exclude": {"match_type": "strict", "resource_attributes": [{"key": "count", "value": 3}]}}, []),
        (
            {"exclude": {"match_type": "strict", "resource_attributes": [{"key": "on", "value": 1}]}},
            ["loss", "system.load", "steps"],
        ),
        (
            {"include": {"match_type": "regexp", "resource_attributes": [{"key": "host.name", "value": "^h\\d$"}]}},
            ["loss", "system.load", "steps"],
        ),
        ({"include": {"match_type": "regexp", "resource_attributes": [{"key": "host.name", "value": "x"}]}}, []),
    ],
)
def test_filter_by_names(metrics: dict[str, Any], left: list[str]) -> None:
    """Metrics go on by name, resources by their attributes; what is empty then goes too."""
    made = changed(request(), "filter", metrics=metrics)
    assert names_of(made) == left
    assert bool(made.resource_metrics) == bool(left)


@pytest.mark.parametrize(
    ("metrics", "left"),
    [
        ({"metric": ['name == "loss"']}, ["system.load", "steps"]),
        ({"metric": ['IsMatch(name, "^s") and type == METRIC_DATA_TYPE_GAUGE']}, ["loss", "steps"]),
        ({"metric": ['metric.unit != "1"', "not (true)"]}, ["loss", "system.load", "steps"]),
        ({"metric": ['HasAttrKeyOnDatapoint("cpu")']}, []),
        ({"metric": ['HasAttrOnDatapoint("cpu", "1")']}, ["loss", "system.load", "steps"]),
        ({"datapoint": ['attributes["cpu"] == "0" and metric.name == "steps"']}, ["loss", "system.load"]),
        ({"datapoint": ["value_double > 0.7 or value_int >= 7"]}, ["loss", "system.load"]),
        ({"datapoint": ['attributes["gone"] == nil']}, []),
        ({"datapoint": ['attributes["n"] < 10.5']}, []),
        ({"datapoint": ['attributes["cpu"] < 5']}, ["loss", "system.load", "steps"]),
        ({"resource": ['attributes["host.name"] == "h1"']}, []),
        ({"resource": ['resource.attributes["count"] > 3']}, ["loss", "system.load", "steps"]),
        ({"resource": ['attributes["on"] == true and not IsMatch(attributes["host.name"], "2")']}, []),
        (
            {"metric": ['resource.attributes["stepsize.user"] == "bob" or scope.name != "stepsize"']},
            ["loss", "system.load", "steps"],
        ),
        ({"datapoint": ['metric.name == "a \\"quoted\\" name"']}, ["loss", "system.load", "steps"]),
    ],
)
def test_filter_by_conditions(metrics: dict[str, Any], left: list[str]) -> None:
    """What a condition is true of is dropped; a metric without points goes with them."""
    assert names_of(changed(request(cpu="0", n=10), "filter", metrics=metrics)) == left


def test_filter_drops_single_points() -> None:
    """A metric stays with the points that are left of it."""
    made = changed(request(), "filter", metrics={"datapoint": ["value_double > 0.5"]})
    assert [len(metric.gauge.data_points) for metric in metrics_of(made)[:2]] == [1, 1]


@given(text=st.text(alphabet='name()[]"=<>! andornotr1.5,IsMatchtruenil\\', max_size=60))
def test_any_condition(text: str) -> None:
    """Any text is a condition that can be asked, or is refused with what is supported."""
    try:
        condition = parse_condition(text, "metric")
    except ValueError as error:
        said = str(error)
        condition = None
    if condition is None:
        assert "supported: " in said or "regular expression" in said
        return
    transform_of = transform(processor("filter", metrics={"metric": [text]}))
    assert transform_of
    transform_of(request())


VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(value=VALUES)
def test_values_keep_what_they_are(value: Any) -> None:
    """Whatever an attribute holds comes back as it was, and has a text."""
    target = AnyValue(string_value="before")
    set_plain(target, value)
    assert plain(target) == value
    assert isinstance(as_text(value), str)


class Log:
    def __init__(self) -> None:
        self.taken: list[bytes] = []

    async def append(self, request: bytes) -> None:
        self.taken.append(request)


def test_ways() -> None:
    """Nothing lies between a receiver and its log where no processor changes anything; else each log gets its own."""
    first, second = Log(), Log()
    logs = {Path("a"): first, Path("b"): second}
    batch = processor("batch")
    assert appender([Route("metrics", (batch,), (Path("a"),))], logs) is first
    drop = processor("filter", metrics={"exclude": {"match_type": "strict", "metric_names": ["loss"]}})
    everything = processor("filter", metrics={"resource": ["true"]})
    way = appender(
        [
            Route("metrics", (batch,), (Path("a"),)),
            Route("metrics/same", (), (Path("a"),)),
            Route("metrics/less", (drop,), (Path("b"),)),
            Route("metrics/none", (everything,), (Path("b"),)),
        ],
        logs,
    )
    content = request().SerializeToString()

    async def append() -> None:
        await way.append(content)

    asyncio.run(append())
    assert first.taken == [content]
    assert names_of(ExportMetricsServiceRequest.FromString(second.taken[0])) == ["system.load", "steps"]
    assert len(second.taken) == 1
