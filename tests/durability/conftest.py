"""What the durability tests stand on: the faults' library, and places whose collectors meet them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.durability.faults import build
from tests.durability.site import Site
from tests.places import short_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The faults' library."""
    return build(tmp_path_factory.mktemp("faults"))


@pytest.fixture
def plain_site(tmp_path: Path) -> Iterator[Site]:
    """A place without faults."""
    with short_directory() as runtime:
        disk = tmp_path / "disk"
        disk.mkdir()
        made = Site(disk, runtime)
        yield made
        made.close()


@pytest.fixture
def site(plain_site: Site, library: Path) -> Site:
    """A place whose collectors meet faults."""
    plain_site.library = library
    return plain_site
