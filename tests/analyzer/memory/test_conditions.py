"""What else than peaks changes an answer: what was said of tasks, tasks that never ended well, checkpoints, changes of
the step."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from stepsize.analyzer.sizing.memory.history import Finished, Stopped, Task
from stepsize.analyzer.sizing.memory.learner import Settings, Sized, StepLearner, Workspace
from stepsize.analyzer.sizing.memory.static import static_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

GIB = 2.0**30
ANY = Task(100 * GIB)
BALANCED, SAFE = 4.0, 16.0


def step_by_task(price: float = BALANCED) -> StepLearner:
    return Workspace(settings=Settings(price)).step("flow")


def learn(step: StepLearner, task: Task, peak_gib: float) -> Sized:
    """A task of an hour, sized before it is known."""
    sized = step.size(task)
    step.learn([(sized, Finished(task, peak_gib * GIB, 1.0))])
    return sized


def learn_run(step: StepLearner, peaks_gib: Sequence[float]) -> float:
    """A run of tasks under one request; which is returned in GiB."""
    sized = step.size(ANY)
    step.learn([(sized, Finished(ANY, peak * GIB, 1.0)) for peak in peaks_gib])
    return sized.request_bytes / GIB


def asked_gib(step: StepLearner, task: Task = ANY) -> float:
    return step.size(task).request_bytes / GIB


def said(**annotations: float | str) -> Task:
    return Task(100 * GIB, annotations=annotations)


def test_the_number_that_peaks_follow_is_found_among_those_that_were_said() -> None:
    """A kilobyte a row, whatever the number of epochs: more rows get more memory, more epochs do not."""
    chance, step = random.Random(1), step_by_task()
    for _ in range(40):
        rows = chance.uniform(1e6, 1e7)
        task = said(epochs=chance.uniform(1, 50), rows=rows, seed=7)
        learn(step, task, rows / 2**20 * chance.uniform(0.98, 1.02))
    few, many, longer = (said(rows=rows, epochs=n) for rows, n in ((2e6, 5), (8e6, 5), (2e6, 50)))
    assert 1.9 < asked_gib(step, few) < 2.4
    assert 7.6 < asked_gib(step, many) < 9.2
    assert asked_gib(step, longer) == pytest.approx(asked_gib(step, few), rel=0.02)


def test_a_word_that_tells_peaks_apart_is_followed() -> None:
    """Large models take 30 GiB and small ones 2, whoever the user: each gets its own, an unknown one what is enough."""
    chance, step = random.Random(2), step_by_task()
    for _ in range(40):
        model, user = chance.choice(["small", "large"]), chance.choice(["ann", "bob", "eve"])
        learn(step, said(model=model, user=user), (30 if model == "large" else 2) * chance.uniform(0.98, 1.02))
    assert asked_gib(step, said(model="small", user="eve")) < 2.5
    assert 30 < asked_gib(step, said(model="large", user="eve")) < 34
    assert asked_gib(step, said(model="other", user="eve")) > 30


def test_what_says_nothing_of_memory_costs_nothing() -> None:
    """Numbers and words drawn by chance: failures and memory stay within a few per cent of a step without them."""
    chance = random.Random(3)
    plain, noisy, held = step_by_task(), step_by_task(), [0.0, 0.0]
    for _ in range(150):
        peak = chance.lognormvariate(1.0, 0.2)
        for place, (step, task) in enumerate(
            [(plain, ANY), (noisy, said(rows=chance.uniform(1, 1e6), who=chance.choice("abcd")))]
        ):
            sized = learn(step, task, peak)
            allocated = sized.request_bytes
            held[place] += allocated
            while allocated < peak * GIB:
                allocated = step.retry(sized, allocated)
                held[place] += allocated
    assert held[1] < held[0] * 1.05


def test_tasks_that_ran_out_of_memory_raise_the_request_and_lost_ones_less() -> None:
    """Ten tasks took 4 GiB. Three killed for memory at 6 move the request above it; three that were lost at 6 GiB do,
    too, as each had reached that; three lost at 1 GiB, where any task comes by, change next to nothing."""

    def after(stopped: list[Stopped]) -> float:
        step = step_by_task()
        for number in range(10):
            learn(step, ANY, 4.0 + 0.02 * (number % 3))
        step.learn_stopped(stopped)
        return asked_gib(step)

    assert after([Stopped(ANY, 6 * GIB)] * 3) > 6
    assert after([Stopped(ANY, 6 * GIB, ran_out=False)] * 3) > 6
    assert after([Stopped(ANY, 1 * GIB, ran_out=False)] * 3) == pytest.approx(after([]), rel=0.02)
    assert after([Stopped(ANY, 0.0, ran_out=False)] * 3) == after([])


def test_an_item_that_ran_out_of_memory_is_not_given_its_last_peak_again() -> None:
    """Items repeat themselves; after item b was killed at 5 GiB it gets more than that, item a what it always took."""
    step = step_by_task()
    for _ in range(10):
        for item, peak in (("a", 1.0), ("b", 3.0)):
            learn(step, Task(100 * GIB, item=item), peak)
    step.learn_stopped([Stopped(Task(100 * GIB, item="b"), 5 * GIB)])
    assert asked_gib(step, Task(100 * GIB, item="b")) > 5
    assert asked_gib(step, Task(100 * GIB, item="a")) < 1.2


def test_what_a_checkpoint_saves_is_not_charged() -> None:
    """Of peaks that vary, a step that loses a tenth of a failed attempt gets less than one that loses all of it."""
    chance = random.Random(4)
    peaks = [chance.lognormvariate(1.0, 0.3) for _ in range(40)]
    asked = []
    for lost in (0.1, 1.0):
        step = Workspace(settings=Settings(BALANCED)).step("flow", lost_share=lost)
        for peak in peaks:
            learn(step, ANY, peak)
        asked.append(asked_gib(step))
    assert asked[0] < 0.9 * asked[1]


def test_runs_that_need_half_of_what_they_did_are_followed_after_five() -> None:
    """One request a run: twelve runs of 4 GiB, then runs of 2 GiB. It stays for five of those, and falls after them."""
    step = Workspace(settings=static_settings(SAFE)).step("flow")
    for run in range(12):
        learn_run(step, [4.0 + 0.01 * ((run + task) % 3) for task in range(4)])
    asked = [learn_run(step, [2.0 + 0.005 * ((run + task) % 3) for task in range(4)]) for run in range(10)]
    assert min(asked[:5]) > 4
    assert max(asked[5:]) < 3


def test_runs_that_need_more_are_followed_at_once_and_without_what_was_before() -> None:
    """After one run of twice the memory the request is above it."""
    step = Workspace(settings=static_settings(BALANCED)).step("flow")
    for _ in range(12):
        learn_run(step, [4.0, 4.02, 3.99])
    assert learn_run(step, [8.0, 8.05]) < 8
    assert 8.05 < learn_run(step, [8.02, 8.01]) < 12


@pytest.mark.parametrize(("announced", "most_held"), [(True, 1.45), (False, 2.2)])
def test_a_new_version_of_the_code_needs_less_proof_that_it_needs_less(announced: bool, most_held: float) -> None:
    """Twenty tasks of 4 GiB, then ten of 2: where a new version was announced what they hold falls sooner."""
    step = step_by_task(SAFE)
    for _ in range(20):
        learn(step, Task(100 * GIB, code_version="1"), 4.0)
    new = Task(100 * GIB, code_version="2" if announced else "1")
    held = sum(learn(step, new, 2.0).request_bytes / GIB for _ in range(10)) / 20
    assert held < most_held
    assert announced or held > 1.45


def test_a_new_version_that_needs_the_same_forgets_nothing() -> None:
    """A release a task: no margin is wider for it."""
    asked = []
    for versions in (False, True):
        step = step_by_task()
        for number in range(30):
            learn(step, Task(100 * GIB, code_version=str(number) if versions else None), 4.0 + 0.01 * (number * 7 % 5))
        asked.append(asked_gib(step))
    assert asked[0] == pytest.approx(asked[1], rel=1e-9)
