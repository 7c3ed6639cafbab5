"""Who may serve a state directory: one collector, and a full one rather than an embedded one.

What comes in: settings. What goes out: the lock, or one clear line about who holds it. An embedded collector that is in
the way of a full one is asked over its socket to stop, and finishes what it has acknowledged.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from stepsize.collector import control
from stepsize.collector.state import LOCK_FILE, make_state_directory
from stepsize.discovery import read_address
from stepsize.errors import UnavailableError
from stepsize.store.locks import Lock

if TYPE_CHECKING:
    from stepsize.settings import Settings

_TAKEOVER_TIMEOUT_S = 30.0
_POLL_S = 0.05


def take_ownership(settings: Settings, *, embedded: bool) -> Lock:
    """The lock on the settings' state directory.

    Raises:
        LakeError: the directory cannot be used.
        UnavailableError: a collector holds it, and is not to be replaced or does not end.
    """
    make_state_directory(settings.state_dir)
    lock = Lock(settings.state_dir / LOCK_FILE)
    deadline_s = time.monotonic() + _TAKEOVER_TIMEOUT_S
    while not lock.try_acquire():
        address = read_address(settings)
        if address is not None and (embedded or not address.embedded):
            raise UnavailableError(
                f"a collector (pid {address.pid}) already serves {settings.data}; stop it, or give another --data"
            )
        if time.monotonic() >= deadline_s:
            holder = f" (pid {address.pid})" if address else ""
            raise UnavailableError(f"another collector{holder} holds {settings.state_dir} and does not end; stop it")
        if address is not None:
            with contextlib.suppress(UnavailableError):
                control.stop(settings, deadline_s - time.monotonic())
        time.sleep(_POLL_S)
    return lock
