"""What is kept while nobody takes it, where, what gives way first, and what each answer leads to."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from stepsize import model
from stepsize.instrumentation.agent import otlp_json, otlp_protobuf
from stepsize.instrumentation.agent.delivery import Answer, Delivery, Encoding, Request
from stepsize.instrumentation.agent.losses import Losses
from stepsize.instrumentation.agent.points import Batch, ResourcePoints
from stepsize.instrumentation.agent.probes.observation import Observation
from stepsize.instrumentation.agent.sender import Bounds, Sender
from stepsize.instrumentation.agent.spool import Spool, Spooled
from tests.instrumentation.conftest import wait_until

TAKEN = Answer(Delivery.TAKEN)
PATIENT = Bounds(spill_after_s=3600)


@dataclass
class Shelf:
    """A destination that answers as told, and takes points only while it is open."""

    open: threading.Event = field(default_factory=threading.Event)
    answers: deque[Answer] = field(default_factory=deque)
    tried: list[Request] = field(default_factory=list)
    taken: list[tuple[str, int]] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)

    def send(self, request: Request) -> Answer:
        self.tried.append(request)
        self.asked.append(time.monotonic())
        answer = self.answers.popleft() if self.answers else TAKEN
        if not self.open.is_set():
            return Answer(Delivery.LATER, "closed")
        if answer.delivery is Delivery.TAKEN:
            parsed = ExportMetricsServiceRequest.FromString(request.body)
            for resource in parsed.resource_metrics:
                for metric in resource.scope_metrics[0].metrics:
                    data = getattr(metric, metric.WhichOneof("data"))
                    self.taken += [(metric.name, point.time_unix_nano) for point in data.data_points]
        return answer

    def close(self) -> None:
        pass

    @property
    def times(self) -> list[int]:
        return [time for _, time in self.taken]


def _seal(resources: list[ResourcePoints]) -> Request:
    return Request(otlp_protobuf.encode(resources, point_attributes=False), sum(each.size() for each in resources))


def _seal_json(resources: list[ResourcePoints]) -> Request:
    body = otlp_json.encode(resources, point_attributes=False)
    return Request(body, sum(each.size() for each in resources), Encoding.JSON)


def _batch(*times: int, end: bool = False) -> Batch:
    resource = ResourcePoints({"stepsize.flow.name": "f"}, start_unix_nano=1)
    for moment in times:
        resource.add(moment, [Observation(model.TASK_MEMORY_USAGE, moment)])
    if end:
        resource.add(times[-1], [Observation(model.TASK_END, 1)])
    return Batch([resource], resource.size())


def _sender(shelf: Shelf, spool: Spool | None = None, bounds: Bounds = PATIENT) -> Sender:
    sender = Sender(lambda: shelf, _seal, progress=lambda: None, spool=spool, bounds=bounds)
    sender.start()
    return sender


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", 1 << 20)


def test_what_was_not_taken_is_sent_later_in_order(shelf: Shelf) -> None:
    """A destination that opens late has every batch, oldest first."""
    sender = _sender(shelf)
    for n in range(5):
        sender.put(_batch(n * 10, n * 10 + 1))
    assert sender.unsent_points == 10
    shelf.open.set()
    sender.hurry()
    wait_until(lambda: sender.settled == 5)
    assert shelf.times == [0, 1, 10, 11, 20, 21, 30, 31, 40, 41]
    assert (sender.unsent_points, sender.losses) == (0, Losses())
    sender.stop(5)


def test_a_request_that_was_tried_is_sent_again_byte_for_byte(shelf: Shelf) -> None:
    """What came in between is a request of its own, so a collector that took the first without saying so can tell."""
    sender = _sender(shelf)
    sender.put(_batch(1))
    wait_until(lambda: shelf.tried)
    sender.put(_batch(2))
    shelf.open.set()
    sender.hurry()
    wait_until(lambda: sender.settled == 2)
    *same, last = shelf.tried
    assert len(same) >= 2
    assert {request.body for request in same} == {same[0].body}
    assert last.body != same[0].body
    assert shelf.times == [1, 2]
    sender.stop(5)


def test_at_the_bound_the_oldest_batches_keep_their_last_points_and_ends(shelf: Shelf) -> None:
    """Memory stays bounded; what gave way is counted; ends and the last value of each series go last."""
    sender = _sender(shelf, bounds=Bounds(max_points=13))
    sender.put(_batch(0))
    wait_until(lambda: shelf.tried)
    sender.put(_batch(1, 2, 3, 4, 5, end=True))
    sender.put(_batch(11, 12, 13, 14, 15))
    sender.put(_batch(21, 22, 23, 24, 25))
    assert sender.unsent_points <= 13
    shelf.open.set()
    sender.hurry()
    wait_until(lambda: sender.settled == 4)
    assert (model.TASK_END.name, 5) in shelf.taken
    assert {0, 5, 15, 25} <= {time for name, time in shelf.taken if name == model.TASK_MEMORY_USAGE.name}
    assert sender.losses == Losses(memory=17 - len(shelf.taken))
    sender.stop(5)


def test_a_destination_that_cannot_be_made_is_tried_again(shelf: Shelf) -> None:
    """A setting that an exporter refuses leaves the points where they are."""
    tries = []
    shelf.open.set()

    def make() -> Shelf:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("no such compression")
        return shelf

    sender = Sender(make, _seal, progress=lambda: None)
    sender.start()
    sender.put(_batch(1))
    wait_until(lambda: tries)
    sender.hurry()
    wait_until(lambda: sender.settled == 1)
    assert len(tries) == 2
    sender.stop(5)


def test_a_collector_that_asks_for_a_pause_gets_it_however_great_the_hurry(shelf: Shelf) -> None:
    """`Retry-After` is obeyed, to the second, where a failure that says nothing is tried again at once on a flush."""
    shelf.open.set()
    shelf.answers.append(Answer(Delivery.LATER, "busy", retry_after_s=0.7))
    sender = _sender(shelf)
    sender.put(_batch(1))
    wait_until(lambda: shelf.tried)
    while sender.settled < 1:
        sender.hurry()
        time.sleep(0.01)  # what is shown is that nothing happens however often it is asked for
    assert len(shelf.asked) == 2
    assert 0.65 <= shelf.asked[1] - shelf.asked[0] < 5
    sender.stop(5)


def test_what_is_refused_or_rejected_is_counted_and_holds_nothing_up(shelf: Shelf) -> None:
    """A permanent answer drops its request; a partial success loses what it names; the next request goes out."""
    shelf.open.set()
    shelf.answers += [Answer(Delivery.REFUSED, "wrong"), Answer(Delivery.TAKEN, "too old", rejected_points=2)]
    sender = _sender(shelf)
    for n in range(3):
        sender.put(_batch(n, n + 10, n + 20))
        wait_until(lambda n=n: sender.settled == n + 1)
    assert sender.losses == Losses(refused=3, rejected=2)
    assert shelf.times == [1, 11, 21, 2, 12, 22]
    sender.stop(5)


def test_a_server_that_breaks_over_one_request_gets_the_next(shelf: Shelf) -> None:
    """An internal error is tried a few times, then taken for the request's doing, for which the next never waits."""
    shelf.open.set()
    shelf.answers += [Answer(Delivery.FAULT, "500")] * 5
    sender = _sender(shelf)
    sender.put(_batch(1))
    wait_until(lambda: shelf.tried)
    sender.put(_batch(2))
    for tries in range(1, 5):
        wait_until(lambda tries=tries: len(shelf.asked) == tries)
        sender.hurry()  # once each, so that none is left for what comes after the last
    wait_until(lambda: sender.settled == 2)
    assert sender.losses == Losses(refused=1)
    assert shelf.times == [2]
    assert shelf.asked[5] - shelf.asked[4] < 4  # a fifth pause would be of 8 s
    sender.stop(5)


def test_a_request_that_is_too_large_goes_in_parts(shelf: Shelf) -> None:
    """It is halved until it is taken; a single point that is too large is refused."""
    shelf.open.set()

    class Small(Shelf):
        def send(self, request: Request) -> Answer:
            return super().send(request) if request.points <= 1 and self.room else Answer(Delivery.TOO_LARGE, "413")

        room = True

    small = Small(open=shelf.open)
    sender = _sender(small)
    sender.put(_batch(1, 2, 3, 4, 5, end=True))
    wait_until(lambda: sender.settled == 1)
    assert sorted(small.times) == [1, 2, 3, 4, 5, 5]
    small.room = False
    sender.put(_batch(6))
    wait_until(lambda: sender.settled == 2)
    assert sender.losses == Losses(refused=1)
    assert sender.unsent_points == 0
    sender.stop(5)


def test_what_waits_too_long_goes_to_disk_and_is_sent_after_what_is_fresh(shelf: Shelf, spool: Spool) -> None:
    """Memory is emptied into the spool; once somebody takes points the newest are first, and the spool ends empty."""
    sender = _sender(shelf, spool, Bounds(spill_after_s=0))
    sender.put(_batch(1, 2))
    wait_until(lambda: sender.spooled_points == 2 and not sender.held_points)
    tried = shelf.tried[0]
    sender.put(_batch(3))
    shelf.open.set()
    sender.hurry()
    wait_until(lambda: sender.unsent_points == 0)
    assert shelf.times == [3, 1, 2]
    assert shelf.tried[-1].body == tried.body
    assert sender.losses == Losses()
    sender.stop(5)


def test_too_much_in_memory_goes_to_disk_even_while_the_collector_wants_to_be_left_alone(
    shelf: Shelf, spool: Spool
) -> None:
    """A long pause does not let memory fill up."""
    shelf.open.set()
    shelf.answers.append(Answer(Delivery.LATER, "busy", retry_after_s=60))
    sender = _sender(shelf, spool, Bounds(spill_points=3))
    for n in range(4):
        sender.put(_batch(n))
        wait_until(lambda: shelf.tried)
    wait_until(lambda: (sender.spooled_points, sender.held_points) == (4, 0))
    assert len(shelf.tried) == 1
    sender.stop(5)


def test_the_next_agent_sends_what_the_last_one_left(shelf: Shelf, spool: Spool, tmp_path: Path) -> None:
    """What nobody took when an agent ends is on disk, and a later one delivers it."""
    sender = _sender(shelf, spool)
    sender.put(_batch(1))
    wait_until(lambda: shelf.tried)
    sender.put(_batch(2))
    sender.stop(5)
    assert sender.held_points == 0
    shelf.open.set()
    later = _sender(shelf, Spool(tmp_path / "spool", 1 << 20))
    wait_until(lambda: len(shelf.times) == 2)
    assert shelf.times == [1, 2]
    wait_until(lambda: later.unsent_points == 0)
    later.stop(5)


def test_what_a_hanging_collector_is_being_sent_is_on_disk_when_the_agent_ends(spool: Spool, tmp_path: Path) -> None:
    """The export under way is not waited for; the same bytes go out again later."""
    hanging, asked = threading.Event(), threading.Event()

    class Hanging(Shelf):
        def send(self, request: Request) -> Answer:
            self.tried.append(request)
            asked.set()
            hanging.wait()
            return TAKEN

    destination = Hanging()
    sender = _sender(destination, spool)
    sender.put(_batch(1))
    assert asked.wait(20)
    sender.put(_batch(2))
    started = time.monotonic()
    sender.stop(0.1)
    assert time.monotonic() - started < 5
    left = Spool(tmp_path / "spool", 1 << 20)
    first = left.oldest()
    assert first is not None
    assert first.request == destination.tried[0]
    assert left.points == 2
    hanging.set()


def test_a_disk_that_cannot_be_used_leaves_points_in_memory(shelf: Shelf, tmp_path: Path) -> None:
    """What cannot be spooled is kept, bounded and delivered as if there were no spool."""

    (tmp_path / "file").touch()
    unusable = Spool(tmp_path / "file" / "spool", 1 << 20)
    sender = _sender(shelf, unusable, Bounds(max_points=8, spill_points=2, spill_after_s=0))
    for n in range(5):
        sender.put(_batch(n * 10, n * 10 + 1, n * 10 + 2))
        wait_until(lambda: shelf.tried)
    assert 0 < sender.held_points <= 8
    shelf.open.set()
    sender.hurry()
    wait_until(lambda: sender.settled == 5)
    assert sender.losses.total == 15 - len(shelf.times)
    sender.stop(5)


def test_a_spool_that_cannot_be_read_is_no_reason_to_stop(shelf: Shelf, tmp_path: Path) -> None:
    """A damaged file is set aside and counted; what is beside it is sent."""
    first = Spool(tmp_path / "spool", 1 << 20)
    for n in range(3):
        first.add(_seal(_batch(n).resources))
    first.close()
    damaged = sorted((tmp_path / "spool").glob("*.gz"))[1]
    damaged.write_bytes(damaged.read_bytes()[:-3])
    shelf.open.set()
    sender = _sender(shelf, Spool(tmp_path / "spool", 1 << 20))
    wait_until(lambda: sender.unsent_points == 0 and len(shelf.times) == 2)
    assert shelf.times == [0, 2]
    assert sender.losses == Losses(damaged=1)
    sender.stop(5)


@dataclass
class Meddler(Shelf):
    """A destination during whose first request the files of a spool become what can be neither read nor removed."""

    directory: Path = Path()

    def send(self, request: Request) -> Answer:
        if not self.tried:
            for path in self.directory.glob("*.gz"):
                path.rename(path.with_suffix(".away"))
                path.mkdir()
        return super().send(request)

    def put_back(self) -> None:
        for path in self.directory.glob("*.away"):
            path.with_suffix(".gz").rmdir()
            path.rename(path.with_suffix(".gz"))


def _keep_busy(sender: Sender) -> None:
    """Have the sender send twenty batches, one after the other."""
    for n in range(100, 120):
        number = sender.put(_batch(n))
        wait_until(lambda number=number: sender.settled == number)


def test_a_spool_whose_files_cannot_be_read_is_left_alone_for_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not tried at every turn, fresh points are sent meanwhile, and once it can be read it is."""
    spool = Spool(tmp_path / "spool", 1 << 20)
    spool.add(_seal(_batch(1).resources))
    shelf = Meddler(directory=tmp_path / "spool")
    shelf.open.set()
    sender = Sender(lambda: shelf, _seal, progress=lambda: None, spool=spool, bounds=Bounds(disk_pause_s=2))
    sender.put(_batch(0))
    sender.start()
    wait_until(lambda: caplog.records)
    _keep_busy(sender)
    shelf.put_back()
    wait_until(lambda: sender.unsent_points == 0)
    assert shelf.times[-1] == 1
    assert shelf.asked[-1] - shelf.asked[0] >= 2
    assert len(caplog.records) < 5
    sender.stop(5)


def test_what_was_sent_but_cannot_be_removed_is_not_sent_over_and_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its removal is tried again after a while; what else there is is sent meanwhile."""
    spool = Spool(tmp_path / "spool", 1 << 20)
    spool.add(_seal(_batch(1).resources))
    shelf = Meddler(directory=tmp_path / "spool")
    shelf.open.set()
    sender = _sender(shelf, spool, Bounds(disk_pause_s=2))
    wait_until(lambda: caplog.records)
    _keep_busy(sender)
    shelf.put_back()
    wait_until(lambda: sender.unsent_points == 0)
    assert shelf.times == [1, *range(100, 120)]
    assert len(caplog.records) < 5
    assert not list((tmp_path / "spool").glob("*.gz"))
    sender.stop(5)


def test_the_halves_of_what_was_on_disk_are_on_disk_too(tmp_path: Path) -> None:
    """An agent that is killed between sending the two loses neither."""
    directory = tmp_path / "spool"

    class Small(Shelf):
        def send(self, request: Request) -> Answer:
            if request.points > 1:
                self.tried.append(request)
                return Answer(Delivery.TOO_LARGE, "413")
            on_disk.append(_points_in(directory))
            return super().send(request)

    on_disk: list[int] = []
    spool, small = Spool(directory, 1 << 20), Small()
    spool.add(_seal(_batch(1, 2, 3, 4).resources))
    small.open.set()
    sender = _sender(small, spool)
    wait_until(lambda: len(small.times) == 4 and sender.unsent_points == 0)
    assert small.times == [1, 2, 3, 4]
    assert on_disk == [4, 3, 2, 1]
    assert sender.losses == Losses()
    sender.stop(5)


def _points_in(directory: Path) -> int:
    return sum(int(path.name.split("-")[1]) for path in directory.glob("*.gz"))


def test_halves_that_the_disk_does_not_take_are_sent_all_the_same(tmp_path: Path) -> None:
    """From memory, each once, though the request cannot be removed for now."""

    class Small(Meddler):
        def send(self, request: Request) -> Answer:
            answer = super().send(request)
            return Answer(Delivery.TOO_LARGE, "413") if request.points > 1 else answer

    spool, small = Spool(tmp_path / "spool", 1 << 20), Small(directory=tmp_path / "spool")
    spool.add(_seal(_batch(1, 2).resources))
    small.open.set()
    sender = _sender(small, spool, Bounds(disk_pause_s=0.1))
    wait_until(lambda: len(small.tried) == 3 and not sender.held_points)
    small.put_back()
    wait_until(lambda: sender.unsent_points == 0)
    assert [request.points for request in small.tried] == [2, 1, 1]
    assert sender.losses == Losses()
    sender.stop(5)


def test_a_slow_disk_holds_up_nobody_who_puts(shelf: Shelf, tmp_path: Path) -> None:
    """The agent's loop hands its batches over while a file is being removed."""
    began, go_on = threading.Event(), threading.Event()

    class Slow(Spool):
        def remove(self, spooled: Spooled) -> None:
            began.set()
            go_on.wait()
            super().remove(spooled)

    spool = Slow(tmp_path / "spool", 1 << 20)
    spool.add(_seal(_batch(1).resources))
    shelf.open.set()
    sender = _sender(shelf, spool)
    assert began.wait(20)
    putting = threading.Thread(target=lambda: (sender.put(_batch(2)), sender.hurry()), daemon=True)
    putting.start()
    putting.join(10)
    assert not putting.is_alive()
    go_on.set()
    wait_until(lambda: sender.unsent_points == 0)
    assert shelf.times == [1, 2]
    sender.stop(5)


def test_json_is_split_as_protobuf_is(shelf: Shelf) -> None:
    """An agent without OpenTelemetry halves its requests too, each point once and in order."""
    taken: list[Request] = []

    class Small(Shelf):
        def send(self, request: Request) -> Answer:
            if request.points > 2:
                return Answer(Delivery.TOO_LARGE, "413")
            taken.append(request)
            return TAKEN

    sender = Sender(Small, _seal_json, progress=lambda: None)
    sender.start()
    sender.put(_batch(1, 2, 3, 4, 5))
    wait_until(lambda: sender.settled == 1)
    found = [text for request in taken for text in _times_of_json(request)]
    assert found == ["1", "2", "3", "4", "5"]
    sender.stop(5)


def _times_of_json(request: Request) -> list[str]:
    (resource,) = json.loads(request.body)["resourceMetrics"]
    (metric,) = resource["scopeMetrics"][0]["metrics"]
    return [point["timeUnixNano"] for point in metric["gauge"]["dataPoints"]]


def test_of_sums_and_peaks_only_the_last_point_is_kept() -> None:
    """It holds what those before it did; gauges keep each point; what `add` says is how many points there are more."""
    resource = ResourcePoints({}, start_unix_nano=5)
    mode = (("cpu.mode", "user"),)
    more = [
        resource.add(
            moment,
            [
                Observation(model.TASK_CPU_TIME, moment / 2, mode),
                Observation(model.TASK_MEMORY_PEAK, moment),
                Observation(model.TASK_MEMORY_USAGE, 7),
            ],
        )
        for moment in (10, 20)
    ]
    assert more == [3, 1]
    assert resource.size() == 4
    assert resource.series == {
        (model.TASK_CPU_TIME.name, mode): [(20, 10.0)],
        (model.TASK_MEMORY_PEAK.name, ()): [(20, 20)],
        (model.TASK_MEMORY_USAGE.name, ()): [(10, 7), (20, 7)],
    }
