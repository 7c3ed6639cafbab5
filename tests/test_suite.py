"""What the suite itself stands on."""

from __future__ import annotations

import pytest


@pytest.mark.xdist_group("suite")
def test_groups_are_kept_together(request: pytest.FixtureRequest) -> None:
    """pytest-xdist knows a group by its tests' ids; where a pytest hides that, each worker would make every lake."""
    if not request.config.getoption("loadgroup", default=False):
        pytest.skip("nothing is shared out")
    assert request.node.nodeid.endswith("@suite")
