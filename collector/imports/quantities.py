"""Amounts as workflow programs print them.

What comes in: text. What goes out: bytes, seconds or instants, or None where the text says that nothing is known
(empty, ``-``, ``NA``, ``Unknown`` and the like). Never guesses: other text is a `QuantityError`. Pure.

Sources: Nextflow's ``MemoryUnit.groovy`` and ``Duration.groovy``; SLURM's ``convert_num_unit`` (``src/common/
slurm_protocol_api.c``) and ``secs2time_str``, sacct(1).
"""

from __future__ import annotations

import datetime as dt
import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNKNOWN = frozenset({"", "-", "na", "n/a", "none", "null", "unknown", "nan", "invalid"})
_NUMBER = re.compile(r"[+]?\d+(?:\.\d*)?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_BINARY = re.compile(r"(\d+(?:\.(\d+))?)\s*(?:([KMGTPEZ])i?)?B?", re.ASCII | re.IGNORECASE)
_PREFIXES = "KMGTPEZ"
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)\s*", re.ASCII | re.IGNORECASE)
_SPANS: Mapping[str, float] = {
    **dict.fromkeys(("ms", "milli", "millis"), 0.001),
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}
_CLOCK = re.compile(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+(?:\.\d+)?)", re.ASCII)
_DAYS_HOURS = re.compile(r"(\d+)-(\d+)(?::(\d+))?", re.ASCII)
_LARGEST = 10.0**18


class QuantityError(ValueError):
    """Text that is no such amount; its message says what was expected."""


def is_unknown(text: str) -> bool:
    """Whether ``text`` says that nothing is known."""
    return text.strip().lower() in _UNKNOWN


def number(text: str) -> float | None:
    """A number that is not negative, such as ``12`` or ``0.5``."""
    text = text.strip()
    if is_unknown(text):
        return None
    if not _NUMBER.fullmatch(text):
        raise QuantityError(f"{text!r} is no number")
    return _sound(float(text), text)


def whole(text: str) -> int | None:
    """A whole number that is not negative."""
    value = number(text)
    if value is not None and value != int(value):
        raise QuantityError(f"{text!r} is no whole number")
    return None if value is None else int(value)


def percent(text: str) -> float | None:
    """``98.7%``, or the bare number, as that number: 100 is one core."""
    return number(text.strip().removesuffix("%"))


def binary_bytes(text: str, *, upper: bool = False) -> int | None:
    """Bytes of ``4 GB``, ``123456K`` or ``1024``: units are powers of 1024, a bare number is bytes.

    ``upper``: the most that the text may stand for, where a unit says that it was rounded to one decimal. What was
    printed as 1.2 GB may have been 1.2499 GB.
    """
    text = text.strip()
    if is_unknown(text):
        return None
    match = _BINARY.fullmatch(text)
    if match is None:
        raise QuantityError(f"{text!r} is no amount of memory")
    factor = 1024 ** (_PREFIXES.index(match[3].upper()) + 1) if match[3] else 1
    value = Decimal(match[1]) * factor
    if upper and match[3]:
        # A whole number may have lost its ".0".
        value += Decimal(factor) * Decimal(10) ** -max(len(match[2] or ""), 1) / 2
    return int(_sound(math.ceil(value), text))


def spans_s(text: str, *, bare_s: float = 0.001) -> float | None:
    """Seconds of ``1d 2h 3m 4s`` or ``350ms``; a bare number counts ``bare_s`` each."""
    text = text.strip()
    if is_unknown(text):
        return None
    if _NUMBER.fullmatch(text):
        return _sound(float(text) * bare_s, text)
    total, at = 0.0, 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None or part[2].lower() not in _SPANS:
            raise QuantityError(f"{text!r} is no duration")
        total += float(part[1]) * _SPANS[part[2].lower()]
        at = part.end()
    return _sound(total, text)


def clock_s(text: str) -> float | None:
    """Seconds of ``[DD-[HH:]]MM:SS[.mmm]`` as SLURM prints them (``DD-HH[:MM]`` too); a bare number is seconds."""
    text = text.strip()
    if is_unknown(text):
        return None
    if _NUMBER.fullmatch(text):
        return _sound(float(text), text)
    if match := _CLOCK.fullmatch(text):
        days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    elif match := _DAYS_HOURS.fullmatch(text):
        days, hours, minutes = (float(part or 0) for part in match.groups())
        seconds = 0.0
    else:
        raise QuantityError(f"{text!r} is no duration")
    return _sound(days * 86400 + hours * 3600 + minutes * 60 + seconds, text)


def instant_s(text: str, zone: dt.tzinfo | None, *, bare_s: float = 1.0) -> float | None:
    """Seconds since 1970 of an ISO date and time, or of a bare number of ``bare_s`` each.

    ``zone``: of a time that names none; None is this machine's.
    """
    text = text.strip()
    if is_unknown(text):
        return None
    if _NUMBER.fullmatch(text):
        return _sound(float(text) * bare_s, text)
    try:
        found = dt.datetime.fromisoformat(text.removesuffix("Z") + ("+00:00" if text.endswith("Z") else ""))
        return (found if found.tzinfo else found.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError, OSError):
        raise QuantityError(f"{text!r} is no date and time") from None


def _sound(value: float, text: str) -> float:
    if not value <= _LARGEST:
        raise QuantityError(f"{text!r} is too large")
    return value
