"""What tests of deploy/ share: places for collectors, peers that are skipped where they are not."""

from __future__ import annotations

from tests.collector.conftest import place
from tests.interop.conftest import pytest_runtest_setup

__all__ = ["place", "pytest_runtest_setup"]
