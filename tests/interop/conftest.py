"""What these tests stand on: a collector of the test's own, and a relay before it that keeps what a peer says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.collector.running import Place
from tests.places import short_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.collector.running import RunningCollector


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with short_directory() as runtime:
        made = Place(tmp_path, runtime)
        yield made
        made.close()


@pytest.fixture
def collector(place: Place) -> RunningCollector:
    return place.collect()
