"""One request for all tasks of a step, and what tasks that never ended well do to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.analyzer.sizing.memory.history import Finished, Task
from stepsize.analyzer.sizing.memory.learner import Workspace
from stepsize.analyzer.sizing.memory.static import Run, Static, need_bytes, size_step, static_settings

GIB = 2.0**30
TASK = Task(requested_bytes=100 * GIB)
PEAKS = st.lists(st.lists(st.floats(0.2, 60.0), min_size=1, max_size=8), min_size=1, max_size=6)


def run_of(number: int, peaks_gib: list[float], needs_gib: list[float] | None = None) -> Run:
    return Run(
        run=str(number),
        finished=tuple(Finished(TASK, peak * GIB, 0.5) for peak in peaks_gib),
        needs_bytes=tuple(need * GIB for need in needs_gib or []),
    )


def sized(runs: list[Run], price: float = 16.0) -> Static:
    static = size_step(Workspace(settings=static_settings(price)).step("flow"), runs)
    assert static is not None
    return static


@given(PEAKS, st.floats(0.1, 200.0))
def test_a_task_that_ran_out_of_memory_never_lowers_the_request(runs: list[list[float]], limit_gib: float) -> None:
    """Whatever was seen before: one more kill for memory at any limit, and the request is at least as large."""
    without = [run_of(number, peaks) for number, peaks in enumerate(runs)]
    killed = run_of(len(runs), [], [need_bytes(0.0, limit_gib)])
    assert sized([*without, killed]).request_bytes >= sized(without).request_bytes


def test_a_limit_that_was_not_enough_is_exceeded() -> None:
    """Ten tasks took 4 GiB; one was killed at 8 GiB: the request is a quarter above that."""
    runs = [run_of(number, [4.0]) for number in range(10)]
    static = sized([*runs, run_of(10, [], [need_bytes(7.9, 8.0)])])
    assert static.request_bytes == 10 * GIB
    assert static.proposal.request_bytes < 5 * GIB


def test_each_run_is_replayed_under_what_was_known_before_it() -> None:
    """Peaks of 4 GiB, then one run of 20: the request before that run was too small for both of its tasks."""
    static = sized([run_of(number, [4.0, 4.0]) for number in range(5)] + [run_of(5, [20.0, 20.0])])
    assert [one.run for one in static.replayed] == ["1", "2", "3", "4", "5"]
    assert [one.too_small for one in static.replayed] == [0, 0, 0, 0, 2]
    assert all(one.request_bytes < 20 * GIB for one in static.replayed)
    assert static.request_bytes > 20 * GIB


def test_nothing_that_ended_well_is_no_answer() -> None:
    """Kills alone say what is too little, not what is enough."""
    assert size_step(Workspace(settings=static_settings(4.0)).step("flow"), [run_of(1, [], [8.0])]) is None


@pytest.mark.parametrize("price", [0.5, 4.0, 16.0])
def test_expected_failures_lie_in_their_interval_and_fall_with_evidence(price: float) -> None:
    """A share between 0 and 1 within its range; more tasks alike make the range narrower."""
    few, many = (sized([run_of(n, [4.0 + 0.01 * (n % 7)]) for n in range(count)], price) for count in (3, 60))
    widths = []
    for static in (few, many):
        low, high = static.failure_range(static.request_bytes)
        assert 0 <= low <= static.failure_share(static.request_bytes) <= high <= 1
        widths.append(high - low)
    assert widths[1] < widths[0]


def test_a_task_that_needed_more_is_among_the_failures_expected() -> None:
    """Nine tasks took 4 GiB and one was killed at 8: what covers the nine fails for about one in ten."""
    static = sized([run_of(number, [4.0]) for number in range(9)] + [run_of(9, [], [10.0])])
    assert 0.1 <= static.failure_share(5 * GIB) < 0.2
    assert static.failure_share(static.request_bytes) < 0.1


@given(PEAKS, st.sampled_from([0.5, 16.0]))
def test_the_largest_task_of_the_newest_runs_is_always_covered(runs: list[list[float]], price: float) -> None:
    """However rare it was: a retry would have no more memory, so its run would fail again and again."""
    largest = max(peak for peaks in runs[-5:] for peak in peaks)
    static = sized([run_of(number, peaks) for number, peaks in enumerate(runs)], price)
    assert static.request_bytes >= largest * GIB * (1 - 1e-9)


def test_covering_the_largest_is_no_reason_to_cover_it_barely() -> None:
    """One task in thirty takes three times as much as the others: cheapest would be to lose it. Covered, it gets a
    margin as any other."""
    peaks = [[2.5 + 0.02 * n for n in range(29)] + ([9.0] if number % 3 == 0 else []) for number in range(40)]
    assert sized([run_of(number, of_run) for number, of_run in enumerate(peaks)], 64.0).request_bytes > 9.05 * GIB
