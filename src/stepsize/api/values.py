"""What can be said of an attempt: numbers, texts and truth values, so many and so long.

What comes in: names and whatever the user gave for them. What goes out: what can be sent. Pure, but for a line at debug
level for what is left out. Standard library only.
"""

from __future__ import annotations

import logging
import math
import operator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stepsize.model import AttributeValue

MAX_NOTES = 64
"""What is said at once beyond so many is left out."""
MAX_NAME_CHARACTERS = 128
MAX_TEXT_CHARACTERS = 1024
_INTEGERS = range(-(2**63), 2**63)

_log = logging.getLogger(__name__)


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
