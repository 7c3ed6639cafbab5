"""Tasks that are killed at random moments, as the benchmark kills a thousand."""

from __future__ import annotations

from benchmarks.kills import MOST_AGE_S, Killed, kill_tasks, wrong
from tests.e2e.conftest import Workplace


def test_every_killed_task_is_in_the_lake_as_killed(workplace: Workplace) -> None:
    """25 tasks, killed up to 3 s after they began: each that had registered has its outcome and a recent sample."""
    killed = kill_tasks(workplace.environment, workplace.data, count=25, at_a_time=12, seed=3)
    assert sum(each.registered for each in killed) >= 15
    assert wrong(killed) == []


def test_one_that_was_never_sampled_is_right_only_where_there_was_no_time_for_it() -> None:
    """No sample at all is no better than an old one; a task that nobody knew of is no one's fault."""
    early = Killed("1", lived_s=MOST_AGE_S / 2, outcome="killed", age_s=None)
    missed = Killed("2", lived_s=MOST_AGE_S * 2, outcome="killed", age_s=None)
    stale = Killed("3", lived_s=MOST_AGE_S * 2, outcome="killed", age_s=MOST_AGE_S * 1.5)
    recent = Killed("4", lived_s=MOST_AGE_S * 2, outcome="killed", age_s=0.1)
    unknown = Killed("5", lived_s=None, outcome=None, age_s=None)
    assert wrong([early, missed, stale, recent, unknown]) == [missed, stale]
