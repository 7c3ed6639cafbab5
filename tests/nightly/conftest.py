"""Sites and servers for the nightly job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.durability.faults import build
from tests.nightly.site import Site, Told, site_in, told_server


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with site_in(tmp_path) as made:
        yield made


@pytest.fixture
def told() -> Iterator[Told]:
    with told_server() as server:
        yield server


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The faults' library."""
    return build(tmp_path_factory.mktemp("faults"))
