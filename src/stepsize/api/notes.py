"""``stepsize.annotate``: what the user says of the attempt that this code belongs to.

What comes in: names and values. What goes out: the same to the agent, which adds them to the attempt. Never raises into
the user's code, never prints: what cannot be said is left out and logged at debug level. Standard library only.
"""

from __future__ import annotations

import logging
import math
import operator
import os
from typing import TYPE_CHECKING, Any

from stepsize.api import current
from stepsize.instrumentation import client, lineage, registered
from stepsize.model import Identity
from stepsize.settings import Settings

if TYPE_CHECKING:
    from stepsize.model import AttributeValue

MAX_NOTES = 64
"""What is said at once beyond so many is left out."""
MAX_NAME_CHARACTERS = 128
MAX_TEXT_CHARACTERS = 1024
_INTEGERS = range(-(2**63), 2**63)

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


def checked(values: dict[str, Any]) -> dict[str, AttributeValue]:
    """Those of the values that can be sent, within the bounds, as numbers, texts and truth values of Python's own."""
    found: dict[str, AttributeValue] = {}
    for name, given in values.items():
        value = _plain(given)
        if value is None or len(name) > MAX_NAME_CHARACTERS or len(found) == MAX_NOTES:
            _log.debug("left out of the annotations: %.40s=%.40r", name, given)
            continue
        found[name] = value
    return found


def _plain(value: Any) -> AttributeValue | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value[:MAX_TEXT_CHARACTERS]
    try:
        whole = operator.index(value)  # the integers of NumPy too
    except TypeError:
        pass
    else:
        return whole if whole in _INTEGERS else None
    try:
        number = float(value) if hasattr(value, "__float__") else math.nan
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _say(values: dict[str, AttributeValue]) -> bool:
    registration = current.registration() or registered.oldest()
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
