"""One lake and one endpoint for all queries."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stepsize.store.lake import Lake
from tests.collector.running import place_in
from tests.grafana import known
from tests.grafana.lake import make_lake
from tests.postgres.places import Served, serving


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An endpoint over a site's lake."""
    with place_in(tmp_path_factory.mktemp("site")) as place:
        make_lake(place)
        with serving(place.settings.data) as served:
            yield served


@pytest.fixture(scope="session")
def known_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An endpoint over the lake whose figures are known."""
    data = tmp_path_factory.mktemp("known")
    known.make(data)
    with serving(data) as served:
        yield served


@pytest.fixture(scope="session")
def empty_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An endpoint over a lake with nothing in it."""
    data = tmp_path_factory.mktemp("empty")
    Lake(data).create()
    with serving(data) as served:
        yield served
