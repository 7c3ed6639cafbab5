"""What a step gets that never ran: from what was asked for it, and from what its siblings took of what they asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.analyzer.sizing.memory.history import Finished, Stopped, Task
from stepsize.analyzer.sizing.memory.learner import Settings, Sized, Workspace

GIB = 2.0**30
SIBLINGS = st.lists(st.tuples(st.floats(0.5, 100.0), st.floats(0.001, 1.0)), max_size=12)


def first_request(
    siblings: list[tuple[float, float]], price: float, task: Task, settings: Settings | None = None
) -> Sized:
    """For a new step beside siblings with these requests in GiB, of which they took these shares."""
    workspace = Workspace(settings=settings or Settings(price))
    for asked, share in siblings:
        step, other = workspace.step("flow"), Task(asked * GIB)
        step.learn([(step.size(other), Finished(other, asked * share * GIB, 1.0))])
    return workspace.step("flow").size(task)


@given(SIBLINGS, st.floats(0.0, 100.0), st.floats(0.05, 500.0))
def test_nobody_gets_more_than_was_asked_for(siblings: list[tuple[float, float]], price: float, asked: float) -> None:
    """Whatever siblings took: who asked for 1 GiB knew why it would be enough."""
    assert 0 < first_request(siblings, price, Task(asked * GIB)).request_bytes <= asked * GIB


@given(SIBLINGS, st.floats(0.0, 100.0), st.floats(0.0, 100.0), st.floats(0.05, 500.0))
def test_a_higher_price_of_failures_never_lowers_the_first_request(
    siblings: list[tuple[float, float]], one: float, other: float, asked: float
) -> None:
    """Neither where nothing is known yet nor beside siblings."""
    low, high = sorted((one, other))
    less, more = (first_request(siblings, price, Task(asked * GIB)).request_bytes for price in (low, high))
    assert less <= more * (1 + 1e-9)


def test_without_any_evidence_who_minds_failures_gets_what_was_asked_for() -> None:
    """Of 64 GiB a cheap flow tries a part first, a safe one nearly half, and one that must not fail all of it."""
    cheap, safe, never = (first_request([], price, Task(64 * GIB)).request_bytes / GIB for price in (0.5, 16.0, 1000.0))
    assert cheap < 10
    assert 20 < safe < 64
    assert never == 64


def test_a_first_task_that_got_too_little_gets_no_more_than_was_asked_for_next() -> None:
    """The user's request was enough: after a failure below it there is no reason to go beyond."""
    workspace = Workspace(settings=Settings(0.5))
    step = workspace.step("flow")
    sized = step.size(Task(64 * GIB))
    allocated = [sized.request_bytes]
    while allocated[-1] < 63 * GIB:
        allocated.append(step.retry(sized, allocated[-1]))
    assert len(allocated) > 1
    assert allocated[-1] <= 64 * GIB * 1.01


@pytest.mark.parametrize("price", [4.0, 16.0])
def test_siblings_that_took_what_they_asked_for_have_the_next_one_get_it(price: float) -> None:
    """Twenty requests of 1 to 32 GiB were used by 90 %: the next, of 8 GiB, stays within a tenth of itself."""
    siblings = [(2.0 ** (number % 6), 0.9) for number in range(20)]
    assert first_request(siblings, price, Task(8 * GIB)).request_bytes > 7.2 * GIB
    wasteful = [(asked, 0.01) for asked, _ in siblings]
    assert first_request(wasteful, price, Task(8 * GIB)).request_bytes < 2 * GIB


def test_requests_are_kept_where_that_is_asked_for() -> None:
    """Neither a static request, which fails a run, nor a policy without a cold start goes below before anything ran."""
    for settings in (Settings(0.5, below_request=False), Settings(0.5, cold_start=False)):
        assert first_request([], 0.5, Task(64 * GIB), settings).request_bytes == 64 * GIB


def test_a_platforms_default_says_nothing_about_the_task() -> None:
    """4 GiB that nobody asked for are kept until five siblings have run, and are no bound on what those took."""
    default = Task(4 * GIB, request_known=False)
    assert first_request([], 0.5, default).request_bytes == 4 * GIB
    assert first_request([(1.0, 0.5)] * 4, 0.5, default).request_bytes == 4 * GIB
    assert first_request([(1.0, 0.5)] * 6, 0.5, default).request_bytes < 2 * GIB


def test_a_step_of_which_every_task_ran_out_of_memory_gets_twice_the_limit() -> None:
    """Nothing ended well, so the limit that was not enough is all there is; what a lost task had reached says less."""
    step = Workspace(settings=Settings(4.0)).step("flow")
    task = Task(4 * GIB)
    step.learn_stopped([Stopped(task, 3 * GIB, ran_out=False)])
    assert step.size(task).request_bytes == 4 * GIB
    step.learn_stopped([Stopped(task, 4 * GIB)])
    assert step.size(task).request_bytes == 8 * GIB
