"""What the collector's tests stand on: a place of a test's own, where collectors end with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.collector.rollup_log import Log
from tests.collector.running import Place
from tests.places import short_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with short_directory() as runtime:
        made = Place(tmp_path, runtime)
        yield made
        made.close()


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)
