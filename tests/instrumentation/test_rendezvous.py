"""Where client and agent meet: nobody is left talking to an agent that has stopped listening."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from stepsize.instrumentation import rendezvous

if TYPE_CHECKING:
    from tests.instrumentation.conftest import Place


def _soon() -> float:
    return time.monotonic() + 0.2


def test_whoever_got_through_is_served_and_nobody_else_gets_through(place: Place) -> None:
    """After `withdraw`, a connection made before can be accepted; one that had found the file by then is refused."""
    path, found_before = place.runtime / "a.sock", place.runtime / "found"
    listener = rendezvous.listen(path)
    listener.setblocking(False)
    os.link(path, found_before)
    early = rendezvous.connect(path, _soon())
    assert early is not None
    rendezvous.withdraw(path, listener)
    assert rendezvous.connect(found_before, _soon()) is None
    assert rendezvous.connect(path, _soon()) is None
    accepted, _ = listener.accept()
    early.sendall(b"heard")
    assert accepted.recv(10) == b"heard"
    with pytest.raises(OSError, match=r"."):
        listener.accept()
    for each in (early, accepted, listener):
        each.close()


def test_the_lock_is_one_holders_and_is_not_waited_for_long(place: Place) -> None:
    """A second holder gives up when its time is over, and has the lock once the first lets go."""
    path = place.runtime / "a.sock"
    with rendezvous.locked(path, _soon()):
        started = time.monotonic()
        with pytest.raises(TimeoutError), rendezvous.locked(path, started + 0.05):
            pass
        assert time.monotonic() - started < 1.0
    with rendezvous.locked(path, _soon()):
        pass


def test_a_full_backlog_is_not_waited_for_long(place: Place) -> None:
    """An agent that accepts nobody costs a client its patience and no more."""
    listener = rendezvous.listen(place.runtime / "a.sock")
    listener.listen(0)  # room for one
    held = rendezvous.connect(place.runtime / "a.sock", _soon())
    assert held is not None
    with pytest.raises(TimeoutError):
        rendezvous.connect(place.runtime / "a.sock", time.monotonic() + 0.02)
    held.close()
    listener.close()


def test_lock_and_socket_are_their_users_whatever_the_umask(place: Place) -> None:
    """A program that takes all permissions from what it makes can be followed by another; nobody else gets in."""
    path = place.runtime / "a.sock"
    before = os.umask(0o777)
    try:
        with rendezvous.locked(path, _soon()), rendezvous.listen(path):
            modes = [each.stat().st_mode & 0o777 for each in (path, path.with_suffix(".lock"))]
    finally:
        os.umask(before)
    assert modes == [0o600, 0o600]
