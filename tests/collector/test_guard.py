"""The bounds on attributes, resources and series, as pure rules over parsed requests."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from stepsize.collector.limits import RequestLimits
from stepsize.collector.otlp.guard import ATTRIBUTE_SIZE, ATTRIBUTES, RESOURCES, SERIES, Guard
from stepsize.collector.otlp.request import count_points
from tests.collector.otlp import RequestBuilder, identity, pairs

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMITS = RequestLimits(attributes=5, attribute_bytes=100, resources=3, series=10, window_s=60.0)


def request(task: str, series: Iterable[object], **resource: Any) -> Any:
    """A request of one resource with a point of each of `series`."""
    builder = RequestBuilder({"task": task, **resource})
    for name in series:
        builder.gauge("loss", [(1, 1.0)], series=name)
    return builder.message


def reject(guard: Guard, message: Any) -> dict[str, int]:
    return guard.reject(message, message.ByteSize(), count_points(message))


def test_what_is_in_order_stays_as_it_is() -> None:
    """Requests within the bounds are not changed, however often they come."""
    guard = Guard(LIMITS)
    for _ in range(50):
        message = request("1", range(10))
        before = message.SerializeToString()
        assert reject(guard, message) == {}
        assert message.SerializeToString() == before
    assert (guard.resources, guard.series) == (1, 10)


def test_series_beyond_the_bound() -> None:
    """Points of further series of a resource are taken out and named; those of known series go on."""
    guard = Guard(LIMITS)
    assert reject(guard, request("1", range(8))) == {}
    message = request("1", [*range(8), *range(100, 104)])
    rejected = reject(guard, message)
    assert rejected == {SERIES: 2}
    assert count_points(message) == 10
    assert "2 points were not kept: a resource has more than 10 series within 60 s" in guard.explain(rejected)
    for start in range(200, 300, 10):
        assert reject(guard, request("1", range(start, start + 10))) == {SERIES: 10}
    assert reject(guard, request("1", range(8))) == {}
    assert reject(guard, request("2", range(10))) == {}


def test_a_sender_that_runs_away_later_is_met_soon() -> None:
    """A resource that was in order for long and then makes a series of each point is held at the bound soon after."""
    guard = Guard(LIMITS)
    for _ in range(200):
        assert reject(guard, request("1", range(5))) == {}
    kept = 0
    for start in range(1000, 3000, 5):
        message = request("1", range(start, start + 5))
        reject(guard, message)
        kept += count_points(message)
    assert kept <= 31 * 5 + 10


def test_resources_beyond_the_bound() -> None:
    """Points of further resources are taken out, those that travel with them stay; a new window forgets."""
    now_s = 0.0
    guard = Guard(LIMITS, lambda: now_s)
    for task in "abc":
        assert reject(guard, request(task, [1])) == {}
    message = request("a", [1])
    message.resource_metrics.add().CopyFrom(request("d", [1, 2]).resource_metrics[0])
    rejected = reject(guard, message)
    assert rejected == {RESOURCES: 2}
    assert count_points(message) == 1
    assert "more than 3 resources" in guard.explain(rejected)
    now_s = 61.0
    assert reject(guard, request("d", [1, 2])) == {}
    assert guard.resources == 1


def test_attributes_beyond_the_bounds() -> None:
    """Too many attributes, or one too large, cost the points that have them: on points, scopes and resources."""
    guard = Guard(LIMITS)
    message = request("1", ["x" * 200, 1])
    assert reject(guard, message) == {ATTRIBUTE_SIZE: 1}
    assert count_points(message) == 1
    many = RequestBuilder({"task": "2"}).gauge("loss", [(1, 1.0), (2, 1.0)], **{f"a{i}": i for i in range(6)}).message
    assert reject(guard, many) == {ATTRIBUTES: 2}
    guard = Guard(LIMITS)
    scoped = request("3", [1])
    scoped.resource_metrics[0].scope_metrics[0].scope.attributes.extend(pairs({"a": "x" * 200}))
    assert reject(guard, scoped) == {ATTRIBUTE_SIZE: 1}
    assert reject(guard, request("4", [1], extra="x" * 200)) == {ATTRIBUTE_SIZE: 1}
    assert reject(guard, request("5", [1], **{f"a{i}": i for i in range(6)})) == {ATTRIBUTES: 1}


def test_heavy_requests_are_looked_at_each_time() -> None:
    """A known resource that sends one huge attribute is met at once, in whichever request it is."""
    limits = RequestLimits(attribute_bytes=4000)
    for calm in range(20):
        guard = Guard(limits)
        for _ in range(calm):
            assert reject(guard, request("1", [1])) == {}
        assert reject(guard, request("1", [1, "x" * 5000])) == {ATTRIBUTE_SIZE: 1}


def test_no_bounds() -> None:
    """Zero is no bound."""
    guard = Guard(RequestLimits(attributes=0, attribute_bytes=0, resources=0, series=0))
    for task in range(30):
        assert reject(guard, request(str(task), ["x" * 100_000, *range(100)])) == {}


@given(
    st.lists(
        st.lists(
            st.tuples(st.integers(0, 5), st.lists(st.integers(0, 40), max_size=12)),
            max_size=4,
        ),
        max_size=40,
    )
)
def test_what_is_kept_and_what_is_counted_add_up(requests: list[list[tuple[int, list[int]]]]) -> None:
    """Whatever comes, points that were taken out are counted, the rest is there, and no bound is passed by much."""
    guard = Guard(LIMITS)
    kept: dict[int, set[int]] = {}
    for parts in requests:
        message = RequestBuilder(identity()).message
        del message.resource_metrics[:]
        for task, series in parts:
            message.resource_metrics.add().CopyFrom(request(str(task), series).resource_metrics[0])
        before = count_points(message)
        assert before - sum(reject(guard, message).values()) == count_points(message)
        for one in message.resource_metrics:
            points = [p for s in one.scope_metrics for m in s.metrics for p in m.gauge.data_points]
            task = int(one.resource.attributes[0].value.string_value)
            kept.setdefault(task, set()).update(point.attributes[0].value.int_value for point in points)
    assert guard.resources <= 3
    assert len(kept) <= 3
    # Between two looks a sender that was in order may bring a few more.
    assert all(len(series) <= 10 + 30 * 12 * 4 for series in kept.values())


def test_few_series_take_little_memory() -> None:
    """What is remembered grows with what comes: a collector of one task's own does not pay for a fleet's."""
    message = request("1", range(50))
    tracemalloc.start()
    try:
        guard = Guard(RequestLimits())
        assert reject(guard, message) == {}
        taken_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert guard.series == 50
    assert taken_bytes < 1 << 20
