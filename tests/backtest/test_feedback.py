"""When a task is known: nothing before it had ended, one request a step and run, kills with the task they befell."""

from __future__ import annotations

import random
import time

import pytest

from stepsize.analyzer.backtest.baselines import RULES
from stepsize.analyzer.backtest.feedback import Mode
from stepsize.analyzer.backtest.learned import LearnedSizer
from stepsize.analyzer.backtest.records import Record, Records
from stepsize.analyzer.backtest.replay import replay
from stepsize.analyzer.backtest.sizer import Sizer

GIB = 2.0**30


def task(
    order: int,
    *,
    peak_gib: float = 1.0,
    at_s: float | None = None,
    ended_s: float | None = None,
    run: str | None = None,
    step: str = "t",
    runtime_s: float = 60.0,
    input_bytes: float | None = None,
    request_gib: float = 64.0,
) -> Record:
    return Record(
        workflow="w",
        task=step,
        submit_order=order,
        peak_bytes=peak_gib * GIB,
        runtime_s=runtime_s,
        run=run,
        input_bytes=input_bytes,
        submitted_at_s=at_s,
        ended_at_s=at_s + runtime_s if ended_s is None and at_s is not None else ended_s,
        requested_bytes=request_gib * GIB,
    )


def first_gib(tasks: list[Record], mode: Mode, sizer: Sizer | None = None) -> dict[float, float]:
    """The first allocation of each task, by its order, under the largest peak times 1.2 if nothing else is given."""
    found = replay(Records.of("made", tasks), sizer or RULES["max-1.2-all"].sizer(), mode)
    return {one.record.submit_order: round(one.allocated_bytes / GIB, 3) for one in found if one.attempt == 0}


def test_a_task_without_times_tells_nothing_of_the_others() -> None:
    """The second was submitted at nobody knows when; at 1 s, as at 0 s, the first still ran."""
    tasks = [task(0, at_s=0, ended_s=1000), task(1, ended_s=1000), task(2, at_s=1, ended_s=1000), task(3, at_s=1000)]
    assert first_gib(tasks, Mode.CAUSAL) == {0: 64, 1: 64, 2: 64, 3: 1.2}


def test_a_task_with_neither_submission_nor_end_was_submitted_by_the_next() -> None:
    """It ran 60 s, and was submitted by 100 s: at 159 s it may still run, at 160 s it cannot."""
    later = [task(n, at_s=at_s, ended_s=9999) for n, at_s in ((2, 100), (3, 159), (4, 160))]
    tasks = [task(0, at_s=0, ended_s=9999), task(1), *later]
    assert first_gib(tasks, Mode.CAUSAL) == {0: 64, 1: 64, 2: 64, 3: 64, 4: 1.2}


def test_without_any_times_a_task_is_known_before_the_next() -> None:
    """As online. Once there are times, they count."""
    untimed = [task(number) for number in range(3)]
    assert first_gib(untimed, Mode.CAUSAL) == first_gib(untimed, Mode.ONLINE) == {0: 64, 1: 1.2, 2: 1.2}
    later = [task(0), task(1, at_s=50, ended_s=60), task(2, at_s=109), task(3, at_s=110)]
    assert first_gib(later, Mode.CAUSAL) == {0: 64, 1: 64, 2: 1.2, 3: 1.2}


def test_times_that_go_back_bring_nothing_from_the_future() -> None:
    """The third was submitted at 50 s, when none had ended, though two are before it in the file."""
    tasks = [task(0, at_s=0, ended_s=100), task(1, at_s=200, ended_s=300), task(2, at_s=50, ended_s=60, peak_gib=5)]
    assert first_gib(tasks, Mode.CAUSAL) == {0: 64, 1: 6, 2: 64}


@pytest.mark.parametrize("mode", [Mode.ONLINE, Mode.CAUSAL])
def test_siblings_are_known_though_none_of_them_runs_again(mode: Mode) -> None:
    """Ten steps that ran once each and took a hundredth of their requests: the next that never ran asks for less."""
    siblings = [task(n, at_s=n, ended_s=100, step=f"s{n}", peak_gib=0.64) for n in range(10)]
    alone = first_gib([task(20, at_s=100, step="new")], mode, LearnedSizer(4.0))
    beside = first_gib([*siblings, task(20, at_s=100, step="new")], mode, LearnedSizer(4.0))
    assert beside[20] < alone[20] / 2


def test_what_siblings_took_is_not_known_before_they_have_ended() -> None:
    """An instant before they do, whatever they will have taken changes nothing."""

    def beside(peak_gib: float) -> float:
        siblings = [task(n, at_s=n, ended_s=100, step=f"s{n}", peak_gib=peak_gib) for n in range(10)]
        return first_gib([*siblings, task(20, at_s=99.9, step="new")], Mode.CAUSAL, LearnedSizer(4.0))[20]

    assert beside(0.1) == beside(60)


@pytest.mark.parametrize("name", ["vpa", "krr", "autopilot"])
def test_a_kill_is_known_with_the_task_that_it_befell(name: str) -> None:
    """The second is killed again and again below its 60 GiB, and runs on after the others: they know nothing of it."""

    def others(peak_gib: float) -> dict[float, float]:
        long = task(1, at_s=20, ended_s=1e6, peak_gib=peak_gib, request_gib=1)
        tasks = [task(0, at_s=0, ended_s=10), long, *(task(n, at_s=30.0 * n) for n in (2, 3, 4))]
        return first_gib(tasks, Mode.CAUSAL, RULES[name].sizer())

    assert others(60) == others(1)


@pytest.mark.parametrize("name", ["vpa", "krr", "autopilot"])
def test_a_kill_is_learned_from_once_the_task_has_ended(name: str) -> None:
    """A task of 9 GiB that was killed at smaller limits leaves a larger request than one of 9 GiB that was not."""

    def then(request_gib: float) -> float:
        tasks = [task(0, peak_gib=9, request_gib=request_gib), task(1)]
        return first_gib(tasks, Mode.ONLINE, RULES[name].sizer())[1]

    assert then(8.99) > then(64)


def runs_that_alternate() -> list[Record]:
    """Two runs whose tasks come in turns, each task larger than those before it, beside a step whose tasks vary."""
    chances = (1.0, 3.0, 2.0, 7.0, 1.5, 4.0)
    tasks = [task(2 * n, run="ab"[n % 2], peak_gib=1 + n, request_gib=8 + n) for n in range(8)]
    tasks += [task(2 * n + 1, run="ab"[n % 2], step="u", peak_gib=chances[n % 6]) for n in range(8)]
    fresh = [task(20 + n, run="c", step=f"new {n % 2}", request_gib=100) for n in range(6)]
    return sorted([*tasks, *fresh], key=lambda one: one.submit_order)


@pytest.mark.parametrize("who", ["ours", *(name for name, rule in RULES.items() if not rule.by_task)])
def test_a_step_has_one_request_a_run(who: str) -> None:
    """Whatever becomes known while a run goes on, and though another's tasks come between its own, it stands."""
    sizer = LearnedSizer(4.0, static=True) if who == "ours" else RULES[who].sizer()
    allocated = first_gib(runs_that_alternate(), Mode.RUN, sizer)
    by_run: dict[tuple[str, str | None], set[float]] = {}
    for one in runs_that_alternate():
        by_run.setdefault((one.task, one.run), set()).add(allocated[one.submit_order])
    assert {len(requests) for requests in by_run.values()} == {1}


def test_a_step_that_never_ran_keeps_what_its_siblings_said_first() -> None:
    """Six steps of run `a` are known when `new` begins in run `b`; six more become known meanwhile: it stays."""
    tasks = [task(n, run="a", step=f"s{n}", peak_gib=1 if n < 6 else 30) for n in range(12)]
    tasks += [task(12 + n, run="b", step=f"s{n}") for n in range(6)]
    for number in range(6):
        tasks.append(task(20 + 2 * number, run="b", step="new", peak_gib=0.5))
        tasks.append(task(21 + 2 * number, run="b", step=f"s{6 + number}", peak_gib=30))
    allocated = first_gib(tasks, Mode.RUN, LearnedSizer(4.0, static=True))
    asked = {allocated[20 + 2 * number] for number in range(6)}
    assert len(asked) == 1
    assert asked != {64.0}


def test_rules_by_input_size_each_task_of_a_run() -> None:
    """Peaks twice their inputs: with one run known, the tasks of the next get what their inputs say."""
    tasks = [task(n, run=str(n // 4), peak_gib=2 * (1 + n % 4), input_bytes=(1 + n % 4) * GIB) for n in range(8)]
    allocated = first_gib(tasks, Mode.RUN, RULES["witt-lr"].sizer())
    assert [allocated[n] for n in range(4, 8)] == pytest.approx([2, 4, 6, 8], rel=0.01)


def test_tasks_without_a_run_are_runs_of_their_own() -> None:
    """Each is known before the next."""
    assert first_gib([task(number) for number in range(3)], Mode.RUN) == {0: 64, 1: 1.2, 2: 1.2}


def test_a_small_run_after_a_large_one_counts_too() -> None:
    """A hundred tasks of one run say less of the next run than that two runs were alike: the third asks for less."""
    sizes = [*[0] * 100, 1, 1, 2]
    tasks = [task(n, run=str(run), peak_gib=10 + 0.1 * (n % 3)) for n, run in enumerate(sizes)]
    allocated = first_gib(tasks, Mode.RUN, LearnedSizer(4.0, static=True))
    assert allocated[102] < allocated[101] == allocated[100] < allocated[0]


def cpu_s(name: str, tasks: int) -> float:
    """What it takes a rule to replay tasks of one hour and one run, each smaller than the one before and all killed."""
    shrinking = [task(n, run="a", at_s=n / 10, peak_gib=1 + (tasks - n) / tasks, request_gib=0.5) for n in range(tasks)]
    sizer = RULES[name].sizer()
    mode = Mode.RUN if name == "vpa" else Mode.ONLINE
    began = time.process_time()
    assert sum(one.failed for one in replay(Records.of("made", shrinking), sizer, mode)) > 0
    return time.process_time() - began


def test_runs_of_one_task_do_not_cost_more_the_more_there_were() -> None:
    """Nine times the runs take nine times as long at most, though many a task needs more than was asked for; where all
    before are gone through at each, twice that and ever more."""

    def ours_s(runs: int) -> float:
        chance = random.Random(3)
        tasks = [task(n, run=str(n), peak_gib=chance.lognormvariate(0, 1.0)) for n in range(runs)]
        began = time.process_time()
        list(replay(Records.of("made", tasks), LearnedSizer(0.5, static=True), Mode.RUN))
        return time.process_time() - began

    assert ours_s(9000) < 12 * min(ours_s(1000) for _ in range(2))


@pytest.mark.parametrize("name", ["vpa", "autopilot"])
def test_what_waits_is_not_gone_through_for_each_task(name: str) -> None:
    """Four times the kills, or the tasks of an hour, take four times as long; gone through each time, sixteen."""
    assert min(cpu_s(name, 6000) for _ in range(2)) < 8 * min(cpu_s(name, 1500) for _ in range(3))
