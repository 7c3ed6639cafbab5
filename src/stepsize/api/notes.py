"""``stepsize.annotate``: what the user says of the attempt that this code belongs to.

What comes in: names and values. What goes out: the same to the agent, which adds them to the attempt. Never raises into
the user's code, never prints: what cannot be said is left out and logged at debug level. Standard library only.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from stepsize.api import current
from stepsize.api.values import checked
from stepsize.instrumentation import client, lineage, registered
from stepsize.model import Identity
from stepsize.settings import Settings

if TYPE_CHECKING:
    from stepsize.model import AttributeValue

_log = logging.getLogger(__name__)


def annotate(**values: Any) -> bool:
    """Say something of the attempt: ``annotate(rows=1_200_000, input_bytes=path.stat().st_size)``.

    The attempt is the innermost `stepsize.track` around the call, else what the process was registered as (a Metaflow
    step, for one), else the command of the ``stepsize run`` around it. Where there is none, nothing happens.

    Args:
        values: numbers, text or truth values. A later value replaces an earlier one of the same name.

    Returns:
        Whether an agent heard all of it.
    """
    known = checked(values)
    said = bool(known) and _say(known)
    if not said:
        _log.debug("nobody was told of %s", ", ".join(values))
    return said and len(known) == len(values)


def _say(values: dict[str, AttributeValue]) -> bool:
    tracked = current.current()
    if tracked is not None:
        return tracked.annotate(**values)
    registration = registered.oldest()
    if registration is not None:
        return registration.annotate(**values)
    above = lineage.above(os.environ)
    if above is None:
        return False
    try:
        settings = Settings.load()
    except Exception:  # noqa: BLE001 - a wrong setting is said where something is started, not here
        return False
    return client.annotate(settings, Identity(*above).instance_id, values)
