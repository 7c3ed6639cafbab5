"""For every policy and mode: what was proposed for the beginning of a file is the same however it goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepsize.analyzer.backtest.baselines import RULES
from stepsize.analyzer.backtest.feedback import Mode, in_order
from stepsize.analyzer.backtest.learned import LearnedSizer
from stepsize.analyzer.backtest.records import Record, Records
from stepsize.analyzer.backtest.replay import replay
from stepsize.analyzer.backtest.sizer import Sizer
from stepsize.analyzer.sizing.presets import PRESETS

POLICIES = (*PRESETS, *RULES)
GIB = 2.0**30


def sizer(policy: str, mode: Mode) -> Sizer:
    if policy in PRESETS:
        return LearnedSizer(PRESETS[policy], static=mode is Mode.RUN)
    return RULES[policy].sizer()


@st.composite
def files(draw: st.DrawFn) -> tuple[Record, ...]:
    """Tasks of up to eight steps of two workflows. Runs come in turns, times are missing here and there and go back."""
    kinds = draw(st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=4, max_size=40))
    missing = draw(st.sampled_from(["none", "some", "all"]))
    clock, tasks = 0.0, []
    for order, step in enumerate(kinds):
        clock += draw(st.sampled_from([0.0, 1.0, 30.0, 500.0, 20_000.0, -45.0]))
        timed = missing == "none" or (missing == "some" and draw(st.booleans()))
        runtime = draw(st.sampled_from([0.1, 60.0, 3600.0, 90_000.0]))
        size = draw(st.sampled_from([None, 0.0, 1e6, 5e9]) | st.floats(1, 1e12))
        peak = draw(st.floats(2e8, 1e11) | st.sampled_from([1e9, 2e9]))
        tasks.append(
            Record(
                workflow="one" if order % 3 else "other",
                task=step,
                submit_order=order,
                peak_bytes=peak + (size or 0.0) / 20,
                runtime_s=runtime,
                run=draw(st.sampled_from([None, "1", "2", str(order // 7)])),
                item=draw(st.sampled_from([None, "x", "y"])),
                input_bytes=size,
                requested_bytes=draw(st.sampled_from([None, 8 * GIB, 64 * GIB])),
                submitted_at_s=clock if timed else None,
                ended_at_s=clock + runtime if timed or draw(st.booleans()) else None,
            )
        )
    return tuple(tasks)


def attempts(tasks: tuple[Record, ...], policy: str, mode: Mode) -> list[tuple[float, int, float]]:
    found = replay(Records("made", tasks, 128 * 2**30), sizer(policy, mode), mode)
    return [(one.record.submit_order, one.attempt, one.allocated_bytes) for one in found]


every_policy_and_mode = pytest.mark.parametrize(
    ("policy", "mode"), [(policy, mode) for policy in POLICIES for mode in Mode], ids=str
)
some_files = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@every_policy_and_mode
@some_files
@given(tasks=files(), share=st.floats(0.05, 1.0))
def test_a_longer_file_changes_nothing_at_its_beginning(
    policy: str, mode: Mode, tasks: tuple[Record, ...], share: float
) -> None:
    """The tasks that are sized first get the same without those that are sized after them."""
    first = {one.record.submit_order for one in list(in_order(tasks, mode))[: max(1, int(share * len(tasks)))]}
    alone = attempts(tuple(task for task in tasks if task.submit_order in first), policy, mode)
    assert attempts(tasks, policy, mode)[: len(alone)] == alone


@every_policy_and_mode
@some_files
@given(tasks=files(), data=st.data())
def test_what_a_task_turns_out_to_be_changes_nothing_before_it_is_known(
    policy: str, mode: Mode, tasks: tuple[Record, ...], data: st.DataObject
) -> None:
    """Another peak and run time leave the task's own request as it was, and in mode causal those of all tasks sized
    before it had ended (but for a task sized before there was any instant: that is known before the next)."""
    number = data.draw(st.integers(0, len(tasks) - 1))
    one = tasks[number]
    other = replace(one, peak_bytes=one.peak_bytes * data.draw(st.sampled_from([0.01, 0.5, 3.0])), runtime_s=7.0)
    changed = (*tasks[:number], other, *tasks[number + 1 :])
    order = list(in_order(tasks, mode))
    place = [submitted.record.submit_order for submitted in order].index(one.submit_order)
    same = {submitted.record.submit_order for submitted in order[: place + 1]}
    if mode is Mode.CAUSAL and one.ended_at_s is not None and order[place].at_s is not None:
        same |= {each.record.submit_order for each in order if each.at_s is not None and each.at_s < one.ended_at_s}

    def first(found: list[tuple[float, int, float]]) -> list[tuple[float, int, float]]:
        return [each for each in found if each[0] in same and each[1] == 0]

    assert first(attempts(changed, policy, mode)) == first(attempts(tasks, policy, mode))
