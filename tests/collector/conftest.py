"""What the collector's tests stand on: a place of a test's own, where collectors end with it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.collector.running import Place

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    runtime = Path(tempfile.mkdtemp(prefix="ss-"))  # a socket's path is short
    made = Place(tmp_path, runtime)
    yield made
    made.close()
    shutil.rmtree(runtime, ignore_errors=True)
