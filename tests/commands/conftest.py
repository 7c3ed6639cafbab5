"""What the commands' tests stand on: a place in which no agent ever lived."""

from __future__ import annotations

from tests.collector.conftest import place

__all__ = ["place"]
