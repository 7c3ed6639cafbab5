"""What a report says that the last one did not: nights over a real lake."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stepsize.analyzer.changes.conditions import Kind
from stepsize.analyzer.matching import Need
from stepsize.analyzer.usage import Query
from tests.analyzer.changes.lake import MB, Nights, nights


@pytest.fixture
def lake() -> Iterator[Nights]:
    with nights() as found:
        yield found


@pytest.fixture
def steady(lake: Nights) -> Nights:
    """Ten days of five tasks that fit their request, the last report on day 9."""
    for day in range(10):
        lake.run(day, tasks=5, requested_memory_bytes=800 * MB)
    lake.night(9)
    return lake


def test_where_nothing_happens_nothing_changes(steady: Nights) -> None:
    """Another day like those before, and a day without any run."""
    steady.run(10, tasks=5, requested_memory_bytes=800 * MB)
    assert steady.kinds(10) == []
    assert steady.kinds(11) == []


def test_running_out_of_memory_is_told_once_and_its_end_too(steady: Nights) -> None:
    """With the counts of the period and of all before; days without a run say nothing."""
    steady.run(10, tasks=3, requested_memory_bytes=800 * MB, outcome="oom")
    steady.run(10, tasks=2, requested_memory_bytes=800 * MB)
    (change,) = steady.night(10).changes
    assert change.kind is Kind.OOM
    assert change.sentence == ("3 of 5 attempts since 2026-11-10 12:00 UTC ran out of memory; none of the 50 before.")
    assert (change.now, change.before, change.unit) == (3, 0, "attempts")
    steady.run(11, requested_memory_bytes=800 * MB, outcome="oom")
    assert steady.kinds(11) == []
    assert steady.kinds(12) == []
    steady.run(13, tasks=4, requested_memory_bytes=800 * MB)
    (over,) = steady.night(13).changes
    assert over.kind is Kind.RESOLVED
    assert over.sentence == "None of 4 attempts since 2026-11-13 12:00 UTC ran out of memory any more."


def test_failures_are_told_where_there_were_none_or_fewer(lake: Nights) -> None:
    """One in ten that always fails is no news; most of them failing is."""
    for day in range(10):
        lake.run(day, tasks=9, requested_memory_bytes=800 * MB)
        lake.run(day, requested_memory_bytes=800 * MB, outcome="failed")
    assert lake.kinds(9) == []
    lake.run(10, tasks=9, requested_memory_bytes=800 * MB)
    lake.run(10, requested_memory_bytes=800 * MB, outcome="failed")
    assert lake.kinds(10) == []
    lake.run(11, tasks=6, requested_memory_bytes=800 * MB, outcome="failed")
    lake.run(11, tasks=2, requested_memory_bytes=800 * MB, outcome="killed")
    (change,) = lake.night(11).changes
    assert change.kind is Kind.FAILING
    assert change.sentence == (
        "8 of 8 attempts since 2026-11-11 12:00 UTC did not end well (6 failed, 2 killed); 11 of the 110 before."
    )


def test_a_task_nearer_to_its_request_than_any_before_is_told(steady: Nights) -> None:
    """With how near, whose it was and what was the most before; far again is told too."""
    steady.run(10, peaks_mb=[600, 760], requested_memory_bytes=800 * MB)
    changes = [change for change in steady.night(10).changes if change.kind is Kind.LIMIT]
    assert [change.sentence for change in changes] == [
        "Task 11/t1 held 760 MB, 95% of the 800 MB of its memory; before 2026-11-10 12:00 UTC 600 MB was the most."
    ]
    assert (changes[0].what, changes[0].now, changes[0].before) == ("memory", 760 * MB, 600 * MB)
    steady.run(11, peaks_mb=[600, 700], requested_memory_bytes=800 * MB)
    assert Kind.LIMIT not in steady.kinds(11)
    steady.run(12, peaks_mb=[600, 700], requested_memory_bytes=2000 * MB)
    over = [change for change in steady.night(12).changes if change.kind is Kind.RESOLVED]
    assert [change.what for change in over] == ["memory"]
    assert "700 MB of 2,000 MB at most" in over[0].sentence


def test_a_request_that_was_lowered_to_what_is_enough_is_no_alarm(lake: Nights) -> None:
    """What always held so much has not come nearer by following the advice."""
    for day in range(10):
        lake.run(day, tasks=20, requested_memory_bytes=16_000 * MB)
    lake.night(9)
    lake.run(10, tasks=20, requested_memory_bytes=650 * MB)
    assert lake.kinds(10) == [Kind.SAVED]


@pytest.mark.parametrize(
    ("values", "what", "sentence"),
    [
        (
            {"duration_s": 3500.0, "requested_timeout_s": 3600.0},
            "duration",
            "took 3,500 s, 97% of the 3,600 s of its timeout",
        ),
        (
            {"disk_peak_bytes": 99 * MB, "requested_disk_bytes": 100 * MB},
            "disk",
            "held 99 MB, 99% of the 100 MB of its disk",
        ),
    ],
)
def test_other_bounds(steady: Nights, values: dict[str, float], what: str, sentence: str) -> None:
    """Time and disk, where the step asks for them."""
    steady.run(10, requested_memory_bytes=800 * MB, **values)
    changes = [change for change in steady.night(10).changes if change.kind is Kind.LIMIT]
    assert [change.what for change in changes] == [what]
    assert sentence in changes[0].sentence


def test_a_new_version_that_holds_more_is_told_once(lake: Nights) -> None:
    """Once it has tasks enough, with the typical peaks of both sides."""
    for day in range(5):
        lake.run(day, tasks=2, requested_memory_bytes=4000 * MB, code_version="a")
    lake.night(4)
    lake.run(5, peaks_mb=[900, 910], requested_memory_bytes=4000 * MB, code_version="b")
    assert Kind.GROWTH not in lake.kinds(5)
    lake.run(6, peaks_mb=[900, 910], requested_memory_bytes=4000 * MB, code_version="b")
    grown = [change for change in lake.night(6).changes if change.kind is Kind.GROWTH]
    assert [change.sentence for change in grown] == [
        "A typical task of version b holds 905 MB (4 tasks), 1.51 times the 600 MB of 1 version before it (10 tasks)."
    ]
    lake.run(7, peaks_mb=[900, 910], requested_memory_bytes=4000 * MB, code_version="b")
    assert lake.kinds(7) == []
    lake.run(8, peaks_mb=[1400] * 5, requested_memory_bytes=4000 * MB, code_version="c")
    assert Kind.GROWTH in lake.kinds(8)


def test_growth_is_told_once_however_many_versions_hold_as_much(lake: Nights) -> None:
    """Versions that each run has are no news; one that holds more still is, and one after a time of less."""
    peaks_mb = [600] * 5 + [1200] * 4 + [2400] + [600] * 20 + [1300]
    told = []
    for day, peak_mb in enumerate(peaks_mb):
        lake.run(day, tasks=6, peaks_mb=[peak_mb] * 6, requested_memory_bytes=4000 * MB, code_version=f"v{day}")
        told += [(day, change.what) for change in lake.night(day).changes if change.kind is Kind.GROWTH]
    assert told == [(5, "v5"), (9, "v9"), (30, "v30")]


def test_a_step_that_wavers_near_its_request_is_told_once(lake: Nights) -> None:
    """It is over once it was calm for longer than chance would have it, or asks for more."""
    told = []
    calm_mb, near_mb = 640, 760
    wavers_mb = [near_mb, calm_mb, near_mb, calm_mb, calm_mb, near_mb, near_mb, calm_mb]
    peaks_mb = [calm_mb, *wavers_mb, *wavers_mb]
    for day in range(40):
        peak_mb = peaks_mb[day] if day < len(peaks_mb) else calm_mb
        lake.run(day, peaks_mb=[peak_mb], requested_memory_bytes=800 * MB)
        told += [(day, change.kind) for change in lake.night(day).changes if change.what == "memory"]
    assert [kind for _, kind in told] == [Kind.LIMIT, Kind.RESOLVED]
    assert told[0][0] == 1
    assert len(peaks_mb) < told[1][0] < 30


def test_failures_that_go_on_are_told_again_where_they_are_twice_as_many(lake: Nights) -> None:
    """Beyond chance; and once."""
    told = []
    for day, failures in enumerate([0, 0, 0, 0, 2, 2, 3, 9, 10, 10]):
        lake.run(day, tasks=10 - failures, requested_memory_bytes=800 * MB)
        lake.run(day, tasks=failures, requested_memory_bytes=800 * MB, outcome="failed")
        told += [(day, change.now) for change in lake.night(day).changes if change.kind is Kind.FAILING]
    assert told == [(4, 2), (7, 9)]


@pytest.mark.parametrize("ahead_days", [-3, 400])
def test_a_clock_that_was_set_loses_nothing_and_tells_nothing_twice(steady: Nights, ahead_days: int) -> None:
    """What ended after all that the report of that clock had counted is new, whenever it is back."""
    steady.run(10, tasks=5, duration_s=600.0, requested_memory_bytes=700 * MB)
    before = steady.night(10)
    assert before.saved.gb_h > 0
    assert steady.night(10 + ahead_days).saved.gb_h == 0
    steady.run(11, tasks=3, requested_memory_bytes=700 * MB, outcome="oom")
    found = steady.night(11)
    assert [change.sentence.split(" since")[0] for change in found.changes] == ["3 of 3 attempts"]
    assert found.saved.gb_h < before.saved.gb_h
    assert steady.kinds(12) == []


def test_a_step_without_attempts_for_a_while_is_still_known(steady: Nights) -> None:
    """Where a report asks for the newest attempts alone, say: what was told of it is not told again."""
    steady.run(10, requested_memory_bytes=800 * MB, outcome="oom")
    assert steady.kinds(10) == [Kind.OOM]
    steady.run(12, flow="Other", requested_memory_bytes=800 * MB)
    steady.chosen = Query(flow="Other")
    steady.kinds(12)
    steady.chosen = Query()
    steady.run(13, requested_memory_bytes=800 * MB, outcome="oom")
    assert steady.kinds(13) == []


def test_waste_is_told_once_and_again_where_it_grows(lake: Nights) -> None:
    """With what would do and what that saves; a step that asks for a little too much is none."""
    for day in range(10):
        lake.run(day, tasks=50, duration_s=3600.0, requested_memory_bytes=4000 * MB)
        lake.run(day, step="small", duration_s=1.0, requested_memory_bytes=4000 * MB)
    (change,) = lake.night(9).changes
    assert change.kind is Kind.WASTE
    assert change.key.step == "train"
    assert change.sentence.startswith("It asks for 4,000 MB of memory; ")
    assert "USD a month" in change.sentence
    lake.run(10, tasks=50, duration_s=3600.0, requested_memory_bytes=4000 * MB)
    assert lake.kinds(10) == []
    lake.run(11, tasks=50, duration_s=3600.0, requested_memory_bytes=16_000 * MB)
    assert lake.kinds(11) == [Kind.WASTE]


def test_savings_are_counted_from_the_day_a_request_is_lowered(lake: Nights) -> None:
    """Hours under the new request times what is asked less, night by night and in all; undone, they end."""
    for day in range(10):
        lake.run(day, tasks=10, duration_s=3600.0, requested_memory_bytes=8 << 30, requested_cpu=2.0)
    assert lake.night(9).saved.gb_h == 0
    lake.run(10, tasks=10, duration_s=3600.0, requested_memory_bytes=1 << 30, requested_cpu=2.0)
    first = lake.night(10)
    assert [change.kind for change in first.changes] == [Kind.SAVED]
    assert "It asks for 1,074 MB of memory rather than 8,590. That was 70 GB·h and" in first.changes[0].sentence
    assert first.saved.gb_h == pytest.approx(70)
    ((currency, money),) = first.saved.money
    assert currency == "USD"
    assert money > 0
    lake.run(11, tasks=20, duration_s=3600.0, requested_memory_bytes=1 << 30, requested_cpu=2.0)
    second = lake.night(11)
    assert second.changes == ()
    assert second.saved.gb_h == pytest.approx(140)
    assert second.saved_in_all.gb_h == pytest.approx(210)
    assert dict(second.saved_in_all.money)["USD"] == pytest.approx(3 * money)
    lake.run(12, tasks=10, duration_s=3600.0, requested_memory_bytes=8 << 30, requested_cpu=2.0)
    third = lake.night(12)
    assert third.saved.gb_h == 0
    assert third.saved_in_all.gb_h == pytest.approx(210)


@pytest.mark.parametrize("target", ["kubernetes", "batch", "local"])
def test_savings_are_at_prices_of_servers_that_leave_free_what_ran_the_step_keeps(lake: Nights, target: str) -> None:
    """As the report's costs are: on Kubernetes 14 GiB need a server of 32 GiB, elsewhere one of 16."""
    asked = {"tasks": 10, "duration_s": 3600.0, "requested_cpu": 2.0, "target": target}
    lake.run(8, requested_memory_bytes=14 << 30, **asked)
    lake.night(9)
    lake.run(10, requested_memory_bytes=1 << 30, **asked)
    platform = "machine" if target == "local" else target
    before, now = (
        lake.catalog.cheapest(Need(2, gib * 1024, architecture="x86_64", burstable=False, platform=platform), 1)[0]
        for gib in (14, 1)
    )
    assert (before.memory_mib > 16 * 1024) is (target == "kubernetes")
    assert dict(lake.night(10).saved.money) == {"USD": pytest.approx(10 * (before.price_hourly - now.price_hourly))}


def test_less_memory_for_more_cores_is_no_saving(lake: Nights) -> None:
    """What is traded cannot be told as one."""
    for day in range(3):
        lake.run(day, requested_memory_bytes=4000 * MB, requested_cpu=1.0)
    lake.night(2)
    lake.run(3, requested_memory_bytes=2000 * MB, requested_cpu=4.0)
    assert Kind.SAVED not in lake.kinds(3)


def test_reports_that_were_made_differently_are_not_compared(steady: Nights) -> None:
    """It is said, and everything counts as new."""
    steady.asked = "cheap"
    found = steady.night(10)
    assert found.against is None
    assert "day 9 was made with other options" in found.note


def test_production_comes_first_and_histories_are_apart(lake: Nights) -> None:
    """A step of a project's production and that of somebody's branch are two."""
    for day in range(5):
        for branch in ("user.ann", "prod"):
            lake.run(day, requested_memory_bytes=800 * MB, project="p", branch=branch)
    lake.night(4)
    for branch in ("user.ann", "prod"):
        lake.run(5, requested_memory_bytes=800 * MB, project="p", branch=branch, outcome="oom")
    found = lake.night(5).changes
    assert [(change.kind, change.key.production) for change in found] == [(Kind.OOM, True), (Kind.OOM, False)]
    assert [change.title for change in found] == ["TrainFlow/train (p, production)", "TrainFlow/train (p)"]


def test_numbers_that_cannot_be_change_nothing(steady: Nights) -> None:
    """Rows may come from elsewhere."""
    steady.run(
        10,
        requested_memory_bytes=800 * MB,
        duration_s=-3600.0,
        requested_timeout_s=float("inf"),
        disk_peak_bytes=-5,
        memory_limit_bytes=0,
        cpu_histogram=None,
    )
    assert steady.kinds(10) == []
