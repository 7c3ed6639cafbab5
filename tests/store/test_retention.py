"""What has had its time: by age, and by the room it takes."""

from __future__ import annotations

import datetime as dt

import pytest

from stepsize.store.manifest import StoredFile
from stepsize.store.retention import Retention, expired, over_budget

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.timezone.utc)
DAY_S = 86_400.0


def stored(table: str, partition: str, size_bytes: int = 10) -> StoredFile:
    return StoredFile(table, partition, f"{table}-{partition}", 1, size_bytes)


@pytest.mark.parametrize(
    ("table", "partition", "is_old"),
    [
        ("points", "day=2026-11-18", True),  # ended 3.5 days ago
        ("histograms", "day=2026-11-18", True),
        ("points", "day=2026-11-19", False),  # ended 2.5 days ago
        ("points", "day=2026-11-22", False),
        ("points", "day=2026-11-23", False),
        ("points", "day=nonsense", False),
        ("points", "day=9999-12-31", False),
        ("tasks", "month=2026-08", True),
        ("tasks", "month=2026-10", False),
        ("tasks", "open", False),
    ],
)
def test_whole_days_and_months_expire(table: str, partition: str, is_old: bool) -> None:
    """A day counts from its end; what is no day or month is kept, as are attempts that may still change."""
    retention = Retention(points_s=3 * DAY_S, tasks_s=30 * DAY_S)
    one = stored(table, partition)
    assert expired([one], retention, NOW) == ({one} if is_old else frozenset())
    assert not expired([one], Retention(), NOW)


def test_room_is_made_by_the_oldest_days() -> None:
    """Of points of every type alike, and no more than it takes; tasks and today's points never go."""
    lake = [
        stored("tasks", "month=2020-01", 50),
        stored("points", "day=2026-11-20"),
        stored("points", "day=2026-11-19"),
        stored("histograms", "day=2026-11-19"),
        stored("points", "day=2026-11-22"),
    ]
    assert over_budget(lake, None, NOW.date()) == frozenset()
    assert over_budget(lake, 90, NOW.date()) == frozenset()
    assert over_budget(lake, 89, NOW.date()) == {"day=2026-11-19"}
    assert over_budget(lake, 69, NOW.date()) == {"day=2026-11-19", "day=2026-11-20"}
    assert over_budget(lake, 1, NOW.date()) == {"day=2026-11-19", "day=2026-11-20"}
