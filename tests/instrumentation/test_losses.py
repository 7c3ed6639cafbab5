"""What was lost on the way is counted and told: by the agent, in the metrics, to whoever asks for a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize import model
from stepsize.commands.settle import settle
from stepsize.instrumentation.agent.losses import Losses, observations
from stepsize.instrumentation.agent.spools import pending_points
from tests.instrumentation.conftest import end_agent, status, wait_until
from tests.instrumentation.receiver import http_receiver

if TYPE_CHECKING:
    from stepsize.settings import Settings
    from tests.instrumentation.conftest import Place, end_agent
    from tests.instrumentation.receiver import Receiver

REASON = "stepsize.loss.reason"


def test_nothing_lost_is_nothing_told() -> None:
    """No metric, and no series of zeros, until there is something to tell."""
    assert observations(Losses(), held_points=7, spooled_points=0) == []


def test_each_reason_is_told_apart() -> None:
    """Those that never happened are left out; the places where points wait are told as long as the spool holds any."""
    told = observations(Losses(refused=2, spool=3), held_points=0, spooled_points=5)
    assert [(each.metric, each.value, dict(each.attributes)) for each in told] == [
        (model.AGENT_POINTS_LOST, 2, {REASON: "refused"}),
        (model.AGENT_POINTS_LOST, 3, {REASON: "spool"}),
        (model.AGENT_POINTS_WAITING, 0, {"stepsize.waiting.place": "memory"}),
        (model.AGENT_POINTS_WAITING, 5, {"stepsize.waiting.place": "spool"}),
    ]


def test_points_that_were_refused_are_told_of(place: Place, settings: Settings, receiver: Receiver) -> None:
    """In the agent's status, as a metric of the host, and in one line to whoever reads a report."""
    receiver.status = 400
    place.run(settings, "refused", "")
    lost = wait_until(
        lambda: (found := status(settings)) and found.dropped_points and not found.unsent_points and found
    )
    assert lost.losses == {"refused": lost.dropped_points}
    receiver.status = 200
    place.run(settings, "after", "time.sleep(0.5)")
    told = receiver.wait(lambda: receiver.of(model.AGENT_POINTS_LOST.name))[0]
    assert told.attributes == {REASON: "refused"}
    assert told.value >= lost.dropped_points
    assert told.start_unix_nano < told.time_unix_nano
    assert model.Attr.FLOW not in told.resource
    (line,) = [line for line in settle(settings, 5.0) if "lost" in line]
    assert f"{int(told.value)} points were lost on the way here ({int(told.value)} refused by the collector)" in line


def test_an_old_loss_hides_no_failure_now(place: Place, settings: Settings, receiver: Receiver) -> None:
    """Each is a line of its own; a loss alone is not taken for points that could not be delivered."""
    receiver.status = 400
    place.run(settings, "refused", "")
    wait_until(lambda: (found := status(settings)) and found.dropped_points and not found.unsent_points)
    receiver.status = 200
    (line,) = settle(settings, 5.0)
    assert "points were lost" in line
    receiver.status = 503
    place.run(settings, "waits", "")
    lines = settle(settings, 1.0)
    assert ["points were lost" in line for line in lines] == [True, False]
    assert lines[1] == "the agent could not deliver everything within 1 s; the newest tasks may be missing"


def test_what_an_agent_left_on_disk_is_delivered_before_a_report(place: Place) -> None:
    """Where no agent lives any more one is started for it."""
    with http_receiver() as early:
        port = int(early.endpoint.rpartition(":")[2])
    settings = place.settings(endpoint=f"http://127.0.0.1:{port}")
    place.run(settings, "left", "")
    end_agent(settings)
    assert pending_points(settings)
    with http_receiver(port) as late:
        settle(settings, 10.0)
        assert late.of("stepsize.task.end", "left")
    assert pending_points(settings) == 0
