"""Sizes as people write them: ``8GiB``, ``512MB``, ``1.5T``, or a bare number of MB.

What comes in: text, or bytes. What goes out: whole bytes, or text. Suffixes with an ``i`` count in 1024, those without
in 1000, and the final ``B`` may be left out (Kubernetes writes ``8Gi``). Never guesses: other text is refused.
"""

from __future__ import annotations

import math
import re

from stepsize.errors import UsageError

MIB = 1 << 20
"""Bytes of a MiB."""
GIB = 1 << 30
"""Bytes of a GiB, which GB·h count in."""
_MB = 10**6
_LARGEST = 1e30
"""Bytes: far beyond what any machine has, and short enough to be said."""
_PREFIXES = "KMGTP"
_PATTERN = re.compile(r"(?P<number>\d+(?:\.\d*)?|\.\d+)(?:e(?P<exponent>[+-]?\d+))?\s*(?P<unit>[a-z]*)", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Bytes of ``text``, rounded up to a whole one.

    Raises:
        UsageError: ``text`` is no size; the message says how to write one.
    """
    match = _PATTERN.fullmatch(text.strip())
    factor = _factor(match["unit"]) if match else None
    value = float(f"{match['number']}e{match['exponent'] or 0}") * factor if match and factor else math.inf
    if value > _LARGEST:
        raise UsageError(f"{text!r} is no size: write 8GiB, 512MB, or a bare number of MB")
    return math.ceil(value)


def _factor(unit: str) -> int | None:
    if not unit:
        return _MB
    letters = unit.upper().removesuffix("B")
    if not letters:
        return 1
    power = _PREFIXES.find(letters[0]) + 1
    if power == 0 or letters[1:] not in ("", "I"):
        return None
    return int((1024 if letters[1:] else 1000) ** power)


def format_mib(memory_mib: float) -> str:
    """``memory_mib`` as text in the largest binary unit that leaves a number of at least 1, at most two decimals."""
    value, unit = memory_mib, "MiB"
    for larger in ("GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.2f}".rstrip("0").rstrip(".") + unit


def gb_hours(value: float) -> str:
    """Three digits, never an exponent: ``0.0253 GB·h``, ``12,345 GB·h``."""
    if 0 < value < 0.001:
        return "under 0.001 GB·h"
    text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{text} GB·h"
