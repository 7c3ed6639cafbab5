"""What these tests stand on: a collector of the test's own, and a relay before it that keeps what a peer says."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.collector.conftest import place

if TYPE_CHECKING:
    from tests.collector.running import Place, RunningCollector

__all__ = ["place"]

_PEER = "peer"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test of a peer that is not here is skipped, and says why."""
    for mark in item.iter_markers("needs"):
        for peer in mark.args:
            if not peer.is_built():
                pytest.skip(f"{peer.name} is not here: {peer.obstacle() or 'make test-peers builds it'}")
            item.user_properties.append((_PEER, peer.name))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which peers were run, and with how many tests."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    names = [
        name for report in reports if report.when == "call" for key, name in report.user_properties if key == _PEER
    ]
    for name, count in sorted(Counter(names).items()):
        terminalreporter.line(f"peer: {name}: {count} tests")


@pytest.fixture
def collector(place: Place) -> RunningCollector:
    return place.collect()
