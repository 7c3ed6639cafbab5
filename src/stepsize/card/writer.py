"""The writer of one card: renders it at the attempt's start, now and then while it runs, and at its end.

What comes in: an `Order`. What goes out: the card. Asks the agent for samples first and imports the rest then, so that
short attempts are seen too. Uses about a hundredth of a core at most after its start: the longer a page takes to make,
the longer the pause before the next. Ends by itself `_LAST_S` after the task's process at the latest, however it hangs.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING

from stepsize.card.order import Order
from stepsize.card.watching import Watched
from stepsize.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOOK_S = 0.2
"""How often it looks whether the attempt is over."""
_KNOWN_S = 2.0
"""So long after the start the agent may not yet know the attempt."""
_SHARE = 0.01
"""Of a core, for pages while the attempt runs."""
_ADVICE_EVERY = 10
"""Pages for each that asks the lake and the catalogue again: that costs the most and changes the least."""
_TOLD_S = 3.0
"""How long it waits for the agent's word on how a process that is gone ended."""
_LAST_S = 10
_NICE = 19


def main(arguments: Sequence[str]) -> int:
    """Write the card of an order; the exit status."""
    try:
        order = Order.loads(arguments[0])
        settings = Settings.load(interval_s=order.interval_s)
    except (IndexError, ValueError, KeyError, TypeError):
        return 2
    with contextlib.suppress(OSError):
        os.nice(_NICE)  # the task goes first
    watched = Watched(order, settings)
    known_by_s = time.monotonic() + _KNOWN_S
    while not watched.look_on() and not watched.is_gone() and time.monotonic() < known_by_s:
        time.sleep(_LOOK_S / 4)
    threading.Thread(target=_end_after, args=(watched,), daemon=True).start()
    _Writer(order, watched).run()
    return 0


class _Writer:
    def __init__(self, order: Order, watched: Watched) -> None:
        from stepsize.card.content import Contents  # noqa: PLC0415 - after the first samples were asked for
        from stepsize.card.store import CardStore  # noqa: PLC0415 - as above

        self._order, self._watched = order, watched
        self._contents = Contents(watched, order.interval_s)
        self._store = CardStore(order)
        self._pages = 0

    def run(self) -> None:
        """Until the attempt is over and its last page written."""
        due_s = 0.0
        if not self._watched.has_ended():
            due_s = time.monotonic() + self._page()
            self._store.announce(self._order.refresh_s)
        while not self._watched.has_ended():
            if time.monotonic() >= due_s:
                self._watched.renew()
                due_s = time.monotonic() + self._page()
            time.sleep(_LOOK_S)
        told_by_s = time.monotonic() + _TOLD_S
        while not self._watched.conclude():
            if time.monotonic() > told_by_s:
                self._watched.give_up()
                break
            time.sleep(_LOOK_S / 4)
        self._page(last=True)

    def _page(self, *, last: bool = False) -> float:
        """Write a page; the pause after it in seconds. One that cannot be made or kept is left to the next."""
        from stepsize.card import page  # noqa: PLC0415 - with the contents
        from stepsize.card.store import LAST_TOKEN  # noqa: PLC0415 - as above

        began_s = time.process_time()
        token = LAST_TOKEN if last else f"page-{self._pages}"
        advise = last or self._pages % _ADVICE_EVERY == 0
        self._pages += 1
        with contextlib.suppress(Exception):
            self._store.save(page.render(self._contents.now(advise=advise), token), token)
        used_s = time.process_time() - began_s
        if self._pages == 1:
            return self._order.refresh_s  # the start's imports are in it
        return max(self._order.refresh_s, used_s / _SHARE)


def _end_after(watched: Watched) -> None:
    """A datastore or a lake that hangs keeps nobody waiting, nor this process from ending."""
    while not watched.is_gone():
        time.sleep(1)
    time.sleep(_LAST_S)
    os._exit(1)
