"""What is said of cores, and when a request stays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.analyzer.sizing.cpu import advise, cores_used, size
from stepsize.analyzer.usage import CpuBucket, Query, StepEvidence, histories
from stepsize.model import Outcome
from stepsize.testing import write_tasks
from tests.analyzer.cpu.steps import step
from tests.analyzer.rows import attempt, evidence, row

if TYPE_CHECKING:
    from pathlib import Path


FEW = '{"OMP_NUM_THREADS":"4"}'
MANY = '{"OMP_NUM_THREADS":"16","MKL_NUM_THREADS":"16"}'


def said(found: StepEvidence) -> str:
    return " ".join(advise(found).reasons)


def test_cores_fall_from_three_tasks_on() -> None:
    """With fewer, the reason says how many there are."""
    assert advise(step({1.0: 60}, count=3)).value == 1
    kept = size(step({1.0: 60}, count=2))
    assert (kept.advice.value, kept.cores) == (None, 8)
    assert kept.advice.held == "CPU stays at 8 until 3 tasks have finished (2 so far)."


def test_a_request_for_less_than_a_core_is_kept_where_it_is_enough() -> None:
    """Kubernetes takes fractions."""
    assert size(step({0.3: 60}, 0.5)).cores == 0.5
    assert advise(step({0.8: 60}, 0.5)).value == 1


def test_more_than_the_quantile_shows_is_explained() -> None:
    """A hundredth of the time at four cores: two are asked for where one was enough for 95 %."""
    assert "With 1 core it would be short of cores for 4% of the time." in said(step({0.1: 99, 4.0: 1}))


def test_all_cores_in_use_leave_open_whether_more_would_help() -> None:
    """Of the host, of a quota, of the request where nothing else ended its use; not of a single core."""
    assert "50% of the time it used all of the host's 8 cores" in said(step({1.0: 30, 8.0: 30}, host_cpus=8))
    quota = step({1.0: 30, 4.0: 30}, 4.0, cpu_limit=4.0, host_cpus=16)
    assert "50% of the time it used all of the 4 cores of its quota" in said(quota)
    assert "50% of the time it used all of the 8 cores asked for" in said(step({1.0: 30, 8.0: 30}, 8.0))
    assert "used all of" not in said(step({1.0: 60}, 1.0, host_cpus=1))
    assert "used all of" not in said(step({1.0: 59, 8.0: 1}, host_cpus=8))


def test_more_than_the_request_is_said_to_be_so() -> None:
    """Where nothing enforced it."""
    assert "more than the 1 asked for: where it ran, the request was no limit" in said(step({4.0: 60}, 1.0))


def test_more_threads_than_cores_are_pointed_out() -> None:
    """By the variable's name, where the step used more than it will have or a quota threw it out."""
    crowded = step({2.0: 60}, 2.0, throttled_s=30.0, cpu_limit=2.0, host_cpus=16, thread_limits=MANY)
    assert "MKL_NUM_THREADS=16, OMP_NUM_THREADS=16 start more threads than 4: set them to 4." in said(crowded)
    assert "NUM_THREADS" not in said(step({1.0: 60}, 2.0, thread_limits=MANY))


def test_threads_are_whole_where_cores_are_not() -> None:
    """Half a core under a quota runs one thread."""
    crowded = step({0.5: 60}, 0.5, count=1, throttled_s=5.0, cpu_limit=0.5, host_cpus=16, thread_limits=MANY)
    assert "start more threads than 1: set them to 1." in said(crowded)


def test_threads_that_leave_cores_idle_are_pointed_out() -> None:
    """Four threads of eight cores asked for."""
    few = step({4.0: 60, 0.5: 40}, 8.0, thread_limits=FEW)
    assert (
        "No more than 4 of the 8 cores asked for were used, as many as OMP_NUM_THREADS=4 has libraries start threads: "
        "ask for 4, or set it to 8." in said(few)
    )
    kept = step({4.0: 60, 0.5: 40}, 8.0, count=2, thread_limits=FEW)
    assert "ask for fewer, or set it to 8." in said(kept)
    two = step({1.0: 60}, 8.0, thread_limits='{"OMP_NUM_THREADS":"1","MKL_NUM_THREADS":"1"}')
    assert (
        "No more than 1 of the 8 cores asked for was used, as many as MKL_NUM_THREADS=1, OMP_NUM_THREADS=1 have"
        in said(two)
    )
    assert "NUM_THREADS" not in said(step({4.0: 60, 0.5: 40}, 4.0, thread_limits=FEW))


def test_no_setting_where_the_host_is_larger_is_pointed_out() -> None:
    """Libraries start a thread for each of the host's cores, whatever the container was given."""
    crowded = step({2.0: 60}, 2.0, throttled_s=30.0, cpu_limit=2.0, host_cpus=16)
    assert "one for each of the host's 16 cores. OMP_NUM_THREADS=4 has them" in said(crowded)
    assert "NUM_THREADS" not in said(step({1.0: 60}, 2.0, host_cpus=16))


def test_a_bound_on_threads_starts_none() -> None:
    """Of a number of threads and its bound the lower one counts; alone, either does."""

    def crowded(threads: str) -> str:
        return said(step({2.0: 60}, 2.0, throttled_s=30.0, cpu_limit=2.0, host_cpus=16, thread_limits=threads))

    assert "THREAD" not in crowded('{"OMP_NUM_THREADS":"2","OMP_THREAD_LIMIT":"64"}')
    assert "THREAD" not in crowded('{"OMP_NUM_THREADS":"64","OMP_THREAD_LIMIT":"2"}')
    assert "OMP_NUM_THREADS=16 starts" in crowded('{"OMP_NUM_THREADS":"16","OMP_THREAD_LIMIT":"64"}')
    assert "NUMEXPR_MAX_THREADS=64 starts" in crowded('{"NUMEXPR_MAX_THREADS":"64"}')


def test_however_many_threads_are_seen() -> None:
    """A million is a setting too."""
    crowded = step({2.0: 60}, 2.0, throttled_s=30.0, cpu_limit=2.0, thread_limits='{"OMP_NUM_THREADS":"1000000"}')
    assert "OMP_NUM_THREADS=1000000 starts more threads than 4" in said(crowded)


@pytest.mark.parametrize(
    "text",
    ["", "[1]", "{", '{"OMP_NUM_THREADS":"x"}', '{"OMP_NUM_THREADS":"0"}', '{"OMP_NUM_THREADS":null}', '{"A":"64"}'],
)
def test_settings_that_are_no_counts_say_nothing(text: str) -> None:
    """Any OpenTelemetry SDK may send them."""
    crowded = step({2.0: 60}, 2.0, throttled_s=30.0, cpu_limit=2.0, host_cpus=16, thread_limits=text)
    assert "Nothing was seen that says how many threads" in said(crowded)


def test_of_several_attempts_the_newest_setting_counts() -> None:
    """What was set last is what will be set."""
    old = attempt(task="old", started_at_s=1.0, cpu_max=4.0, thread_limits='{"OMP_NUM_THREADS":"2"}', requested_cpu=8.0)
    new = attempt(
        task="new", started_at_s=2.0, cpu_max=4.0, thread_limits='{"OMP_NUM_THREADS":"4,2"}', requested_cpu=8.0
    )
    assert "as many as OMP_NUM_THREADS=4 has" in said(evidence(new, old, cores={4.0: 120}))


@given(st.floats(0.01, 64), st.floats(0.5, 1))
def test_cores_used_are_at_most_the_highest_sample(cores: float, quantile: float) -> None:
    """A bucket's upper edge lies above what is in it."""
    used = cores_used(step({cores: 60}), quantile)
    assert used == pytest.approx(cores, rel=1e-6)


def test_nothing_read_and_moments_say_nothing_of_cores() -> None:
    """The request stays; without one it is one core for what is over in a moment."""
    unread = evidence(attempt(cpu_seconds=None, cpu_max=None, requested_cpu=4.0), cores={})
    assert size(unread).advice.held == "CPU stays as it is: no use could be read."
    moment = {"duration_s": 0.004, "cpu_seconds": 0.012, "cpu_max": 3.0}
    assert size(evidence(attempt(requested_cpu=4.0, **moment), cores={3.0: 0.004})).cores == 4
    assert advise(evidence(attempt(requested_cpu=None, **moment), cores={3.0: 0.004})).value == 1


def test_quota_and_threads_come_from_the_lake(tmp_path: Path) -> None:
    """Columns of `tasks` that older lakes lack."""
    rows = [row(task="1", cpu_limit=2.0, thread_limits='{"GOMAXPROCS":"3"}'), row(task="2")]
    connection = write_tasks(tmp_path, rows).connect()
    try:
        (found,) = histories(connection, Query())
    finally:
        connection.close()
    assert [(a.cpu_limit, a.thread_limits) for a in found.attempts] == [(2.0, '{"GOMAXPROCS":"3"}'), (None, None)]


def test_what_a_quota_left_of_it_is_not_called_enough() -> None:
    """Half a core, of which all was in use."""
    throttled = said(step({0.5: 60}, 0.5, throttled_s=30.0, cpu_limit=0.5, host_cpus=16))
    assert "It used no more than 0.5 cores for 95% of the time." in throttled
    assert "enough" not in throttled
    assert "short of cores for" not in throttled  # the quota's share says it
    stopped = said(step({4.0: 60}, 4.0, throttled_s=1200.0, cpu_limit=4.0, host_cpus=4))
    assert "A quota held it back for all of the run time, added up over cores." in stopped


def test_short_failures_are_no_share_of_the_time() -> None:
    """Five seconds at all eight cores, of three minutes in which eight were asked for."""
    fine = [attempt(task=str(n), requested_cpu=8.0) for n in range(3)]
    short = {"outcome": Outcome.FAILED, "duration_s": 1.0, "cpu_seconds": 8.0, "cpu_max": 8.0, "requested_cpu": 8.0}
    failed = [attempt(task=f"f{n}", **short) for n in range(5)]
    assert "of the time it used all" not in said(evidence(*fine, *failed, cores={1.0: 180, 8.0: 5}))


def test_one_parallel_task_of_a_thousand_is_pointed_out() -> None:
    """Who joins a foreach waits for it: sixteen cores' work on one."""
    alike = [attempt(task=str(n), requested_cpu=4.0) for n in range(999)]
    busy = attempt(task="x", cpu_seconds=960.0, cpu_mean=16.0, cpu_max=16.0, requested_cpu=4.0)
    found = evidence(*alike, busy, cores={1.0: 999 * 60, 16.0: 60})
    assert size(found).cores == 1
    assert "1 of 1,000 tasks would take at least 16 times as long: it kept 16 cores busy." in said(found)
    assert "no more than measuring may add" not in said(found)
    more = evidence(*alike, *(replace(busy, task=f"x{n}") for n in range(2)), cores={1.0: 999 * 60, 16.0: 120})
    assert "2 of 1,001 tasks would take over 1.25 times as long, the busiest at least 8 times: they kept" in said(more)
    assert "at least" not in said(step({4.0: 60}, 4.0))


def test_that_the_newest_code_needs_less_is_said() -> None:
    """Three hundred tasks at eight cores outweigh thirty at one for as long as they count."""
    old = [
        attempt(task=f"o{n}", started_at_s=1e9 + n, code_version="a", cpu_seconds=480.0, cpu_max=8.0)
        for n in range(300)
    ]
    new = [attempt(task=f"n{n}", started_at_s=2e9 + n, code_version="b") for n in range(30)]
    both = evidence(*old, *new, cores={1.0: 1800, 8.0: 18_000})
    assert size(both).cores == 8
    assert "The 30 tasks of its newest code used no more than 1 core." in said(both)
    unread = replace(new[0], task="unread", cpu_max=None)
    assert "newest code" not in said(evidence(*new, unread, cores={1.0: 1800}))
    assert "newest code" not in said(evidence(*old, *new[:2], cores={1.0: 120, 8.0: 18_000}))


def test_a_request_for_nothing_is_none() -> None:
    """Whoever may have recorded it."""
    assert "asked for" not in said(step({2.0: 60}, 0.0))


def test_buckets_that_cannot_be_are_not_known(tmp_path: Path) -> None:
    """Rows of `tasks` may come from elsewhere than a collector of ours."""
    connection = write_tasks(tmp_path, [row(cpu_histogram={0: 60.0, 30_000: 5.0, -30_000: 5.0})]).connect()
    try:
        (found,) = histories(connection, Query())
    finally:
        connection.close()
    assert found.cpu_histogram == (CpuBucket(0, 60.0),)
    assert size(found).cores == 1
