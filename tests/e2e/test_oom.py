"""Kills for memory in real control groups, told from kills by hand and from those of children."""

from __future__ import annotations

import pytest

from benchmarks.oom import CASES, Case, end_tasks
from tests.e2e.conftest import Workplace
from tests.instrumentation.cgroups import real_group


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_end_is_told_by_its_own_evidence(workplace: Workplace, case: Case) -> None:
    """A task that the kernel kills, one that a person kills, and ones that outlive the kill of a child."""
    with real_group("memory") as group:
        if group is None:
            pytest.skip("no memory cgroup can be made here")
    (told,) = end_tasks(workplace.environment, workplace.data, [case])
    assert told.is_right, told
