"""An endpoint for the tests of each file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres.places import Served, make_lake, serving


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake that nobody changes."""
    data = tmp_path_factory.mktemp("lake")
    make_lake(data)
    return data


@pytest.fixture(scope="module")
def served(lake: Path) -> Iterator[Served]:
    """An endpoint over it."""
    with serving(lake) as endpoint:
        yield endpoint
