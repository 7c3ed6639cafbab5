"""Object stores for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.store.s3 import of_aws, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.store.s3 import Server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, Any]]:
    """A server, its client, and its address and credentials in the environment."""
    for name in of_aws():
        monkeypatch.delenv(name)
    with serving() as (server, client):
        for name, text in server.environment.items():
            monkeypatch.setenv(name, text)
        yield server, client


@pytest.fixture
def store(server: tuple[Server, Any]) -> Any:
    """A client of a bucket whose address and credentials are in the environment."""
    return server[1]
