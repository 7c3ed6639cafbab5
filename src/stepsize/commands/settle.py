"""Have everything that was measured so far in the lake before it is read.

What comes in: settings. What goes out: a line for each part that did not manage. The agent sends what it has, the
collector makes it visible; where no collector lives, what a write-ahead log still holds is folded in here. Never fails
a command for a part that does not answer: what is in the lake is read all the same, and the caller is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize import discovery
from stepsize.collector import control
from stepsize.errors import LakeError, StepsizeError
from stepsize.instrumentation import client

if TYPE_CHECKING:
    from stepsize.settings import Settings

TIMEOUT_S = 15.0
_MISSING = "the newest tasks may be missing"


def settle(settings: Settings, timeout_s: float = TIMEOUT_S) -> list[str]:
    """Flush agent, collector and write-ahead log of ``settings``, each within ``timeout_s``.

    Returns:
        What to tell the user: a line for each that did not manage, none where all is in the lake.
    """
    lines = (_settle_agent(settings, timeout_s), _settle_collector(settings, timeout_s))
    return [line for line in lines if line is not None]


def _settle_agent(settings: Settings, timeout_s: float) -> str | None:
    try:
        discovery.agent_socket(settings)
    except LakeError as error:
        return str(error)  # the client, which runs beside user code, would keep it to itself
    if client.flush(settings, timeout_s):
        return None
    return f"the agent could not deliver everything within {timeout_s:g} s; {_MISSING}"


def _settle_collector(settings: Settings, timeout_s: float) -> str | None:
    answer = control.flush(settings, timeout_s)
    if answer is control.Answer.LATE:
        return f"the collector of {settings.data} lives but did not answer within {timeout_s:g} s; {_MISSING}"
    if answer is control.Answer.NOBODY:
        from stepsize.collector.drain import drain  # noqa: PLC0415 - heavy, and hardly ever needed

        try:
            drain(settings, timeout_s)
        except StepsizeError as error:
            return f"{error}; {_MISSING}"
    return None
