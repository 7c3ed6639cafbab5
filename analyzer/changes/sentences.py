"""Figures as the sentences of a comparison have them. Pure."""

from __future__ import annotations

from datetime import datetime, timezone

from stepsize.analyzer.formats import words
from stepsize.model import BYTES_PER_MB


def at(instant_s: float) -> str:
    """``2026-11-21 02:45 UTC``."""
    return f"{datetime.fromtimestamp(instant_s, timezone.utc):%Y-%m-%d %H:%M} UTC"


def mb(size_bytes: float) -> str:
    """``3,900 MB`` of 10^6 bytes."""
    return f"{words.amount(size_bytes / BYTES_PER_MB)} MB"


def quantity(name: str, value: float) -> str:
    """``4,000 MB of memory``, ``2 cpu``: what a field of `Amounts` holds."""
    what, is_mb, _ = name.partition("_mb")
    return f"{words.amount(value)} MB of {what}" if is_mb else f"{words.amount(value)} {what}"


def seconds(value: float) -> str:
    """``3,500 s``."""
    return f"{words.amount(value)} s"


def of_all(count: int, whole: int, noun: str) -> str:
    """``3 of 12 attempts``."""
    return f"{count:,} of {words.plural(whole, noun)}"
