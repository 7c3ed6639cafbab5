"""What waits under other credentials of the same account: sent by whoever is accepted, if nobody who has them can."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from stepsize.instrumentation.agent.delivery import Answer, Delivery
from stepsize.instrumentation.agent.disk import Disk
from stepsize.instrumentation.agent.label import read_label
from stepsize.instrumentation.agent.sender import Bounds
from stepsize.instrumentation.agent.spools import other_spools, own_spool, waiting
from stepsize.settings import Settings
from tests.instrumentation.conftest import wait_until
from tests.instrumentation.sending import Shelf, batch, start_sender

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stepsize.instrumentation.agent.sender import Sender

AT_ONCE = Bounds(spill_after_s=0)
BARRED = Answer(Delivery.BARRED, "HTTP 401")


def _environ(token: str, tenant: str = "a") -> dict[str, str]:
    headers = f"authorization=Bearer%20{token},x-scope-orgid={tenant}"
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_EXPORTER_OTLP_HEADERS": headers}


def _start(shelf: Shelf, data: Path, environ: dict[str, str]) -> Sender:
    """The sender of an agent in this environment."""
    settings = Settings.load(environ, data=data)
    return start_sender(shelf, Disk(own_spool(settings, environ), partial(other_spools, settings, environ)), AT_ONCE)


def _accepting() -> Shelf:
    shelf = Shelf()
    shelf.open.set()
    return shelf


def _refusing() -> Shelf:
    shelf = _accepting()
    shelf.answers.extend([BARRED] * 1000)
    return shelf


def _spooled(sender: Sender, points: int) -> None:
    wait_until(lambda: (sender.spooled_points, sender.held_points) == (points, 0))


def _hurry_until(sender: Sender, condition: Callable[[], bool]) -> None:
    """Have a sender look again and again: at one moment another one may be trying what it is to send."""

    def hurried() -> bool:
        sender.hurry()
        return condition()

    wait_until(hurried)


def test_a_refused_agent_leaves_its_points_to_one_that_is_accepted(tmp_path: Path) -> None:
    """While it lives too, and what it keeps afterwards as well; of the directory nothing is left in the end."""
    old = _start(_refusing(), tmp_path, _environ("old"))
    old.put(batch(1, 2))
    _spooled(old, 2)
    accepted = _accepting()
    new = _start(accepted, tmp_path, _environ("new"))
    wait_until(lambda: accepted.times == [1, 2] and new.unsent_points == 0)
    wait_until(lambda: not list((tmp_path / "spool").iterdir()))
    old.put(batch(3))
    old.hurry()
    _spooled(old, 1)
    _hurry_until(new, lambda: accepted.times == [1, 2, 3])
    old.hurry()
    wait_until(lambda: old.unsent_points == 0)
    new.stop(5)
    old.stop(5)


def test_an_agent_whose_collector_is_down_keeps_its_own(tmp_path: Path) -> None:
    """Another one that is accepted elsewhere leaves it alone as long as that agent lives, and sends it afterwards."""
    old = _start(Shelf(), tmp_path, _environ("old"))
    old.put(batch(1))
    _spooled(old, 1)
    accepted = _accepting()
    new = _start(accepted, tmp_path, _environ("new"))
    new.put(batch(2))
    new.hurry()
    wait_until(lambda: new.settled == 1 and new.has_looked)
    assert accepted.times == [2]
    assert new.unsent_points == 0
    old.stop(5)
    new.hurry()
    wait_until(lambda: accepted.times == [2, 1] and new.unsent_points == 0)
    new.stop(5)


def test_an_empty_spool_is_nobody_s(tmp_path: Path) -> None:
    """Who finds one that others left does not hold it: what they keep there next time is theirs to send."""
    accepted = _accepting()
    accepted.answers.append(Answer(Delivery.LATER, "busy"))
    first = _start(accepted, tmp_path, _environ("old"))
    first.put(batch(1))
    _hurry_until(first, lambda: accepted.times == [1])
    first.stop(5)
    new = _start(_accepting(), tmp_path, _environ("new"))
    wait_until(lambda: new.has_looked)
    again = _start(Shelf(), tmp_path, _environ("old"))
    again.put(batch(2))
    _spooled(again, 1)
    again.stop(5)
    new.stop(5)


@pytest.mark.parametrize("shelf", [Shelf(), _refusing()], ids=["down", "refusing"])
def test_who_is_not_accepted_takes_nothing_along(tmp_path: Path, shelf: Shelf) -> None:
    """Having tried what others left, it lives on, and they find that in its place."""
    old = _start(Shelf(), tmp_path, _environ("old"))
    old.put(batch(1))
    _spooled(old, 1)
    old.stop(5)
    other = _start(shelf, tmp_path, _environ("other"))
    wait_until(lambda: shelf.tried)
    accepted = _accepting()
    again = _start(accepted, tmp_path, _environ("old"))
    _hurry_until(again, lambda: accepted.times == [1])
    again.stop(5)
    other.stop(5)
    assert not waiting(Settings.load(_environ("old"), data=tmp_path), _environ("old"))


def test_tenants_are_never_mixed(tmp_path: Path) -> None:
    """What waits for one tenant is not sent as another's, whoever lives or is refused, with the same token too."""
    first = _start(_refusing(), tmp_path, _environ("token", tenant="a"))
    first.put(batch(1))
    _spooled(first, 1)
    first.stop(5)
    accepted = _accepting()
    second = _start(accepted, tmp_path, _environ("token", tenant="b"))
    second.put(batch(2))
    second.hurry()
    wait_until(lambda: second.settled == 1 and second.has_looked)
    assert accepted.times == [2]
    second.stop(5)
    settings = Settings.load(_environ("token", tenant="a"), data=tmp_path)
    (left,) = waiting(settings, _environ("token", tenant="a"))
    assert (left.points, left.is_ours, left.barred, left.reason) == (1, True, True, "HTTP 401")


def test_a_spool_from_before_labels_gets_one(tmp_path: Path) -> None:
    """From the first agent with its settings, so that their successors may send it."""
    settings = Settings.load(_environ("old"), data=tmp_path)
    old = _start(Shelf(), tmp_path, _environ("old"))
    old.put(batch(1))
    _spooled(old, 1)
    old.stop(5)
    directory = own_spool(settings, _environ("old")).directory
    (directory / "destination.json").unlink()
    assert [each.destination for each in waiting(settings, {})] == [""]
    accepted = _accepting()
    new = _start(accepted, tmp_path, _environ("new"))
    wait_until(lambda: new.has_looked)
    assert new.unsent_points == 0
    old = _start(Shelf(), tmp_path, _environ("old"))
    wait_until(lambda: read_label(directory))
    old.stop(5)
    new.hurry()
    wait_until(lambda: accepted.times == [1])
    new.stop(5)
