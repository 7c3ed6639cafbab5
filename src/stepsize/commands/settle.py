"""Have everything that was measured so far in the lake before it is read.

What comes in: settings. What goes out: a line for each part that did not manage. The agent sends what it has, and is
started where one that has ended left points on disk; what remote steps left in the flow's datastore is fetched; the
collector makes it all visible; where no collector lives, what a write-ahead log still holds is folded in here, and
brought to the object store where the lake is in one. Never
fails a command for a part that does not answer: what is in the lake is read all the same, and the caller is told.
"""

from __future__ import annotations

import os
import time
from datetime import datetime, timezone
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from stepsize import discovery
from stepsize.collector import control
from stepsize.commands.remote_points import take_remote
from stepsize.errors import LakeError, StepsizeError
from stepsize.instrumentation import client, wire
from stepsize.instrumentation.agent.spools import pending_points
from stepsize.store.layout import SCHEMA_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from stepsize.settings import Settings

TIMEOUT_S = 15.0
_STATUS_S = 1.0
_REASONS = {
    "refused": "refused by the collector",
    "rejected": "rejected by the collector",
    "memory": "beyond the bound of memory",
    "spool": "beyond the bound of the spool",
    "damaged": "in damaged files",
}
"""Of `Losses`, as people say them."""
_MISSING = "the newest tasks may be missing"


def settle(settings: Settings, timeout_s: float = TIMEOUT_S, *, remote: bool = False) -> list[str]:
    """Flush agent, collector and write-ahead log of ``settings``, each within ``timeout_s``.

    ``remote`` has what remote steps left in the flow's datastore fetched too, which may be far away.

    Returns:
        What to tell the user: a line for each that did not manage and one for what was lost before, none where all is
        in the lake.
    """
    lines = (
        *_settle_agent(settings, timeout_s),
        take_remote(settings, timeout_s) if remote else None,
        _settle_collector(settings, timeout_s),
    )
    return [line for line in lines if line is not None]


def _settle_agent(settings: Settings, timeout_s: float) -> tuple[str | None, ...]:
    """What was lost, however long ago, and why not all of the rest could be delivered now."""
    try:
        discovery.agent_socket(settings)
    except LakeError as error:
        return (str(error),)  # the client, which runs beside user code, would keep it to itself
    if pending_points(settings):
        client.start_agent(settings)  # an agent that has ended left them; where one lives, this does nothing
    deadline_s = time.monotonic() + timeout_s
    delivered = client.flush(settings, timeout_s)
    lost, left_s = _lost(settings), deadline_s - time.monotonic()
    if lost and not delivered and left_s > 0:
        delivered = client.flush(settings, left_s)  # the one before fails for a loss that was new, too
    return lost, None if delivered else _undelivered(settings, timeout_s)


def _undelivered(settings: Settings, timeout_s: float) -> str:
    why = None if settings.has_endpoint else _unwritable(settings.data)
    return f"{why or f'the agent could not deliver everything within {timeout_s:g} s'}; {_MISSING}"


def _unwritable(data: Path) -> str | None:
    """Why nothing can be kept in the data directory, if so; asked only once something did not arrive there."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=data):
            return None
    except OSError as error:
        return f"STEPSIZE_DATA={str(data)!r} cannot be written ({error.strerror})"


def _lost(settings: Settings) -> str | None:
    """What the agent, should one live, had to give up."""
    try:
        status = client.ask(settings, wire.Status(), _STATUS_S)
    except (OSError, StepsizeError):
        return None
    if not isinstance(status, wire.AgentStatus) or not status.dropped_points:
        return None
    why = ", ".join(f"{count} {_REASONS.get(reason, reason)}" for reason, count in status.losses.items())
    return f"{status.dropped_points} points were lost on the way here ({why}); see the agent's log"


def _settle_collector(settings: Settings, timeout_s: float) -> str | None:
    answer = control.flush(settings, timeout_s)
    if answer is control.Answer.LATE:
        return f"the collector of {settings.lake} lives but did not answer within {timeout_s:g} s; {_MISSING}"
    if answer is control.Answer.NOBODY:
        from stepsize.collector.drain import drain  # noqa: PLC0415 - heavy, and hardly ever needed

        try:
            drain(settings, timeout_s)
        except StepsizeError as error:
            return f"{error}; {_MISSING}"
        except OSError as error:  # another user's
            return f"cannot read {error.filename}: {error.strerror}; {_MISSING}"
        return _bring(settings)
    return None


def _bring(settings: Settings) -> str | None:
    """Have the object store that has the lake, if one does, show what a collector has left here."""
    if settings.store is None or not (settings.data / SCHEMA_FILE).exists():
        return None
    from stepsize.store.bucket import connect  # noqa: PLC0415 - heavy, and hardly ever needed
    from stepsize.store.objects import Place  # noqa: PLC0415 - as above
    from stepsize.store.upload import upload  # noqa: PLC0415 - as above

    place = Place.of(settings.store)
    try:
        upload(settings.data, place, connect(place, os.environ), datetime.now(timezone.utc))
    except StepsizeError as error:
        return f"{error}; {_MISSING}"
    return None
