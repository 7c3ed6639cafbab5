"""What is kept while nobody takes it, what gives way first, and what each answer leads to."""

from __future__ import annotations

import json
import time

import pytest

from stepsize import model
from stepsize.instrumentation.agent.delivery import Answer, Delivery, Request
from stepsize.instrumentation.agent.losses import Losses
from stepsize.instrumentation.agent.points import ResourcePoints
from stepsize.instrumentation.agent.probes.observation import Observation
from stepsize.instrumentation.agent.sender import Bounds, Sender
from tests.instrumentation.conftest import wait_until
from tests.instrumentation.sending import TAKEN, Shelf, batch, seal, seal_json, start_sender


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def test_what_was_not_taken_is_sent_later_in_order(shelf: Shelf) -> None:
    """A destination that opens late has every batch, oldest first."""
    sender = start_sender(shelf)
    for n in range(5):
        sender.put(batch(n * 10, n * 10 + 1))
    assert sender.unsent_points == 10
    shelf.open.set()
    sender.hurry()
    wait_until(lambda: sender.settled == 5)
    assert shelf.times == [0, 1, 10, 11, 20, 21, 30, 31, 40, 41]
    assert (sender.unsent_points, sender.losses) == (0, Losses())
    sender.stop(5)


def test_a_request_that_was_tried_is_sent_again_byte_for_byte(shelf: Shelf) -> None:
    """What came in between is a request of its own, so a collector that took the first without saying so can tell."""
    sender = start_sender(shelf)
    sender.put(batch(1))
    wait_until(lambda: shelf.tried)
    sender.put(batch(2))
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
    sender = start_sender(shelf, bounds=Bounds(max_points=13))
    sender.put(batch(0))
    wait_until(lambda: shelf.tried)
    sender.put(batch(1, 2, 3, 4, 5, end=True))
    sender.put(batch(11, 12, 13, 14, 15))
    sender.put(batch(21, 22, 23, 24, 25))
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

    sender = Sender(make, seal, progress=lambda: None)
    sender.start()
    sender.put(batch(1))
    wait_until(lambda: tries)
    sender.hurry()
    wait_until(lambda: sender.settled == 1)
    assert len(tries) == 2
    sender.stop(5)


def test_a_collector_that_asks_for_a_pause_gets_it_however_great_the_hurry(shelf: Shelf) -> None:
    """`Retry-After` is obeyed, to the second, where a failure that says nothing is tried again at once on a flush."""
    shelf.open.set()
    shelf.answers.append(Answer(Delivery.LATER, "busy", retry_after_s=0.7))
    sender = start_sender(shelf)
    sender.put(batch(1))
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
    sender = start_sender(shelf)
    for n in range(3):
        sender.put(batch(n, n + 10, n + 20))
        wait_until(lambda n=n: sender.settled == n + 1)
    assert sender.losses == Losses(refused=3, rejected=2)
    assert shelf.times == [1, 11, 21, 2, 12, 22]
    sender.stop(5)


def test_a_server_that_breaks_over_one_request_gets_the_next(shelf: Shelf) -> None:
    """An internal error is tried a few times, then taken for the request's doing, for which the next never waits."""
    shelf.open.set()
    shelf.answers += [Answer(Delivery.FAULT, "500")] * 5
    sender = start_sender(shelf)
    sender.put(batch(1))
    wait_until(lambda: shelf.tried)
    sender.put(batch(2))
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
    sender = start_sender(small)
    sender.put(batch(1, 2, 3, 4, 5, end=True))
    wait_until(lambda: sender.settled == 1)
    assert sorted(small.times) == [1, 2, 3, 4, 5, 5]
    small.room = False
    sender.put(batch(6))
    wait_until(lambda: sender.settled == 2)
    assert sender.losses == Losses(refused=1)
    assert sender.unsent_points == 0
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

    sender = Sender(Small, seal_json, progress=lambda: None)
    sender.start()
    sender.put(batch(1, 2, 3, 4, 5))
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
