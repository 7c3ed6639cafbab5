"""What a command that reads right after a run waits for, and what it says where that is in vain."""

from __future__ import annotations

import time
from pathlib import Path

from stepsize.commands.settle import settle
from stepsize.discovery import read_address
from stepsize.instrumentation import client
from stepsize.model import Identity, Outcome
from stepsize.settings import Settings
from stepsize.store.manifest import manifest_path
from tests.collector.otlp import RequestBuilder, identity
from tests.collector.running import Place, RunningCollector, wait_for

PATIENCE_S = 10.0
IMPATIENCE_S = 0.2


def send(collector: RunningCollector, value: int) -> None:
    request = RequestBuilder(identity()).gauge("m", [(time.time_ns(), value)])
    assert collector.post(request.content())[0] == 200


def visible(place: Place) -> list[int]:
    return [value for (value,) in place.rows("SELECT value_int FROM points ORDER BY 1")]


def kill_both(collector: RunningCollector) -> None:
    """What a machine that loses its power does: neither folds anything any more."""
    sink = collector.sink()
    sink.suspend()
    send(collector, 2)
    collector.process.kill()
    collector.process.wait()
    sink.kill()


def test_nothing_there_is_nothing_to_say(place: Place) -> None:
    """No agent, no collector, no data: no line, no wait, and no lake is made."""
    started_s = time.monotonic()
    assert settle(place.settings, PATIENCE_S) == []
    assert time.monotonic() - started_s < PATIENCE_S
    assert not place.settings.data.exists()


def test_a_living_collector_makes_all_visible(place: Place) -> None:
    """What was acknowledged before is in the views, and there is nothing to say."""
    collector = place.collect()
    send(collector, 1)
    assert settle(place.settings, PATIENCE_S) == []
    assert visible(place) == [1]


def test_a_collector_that_does_not_answer_is_told_of(place: Place) -> None:
    """A sink that stands still keeps points out of the views: the reader is told, and gets them once it goes on."""
    collector = place.collect()
    sink = collector.sink()
    sink.suspend()
    send(collector, 1)
    (line,) = settle(place.settings, IMPATIENCE_S)
    assert "lives but did not answer within 0.2 s; the newest tasks may be missing" in line
    assert visible(place) == []
    sink.resume()
    assert settle(place.settings, PATIENCE_S) == []
    assert visible(place) == [1]


def test_what_a_dead_collector_left_is_folded_in(place: Place) -> None:
    """A log that still holds points is folded by the reader itself, and there is nothing to say."""
    collector = place.collect()
    send(collector, 1)
    collector.flush()
    kill_both(collector)
    assert visible(place) == [1]
    assert settle(place.settings, PATIENCE_S) == []
    assert visible(place) == [1, 2]


def test_a_collector_that_does_not_get_to_its_end_is_told_of(place: Place) -> None:
    """One that has stopped serving but still holds points is waited for; in vain, that is said."""
    collector = place.collect()
    sink = collector.sink()
    sink.suspend()
    send(collector, 1)
    collector.process.terminate()
    wait_for(lambda: read_address(place.settings) is None, "the end of serving")
    (line,) = settle(place.settings, IMPATIENCE_S)
    assert "a collector holds" in line
    assert line.endswith("the newest tasks may be missing")
    sink.resume()
    assert settle(place.settings, 2 * PATIENCE_S) == []
    assert visible(place) == [1]


def test_what_cannot_be_folded_fails_no_command(place: Place) -> None:
    """A log that cannot be folded in is told of in one line; what is in the views can be read all the same."""
    collector = place.collect()
    send(collector, 1)
    collector.flush()
    kill_both(collector)
    (writer,) = (path.stem for path in (place.settings.data / "manifests").glob("*.json"))
    manifest_path(place.settings.data, writer).write_text("?")
    (line,) = settle(place.settings, IMPATIENCE_S)
    assert f"{writer}.json is damaged" in line
    assert line.endswith("the newest tasks may be missing")
    assert visible(place) == [1]


def test_a_data_directory_that_cannot_be_written_is_named(place: Place) -> None:
    """Nothing can arrive there, and the reader is told why instead of how long was waited."""
    settings = Settings.load({}, data=Path("/proc/nowhere"), runtime=place.runtime, agent_idle_s=0.5)
    client.register(Identity("Flow", "1", "step", "1"), settings).end(Outcome.OK)
    (line,) = settle(settings, IMPATIENCE_S)
    assert line.startswith("STEPSIZE_DATA='/proc/nowhere' cannot be written (")
