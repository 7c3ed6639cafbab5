"""What upkeep's tests stand on."""

from __future__ import annotations

from tests.collector.conftest import place

__all__ = ["place"]
