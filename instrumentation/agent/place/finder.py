"""Asks the services that may know, all at once, for a second at most.

What comes in: the setting ``STEPSIZE_CLOUD``, the environment. What goes out: a `Place`, or ``None``. Starts a daemon
thread for each service that is asked; one that hangs is left behind.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from stepsize.instrumentation.agent.place.firmware import suspects

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from stepsize.instrumentation.agent.place.place import Place
    from stepsize.instrumentation.agent.place.service import Service
    from stepsize.instrumentation.agent.place.vendors import Vendor

PATIENCE_S = 1.0


def chosen(cloud: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The vendors to ask: none where it is ``off``, the suspected ones where it is ``auto``, else the one named."""
    return () if cloud == "off" else suspects(environ) if cloud == "auto" else (cloud,)


def find(names: Collection[str], *, address: str | None = None, patience_s: float = PATIENCE_S) -> Place | None:
    """Where this machine runs, by the first of these vendors whose service knows it.

    Args:
        names: of vendors.
        address: of the metadata service, in place of each vendor's own.
        patience_s: how long to wait for all of them together.
    """
    # Here: most machines are no cloud's, and an HTTP client costs 30 ms.
    from stepsize.instrumentation.agent.place import service, vendors  # noqa: PLC0415

    asked = [vendor for vendor in vendors.VENDORS if vendor.name in names]
    deadline_s = time.monotonic() + patience_s
    answers: queue.SimpleQueue[Place | None] = queue.SimpleQueue()
    for vendor in asked:
        asking = service.Service(address or vendor.address, deadline_s)
        _in_background(partial(_answer, vendor, asking, answers), vendor.name)
    for _ in asked:
        try:
            place = answers.get(timeout=max(0.0, deadline_s - time.monotonic()))
        except queue.Empty:
            return None
        if place is not None:
            return place
    return None


def find_in_background(names: Collection[str], found: Callable[[Place], None], *, address: str | None = None) -> None:
    """As `find`, which ``found`` is called with, in a thread of its own, if anything is."""

    def look() -> None:
        place = find(names, address=address)
        if place is not None:
            found(place)

    if names:
        _in_background(look, "place")


def _answer(vendor: Vendor, service: Service, answers: queue.SimpleQueue[Place | None]) -> None:
    place = None
    with contextlib.suppress(Exception):  # an answer of an unknown shape is none
        place = vendor.ask(service)
    answers.put(place)


def _in_background(work: Callable[[], None], name: str) -> None:
    threading.Thread(target=work, name=f"stepsize-{name}", daemon=True).start()
