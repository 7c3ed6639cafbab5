"""What the collector's tests stand on: a place of a test's own, where collectors end with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.collector.rollup_log import Log
from tests.collector.running import place_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.collector.running import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with place_in(tmp_path) as made:
        yield made


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)
