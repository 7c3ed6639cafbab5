"""What these tests stand on: a collector of the test's own, and a relay before it that keeps what a peer says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.collector.conftest import place

if TYPE_CHECKING:
    from tests.collector.running import Place, RunningCollector

__all__ = ["place"]


@pytest.fixture
def collector(place: Place) -> RunningCollector:
    return place.collect()
