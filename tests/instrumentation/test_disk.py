"""What goes to disk, when, and what becomes of it when the disk fails or the agent ends."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from stepsize.instrumentation.agent.delivery import Answer, Delivery, Request
from stepsize.instrumentation.agent.disk import Disk
from stepsize.instrumentation.agent.losses import Losses
from stepsize.instrumentation.agent.sender import Bounds, Sender
from stepsize.instrumentation.agent.spool import Spool, Spooled
from tests.instrumentation.conftest import wait_until
from tests.instrumentation.sending import PATIENT, TAKEN, Shelf, batch, seal, start_sender


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", 1 << 20)


def test_what_waits_too_long_goes_to_disk_and_is_sent_after_what_is_fresh(shelf: Shelf, spool: Spool) -> None:
    """Memory is emptied into the spool; once somebody takes points the newest are first, and the spool ends empty."""
    sender = start_sender(shelf, spool, Bounds(spill_after_s=0))
    sender.put(batch(1, 2))
    wait_until(lambda: sender.spooled_points == 2 and not sender.held_points)
    tried = shelf.tried[0]
    sender.put(batch(3))
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
    sender = start_sender(shelf, spool, Bounds(spill_points=3))
    for n in range(4):
        sender.put(batch(n))
        wait_until(lambda: shelf.tried)
    wait_until(lambda: (sender.spooled_points, sender.held_points) == (4, 0))
    assert len(shelf.tried) == 1
    sender.stop(5)


def test_the_next_agent_sends_what_the_last_one_left(shelf: Shelf, spool: Spool, tmp_path: Path) -> None:
    """What nobody took when an agent ends is on disk, and a later one delivers it."""
    sender = start_sender(shelf, spool)
    sender.put(batch(1))
    wait_until(lambda: shelf.tried)
    sender.put(batch(2))
    sender.stop(5)
    assert sender.held_points == 0
    shelf.open.set()
    later = start_sender(shelf, Spool(tmp_path / "spool", 1 << 20))
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
    sender = start_sender(destination, spool)
    sender.put(batch(1))
    assert asked.wait(20)
    sender.put(batch(2))
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
    sender = start_sender(shelf, unusable, Bounds(max_points=8, spill_points=2, spill_after_s=0))
    for n in range(5):
        sender.put(batch(n * 10, n * 10 + 1, n * 10 + 2))
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
        first.add(seal(batch(n).resources))
    first.release()
    damaged = sorted((tmp_path / "spool").glob("*.gz"))[1]
    damaged.write_bytes(damaged.read_bytes()[:-3])
    shelf.open.set()
    sender = start_sender(shelf, Spool(tmp_path / "spool", 1 << 20))
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
        number = sender.put(batch(n))
        wait_until(lambda number=number: sender.settled == number)


def test_a_spool_whose_files_cannot_be_read_is_left_alone_for_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not tried at every turn, fresh points are sent meanwhile, and once it can be read it is."""
    spool = Spool(tmp_path / "spool", 1 << 20)
    spool.add(seal(batch(1).resources))
    shelf = Meddler(directory=tmp_path / "spool")
    shelf.open.set()
    sender = Sender(lambda: shelf, seal, progress=lambda: None, disk=Disk(spool, pause_s=2), bounds=PATIENT)
    sender.put(batch(0))
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
    spool.add(seal(batch(1).resources))
    shelf = Meddler(directory=tmp_path / "spool")
    shelf.open.set()
    sender = start_sender(shelf, Disk(spool, pause_s=2))
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
    spool.add(seal(batch(1, 2, 3, 4).resources))
    small.open.set()
    sender = start_sender(small, spool)
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
    spool.add(seal(batch(1, 2).resources))
    small.open.set()
    sender = start_sender(small, Disk(spool, pause_s=0.1))
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
    spool.add(seal(batch(1).resources))
    shelf.open.set()
    sender = start_sender(shelf, spool)
    assert began.wait(20)
    putting = threading.Thread(target=lambda: (sender.put(batch(2)), sender.hurry()), daemon=True)
    putting.start()
    putting.join(10)
    assert not putting.is_alive()
    go_on.set()
    wait_until(lambda: sender.unsent_points == 0)
    assert shelf.times == [1, 2]
    sender.stop(5)
