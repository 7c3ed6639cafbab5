"""What tests of deploy/ share: places for collectors."""

from __future__ import annotations

from tests.collector.conftest import place

__all__ = ["place"]
