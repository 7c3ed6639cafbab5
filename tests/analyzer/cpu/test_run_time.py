"""The run time that is expected, by use, by what a quota withheld, and by Amdahl's law."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.analyzer.sizing.cpu import SAFE, CpuSettings, size
from stepsize.analyzer.sizing.cpu.advice import run_time_of
from stepsize.analyzer.sizing.cpu.amdahl import Amdahl
from stepsize.analyzer.sizing.cpu.run_time import RunTime
from stepsize.analyzer.usage import Attempt, StepEvidence
from stepsize.model import Outcome
from tests.analyzer.cpu.steps import step
from tests.analyzer.rows import attempt, evidence


def run_time(found: StepEvidence) -> RunTime:
    law = run_time_of(found)
    assert law is not None
    return law


def reasons(found: StepEvidence, settings: CpuSettings = SAFE) -> str:
    return " ".join(size(found, settings).advice.reasons)


def test_work_above_the_cores_is_spread_over_them() -> None:
    """A second at eight cores becomes four at two, during which the step is short of cores."""
    law = run_time(step({1.0: 60, 8.0: 60}))
    assert law.stretch(8) == pytest.approx(1)
    assert law.held_back(8) == 0
    assert law.stretch(2) == pytest.approx((60 + 240) / 120)
    assert law.held_back(2) == pytest.approx(240 / 120)


@given(
    st.dictionaries(st.floats(0.01, 64), st.floats(1, 1e4), min_size=1, max_size=6),
    st.floats(0.1, 80),
    st.floats(0.1, 80),
    st.one_of(st.none(), st.floats(0, 1e5)),
)
def test_more_cores_never_make_it_slower(
    use: dict[float, float], one: float, other: float, throttled_s: float | None
) -> None:
    """Nor short of cores for longer."""
    law = run_time(step(use, throttled_s=throttled_s, host_cpus=64, cpu_limit=4.0))
    few, many = sorted((one, other))
    assert law.stretch(many) <= law.stretch(few) * (1 + 1e-9)
    assert law.held_back(many) <= law.held_back(few) * (1 + 1e-9) + 1e-12


def test_cpu_time_that_samples_missed_counts() -> None:
    """Samples saw an idle step; its CPU time says two cores, of which one makes it take twice as long."""
    law = run_time(step({0.1: 60}, cpu_seconds=40.0, duration_s=20.0))
    assert law.stretch(1) == pytest.approx(2, rel=0.01)
    assert law.stretch(2) == pytest.approx(1, rel=0.01)


def test_what_only_measuring_may_have_added_costs_nothing() -> None:
    """Samples of a little more than one core, of a step whose CPU time says one."""
    found = step({1.08: 60}, cpu_seconds=20.0)
    assert run_time(found).stretch(1) == 1
    assert size(found).cores == 1


def test_throttled_seconds_are_the_cores_that_were_missing() -> None:
    """Half of the time at a quota of two, half a second throttled each second of it: three would have been used.

    A third of that time goes then, and on two cores it is as it was.
    """
    found = step({0.5: 60, 2.0: 60}, 2.0, throttled_s=20.0, cpu_limit=2.0, host_cpus=16)
    law = run_time(found)
    assert law.stretch(2) == pytest.approx(1, rel=0.01)
    assert law.stretch(3) == pytest.approx((60 + 40) / 120, rel=0.01)
    sized = size(found)
    assert (sized.cores, sized.advice.value) == (3, 3)
    assert sized.throttled_share == pytest.approx(0.5)
    assert sized.requested_run_time_s == pytest.approx(40, rel=0.01)
    assert sized.run_time_s == pytest.approx(100 / 3, rel=0.01)
    assert "A quota held it back for 50% of the run time" in reasons(found)


def test_throttling_alone_never_asks_for_more_than_twice_the_quota() -> None:
    """Sixty-four threads under a quota of two are throttled for all of their time, and would not all help."""
    found = step({2.0: 60}, 2.0, throttled_s=1200.0, cpu_limit=2.0, host_cpus=64)
    assert size(found).cores == 4
    assert size(step({2.0: 60}, 2.0, throttled_s=1200.0, cpu_limit=2.0, host_cpus=3)).cores == 3


def test_a_quota_of_yesterday_raises_nothing_any_more() -> None:
    """Three tasks were throttled at two cores; since eight are asked for, the step uses four of them."""
    before = step({2.0: 60}, 2.0, throttled_s=40.0, cpu_limit=2.0, host_cpus=16)
    since = step({4.0: 30}, 8.0, throttled_s=0.0, cpu_limit=8.0, host_cpus=16)
    later = [replace(one, task=f"later {one.task}", started_at_s=2e9) for one in since.attempts]
    both = replace(
        before,
        attempts=(*before.attempts, *later),
        cpu_histogram=(*before.cpu_histogram, *since.cpu_histogram),
    )
    assert size(both).cores == 4


def test_a_quota_that_held_nothing_back_changes_nothing() -> None:
    """A hundredth of the time: less than anybody would notice."""
    assert size(step({1.0: 60}, throttled_s=0.2)).cores == 1


def test_a_quota_keeps_a_request_that_use_would_lower() -> None:
    """And says so, as what holds it."""
    sized = size(step({1.0: 60}, throttled_s=5.0))
    assert sized.advice.value is None
    assert sized.advice.held == "CPU stays at 8: a quota held it back for 25% of the run time."
    assert sized.advice.held in sized.advice.reasons


def on(cores: int, durations: list[float], **values: object) -> list[Attempt]:
    """Tasks on hosts of so many cores, all of which they used."""
    first = attempt(host_cpus=cores, cpu_max=float(cores), cpu_seconds=None, requested_cpu=4.0)
    return [
        replace(first, task=f"{cores}/{n}", duration_s=each, **values)  # type: ignore[arg-type] # fields
        for n, each in enumerate(durations)
    ]


def tried(*attempts: Attempt) -> StepEvidence:
    return evidence(*attempts, cores={2.0: 100, 4.0: 100, 8.0: 100})


def test_attempts_on_different_cores_give_the_law() -> None:
    """20 s that no core shortens and 160 s on one core, as run times on 2, 4 and 8 cores show."""
    attempts = [*on(2, [99, 100, 101]), *on(4, [59, 60, 61]), *on(8, [39, 40, 41])]
    law = run_time(tried(*attempts))
    assert isinstance(law, Amdahl)
    assert law.serial_s == pytest.approx(20, rel=0.02)
    assert law.parallel_s == pytest.approx(160, rel=0.02)
    assert law.tried == (2, 4, 8)
    sized = size(tried(*attempts))
    assert sized.run_time_s == pytest.approx(20 + 160 / (sized.cores or 1), rel=0.02)
    assert sized.requested_run_time_s == pytest.approx(60, rel=0.02)
    assert "no core shortens 11% of what it takes on one" in " ".join(sized.advice.reasons)


@pytest.mark.parametrize(
    "attempts",
    [
        [*on(2, [100, 100, 100]), *on(4, [60, 60])],  # two tasks are no mean
        [*on(2, [40, 100, 160]), *on(4, [40, 90, 150])],  # no difference beyond chance
        [*on(2, [60, 60, 61]), *on(4, [100, 100, 101])],  # slower on more cores
        [*on(2, [100, 100, 100]), *on(4, [60, 60, 60], cpu_max=1.0)],  # it could not use them
        [*on(2, [100, 100, 100]), *on(4, [60, 60, 60], outcome=Outcome.FAILED)],  # half a task says nothing
        on(4, [60, 61, 62, 63]),
    ],
)
def test_no_law_where_the_data_do_not_allow_one(attempts: list[Attempt]) -> None:
    """The use over time has to do then."""
    assert not isinstance(run_time(tried(*attempts)), Amdahl)


def test_faster_than_the_law_allows_is_all_parallel() -> None:
    """No part of a run time is negative."""
    law = run_time(tried(*on(2, [100, 101, 102]), *on(4, [30, 31, 32])))
    assert isinstance(law, Amdahl)
    assert law.serial_s == 0
    assert law.stretch(3) > 0


def test_below_the_cores_that_were_tried_the_use_decides() -> None:
    """Sixteen cores are hardly faster than eight. One would be eight times as slow, where the law says a third."""
    law = run_time(evidence(*on(8, [99, 100, 101]), *on(16, [94, 95, 96]), cores={8.0: 300}))
    assert isinstance(law, Amdahl)
    assert law.stretch(1) == pytest.approx(8 * law.stretch(8))
    assert law.held_back(1) >= law.held_back(2) >= law.held_back(8) >= law.held_back(16)
    assert law.stretch(7.9) == pytest.approx(law.stretch(8), rel=0.03)


def test_cores_beyond_those_tried_are_not_advised() -> None:
    """However cheap they were."""
    attempts = [*on(2, [100, 100, 101]), *on(4, [50, 50, 51])]
    assert size(tried(*attempts), CpuSettings(name="x", waiting_cores=1e6)).cores == 4


def test_the_run_time_is_told_for_the_advice_and_for_the_request() -> None:
    """As numbers and in a sentence; at a low price also why not more."""
    found = step({1.0: 90, 16.0: 30}, 1.0, host_cpus=16)
    sized = size(found, CpuSettings(name="thrifty", waiting_cores=4))
    assert sized.cores == 5
    assert sized.run_time_s == pytest.approx(30 + 32)
    assert sized.requested_run_time_s == pytest.approx(30 + 160)
    assert sized.held_back_share == pytest.approx(32 / 62)
    said = " ".join(sized.advice.reasons)
    assert (
        "On 5 cores a task takes about 62 s; it took 40 s as measured; held to the 1 asked for, about 3.17 min" in said
    )
    assert "to 'thrifty', a second short of cores costs as much as 4 core seconds" in said


def test_the_run_time_is_told_once() -> None:
    """Where a request stays and does no harm, it is the time; where it is what tasks had, they took what it takes."""
    assert "A task takes about 60 s." in reasons(step({1.0: 180}, 1.0))
    assert "On 1 core a task takes about 60 s, no longer than it took." in reasons(step({1.0: 180}, 4.0))
    throttled = reasons(step({1.0: 180}, 1.0, throttled_s=60.0, cpu_limit=1.0))
    assert "On 2 cores a task takes about 30 s; it took 60 s with the 1 asked for." in throttled


def test_all_of_it_may_be_parallel() -> None:
    """A law without a part that stays is told in words, the numbers of cores as a list."""
    attempts = [*on(2, [99, 100, 101]), *on(4, [49, 50, 51]), *on(8, [24, 25, 26])]
    assert "by the tasks that ran on 2, 4 and 8 cores, all of it is spread over them" in reasons(tried(*attempts))


def test_that_more_would_be_faster_is_said_however_little_one_more_core_does() -> None:
    """A thousand threads: the next core is a thousandth, all of them are half."""
    assert "More would shorten that" in reasons(
        step({1.0: 60, 1024.0: 60}, None), CpuSettings(name="x", waiting_cores=1)
    )


@given(
    st.floats(0, 0.9),
    st.floats(100, 1e4),
    st.lists(st.sampled_from([1, 2, 4, 8, 16, 32]), min_size=2, max_size=4, unique=True),
)
def test_a_program_that_obeys_the_law_is_expected_to(serial: float, alone_s: float, tried_on: list[int]) -> None:
    """Between the cores that it ran on and below them, whatever part of it is serial."""

    def true_s(cores: float) -> float:
        return alone_s * (serial + (1 - serial) / cores)

    attempts, levels = [], {1.0: 0.0}
    for cores in tried_on:
        attempts += on(cores, [true_s(cores) * factor for factor in (0.999, 1, 1.001)])
        levels[1.0] += 3 * alone_s * serial
        levels[float(cores)] = levels.get(float(cores), 0.0) + 3 * alone_s * (1 - serial) / cores
    law = run_time(evidence(*attempts, cores=levels))
    assert isinstance(law, Amdahl)
    for cores in (1, 2, 4, 8, 16, 32):
        if cores <= max(tried_on):
            assert law.stretch(cores) * law.measured_s == pytest.approx(true_s(cores), rel=0.02)


def test_a_run_time_is_told_without_an_exponent() -> None:
    """Sixty-four cores' work of a day, on half a core."""
    found = step({64.0: 3e5}, 0.5, host_cpus=64)
    assert "held to the 0.5 asked for, about 3,560 h" in reasons(found)
