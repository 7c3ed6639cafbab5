"""Have everything that was measured so far in the lake before it is read.

What comes in: settings. What goes out: nothing. The agent sends what it has, the collector makes it visible; where no
collector lives, what a write-ahead log still holds is folded in here. Never fails a command for a part that does not
answer: what is in the lake is read all the same, and the caller is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize import discovery
from stepsize.collector import control
from stepsize.errors import LakeError
from stepsize.instrumentation import client

if TYPE_CHECKING:
    from stepsize.settings import Settings

TIMEOUT_S = 15.0


def settle(settings: Settings, timeout_s: float = TIMEOUT_S) -> list[str]:
    """Flush agent, collector and write-ahead log of ``settings``; returns a line for each that did not manage."""
    late = []
    try:
        discovery.agent_socket(settings)
    except LakeError as error:
        late.append(str(error))  # the client, which runs beside user code, would keep it to itself
    else:
        if not client.flush(settings, timeout_s):
            late.append(f"the agent could not deliver everything within {timeout_s:g} s; newest tasks may be missing")
    if not control.flush(settings, timeout_s):
        from stepsize.collector.drain import drain  # noqa: PLC0415 - heavy, and hardly ever needed

        drain(settings)
    return late
