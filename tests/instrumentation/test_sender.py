"""What is kept while nobody takes it, and what gives way first."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from stepsize import model
from stepsize.instrumentation.agent.points import Batch, ResourcePoints, to_metrics_data
from stepsize.instrumentation.agent.probes.observation import Observation
from stepsize.instrumentation.agent.sender import Delivery, Sender
from tests.instrumentation.conftest import wait_until

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData


class Shelf:
    """A destination that takes points only while it is open."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.taken: list[tuple[str, int]] = []

    def export(self, data: MetricsData) -> Delivery:
        if not self.open.is_set():
            return Delivery.FAILED
        for resource in data.resource_metrics:
            for metric in resource.scope_metrics[0].metrics:
                self.taken += [(metric.name, point.time_unix_nano) for point in metric.data.data_points]
        return Delivery.TAKEN

    def close(self) -> None:
        pass


def _batch(*times: int, end: bool = False) -> Batch:
    resource = ResourcePoints({"stepsize.flow.name": "f"}, start_unix_nano=1)
    for time in times:
        resource.add(time, [Observation(model.TASK_MEMORY_USAGE, time)])
    if end:
        resource.add(times[-1], [Observation(model.TASK_END, 1)])
    return Batch([resource], resource.size())


def _sender(shelf: Shelf, max_points: int) -> Sender:
    sender = Sender(lambda: shelf, point_attributes=False, progress=lambda: None, max_points=max_points)
    sender.start()
    return sender


def test_what_was_not_taken_is_sent_later_in_order() -> None:
    """A destination that opens late has every batch, oldest first."""
    shelf = Shelf()
    sender = _sender(shelf, 1000)
    for n in range(5):
        sender.put(_batch(n * 10, n * 10 + 1))
    assert sender.unsent_points == 10
    shelf.open.set()
    sender.hurry()
    wait_until(lambda: sender.settled == 5)
    assert [time for _, time in shelf.taken] == [0, 1, 10, 11, 20, 21, 30, 31, 40, 41]
    assert (sender.unsent_points, sender.dropped_points) == (0, 0)
    sender.stop(5)


def test_at_the_bound_the_oldest_batches_keep_their_last_points_and_ends() -> None:
    """Memory stays bounded; what gave way is counted; ends and the last value of each series go last."""
    shelf = Shelf()
    sender = _sender(shelf, 12)
    sender.put(_batch(1, 2, 3, 4, 5, end=True))
    sender.put(_batch(11, 12, 13, 14, 15))
    sender.put(_batch(21, 22, 23, 24, 25))
    assert sender.unsent_points <= 12
    shelf.open.set()
    sender.hurry()
    wait_until(lambda: sender.settled == 3)
    assert (model.TASK_END.name, 5) in shelf.taken
    assert {5, 15, 25} <= {time for name, time in shelf.taken if name == model.TASK_MEMORY_USAGE.name}
    assert sender.dropped_points == 16 - len(shelf.taken)
    sender.stop(5)


def test_a_destination_that_cannot_be_made_is_tried_again() -> None:
    """A setting that an exporter refuses leaves the points where they are."""
    shelf, tries = Shelf(), []
    shelf.open.set()

    def make() -> Shelf:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("no such compression")
        return shelf

    sender = Sender(make, point_attributes=False, progress=lambda: None)
    sender.start()
    sender.put(_batch(1))
    wait_until(lambda: tries)
    sender.hurry()
    wait_until(lambda: sender.settled == 1)
    assert len(tries) == 2
    sender.stop(5)


def test_sums_start_with_their_resource_and_gauges_nowhere() -> None:
    """Points become OpenTelemetry's with their own times; only sums have a start; units come from the one table."""
    resource = ResourcePoints({"stepsize.flow.name": "f"}, start_unix_nano=5)
    mode = (("cpu.mode", "user"),)
    for time in (10, 20):
        resource.add(time, [Observation(model.TASK_CPU_TIME, 0.5, mode), Observation(model.TASK_MEMORY_USAGE, 7)])
    data = to_metrics_data([resource], point_attributes=True)
    metrics = {metric.name: metric for metric in data.resource_metrics[0].scope_metrics[0].metrics}
    sums = metrics["stepsize.task.cpu.time"]
    assert (sums.unit, sums.data.is_monotonic) == ("s", True)
    assert [(p.start_time_unix_nano, p.time_unix_nano) for p in sums.data.data_points] == [(5, 10), (5, 20)]
    assert sums.data.data_points[0].attributes == {"flow": "f", "cpu.mode": "user"}
    assert metrics["stepsize.task.memory.usage"].data.data_points[0].start_time_unix_nano == 0
