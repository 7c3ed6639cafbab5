"""Tasks that are killed at random moments, as the benchmark kills a thousand."""

from __future__ import annotations

from benchmarks.kills import kill_tasks, wrong
from tests.e2e.conftest import Workplace


def test_every_killed_task_is_in_the_lake_as_killed(workplace: Workplace) -> None:
    """25 tasks, killed up to 3 s after they began: each that had registered has its outcome and a recent sample."""
    killed = kill_tasks(workplace.environment, workplace.data, count=25, at_a_time=12, seed=3)
    assert sum(each.registered for each in killed) >= 15
    assert wrong(killed) == []
