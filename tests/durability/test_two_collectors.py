"""Two collectors write one lake, each under its own name."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

from tests.collector.otlp import SECOND
from tests.collector.running import wait_for
from tests.durability.campaign import CONFIG
from tests.durability.checks import Reader, check, seen
from tests.durability.senders import POINTS_EACH, Sender
from tests.durability.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.collector.running import RunningCollector

import pytest

from tests.places import short_directory


@pytest.fixture
def neighbour(plain_site: Site, tmp_path: Path) -> Iterator[Site]:
    """A place of its own whose collectors write the same lake."""
    home = tmp_path / "neighbour" / "home"
    home.mkdir(parents=True)
    with short_directory() as runtime:
        made = Site(home, runtime, data=plain_site.settings.data, state=home / "log")
        yield made
        made.close()


def shown(site: Site, sender: Sender) -> int:
    """How many points of a sender can be seen."""
    with site.lake.reading() as connection:
        return seen(connection).get(sender.name, 0)


def test_one_is_killed_and_the_other_goes_on(plain_site: Site, neighbour: Site, tmp_path: Path) -> None:
    """Two start at once in a directory that is not there yet; one is killed under load, the other never notices."""
    sites = [plain_site, neighbour]
    collectors: dict[int, RunningCollector] = {}

    def start(index: int) -> None:
        collectors[index] = sites[index].collect(CONFIG)

    starting = [threading.Thread(target=start, args=(index,)) for index in range(len(sites))]
    for thread in starting:
        thread.start()
    for thread in starting:
        thread.join()
    assert "cannot" not in plain_site.said() + neighbour.said()
    begun = (time.time_ns() // SECOND - 600) * SECOND
    senders = [Sender(f"c{index}", lambda index=index: collectors[index].http, begun, 0.005) for index in range(2)]
    reader = Reader(plain_site.settings.data)
    for _ in range(2):
        for sender in senders:
            sender.wait_for(20)
        os.killpg(collectors[0].process.pid, signal.SIGKILL)
        collectors[0].process.wait()
        senders[1].wait_for(20)
        wanted = senders[1].acknowledged * POINTS_EACH
        wait_for(lambda: shown(plain_site, senders[1]) >= wanted, "what the other one took")  # noqa: B023 - called in this round alone
        collectors[0] = plain_site.collect(CONFIG)
    for sender in senders:
        sender.wait_for(10)
        sender.stop()
    for collector in collectors.values():
        assert collector.terminate() == 0
    reader.stop()
    check(plain_site.settings.data, senders, tmp_path / "without-faults")
    assert len(list((plain_site.settings.data / "manifests").glob("[!.]*.json"))) == 2
    assert "ended with" not in neighbour.said()


def test_a_log_that_was_deleted(plain_site: Site) -> None:
    """A collector whose log was deleted while it did not run writes under a new name; what was there stays there."""
    collector = plain_site.collect(CONFIG)
    begun = (time.time_ns() // SECOND - 600) * SECOND
    first = Sender("first", lambda: collector.http, begun)
    first.wait_for(5)
    first.stop()
    assert collector.terminate() == 0
    for path in plain_site.settings.state_dir.iterdir():
        path.unlink()
    plain_site.settings.state_dir.rmdir()
    collector = plain_site.collect(CONFIG)
    second = Sender("second", lambda: collector.http, begun)
    second.wait_for(5)
    second.stop()
    plain_site.flush()
    check(plain_site.settings.data, [first, second], plain_site.home.parent / "without-faults")
