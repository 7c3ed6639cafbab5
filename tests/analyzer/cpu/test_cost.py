"""The number of cores that is chosen, whatever the use."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stepsize.analyzer.sizing.cpu import BALANCED, CHEAP, PRESETS, SAFE, CpuSettings, advise, preset, size
from stepsize.analyzer.usage import StepEvidence
from stepsize.errors import UsageError
from tests.analyzer.cpu.steps import step
from tests.analyzer.rows import attempt, evidence

uses = st.dictionaries(st.floats(0.01, 100), st.floats(1, 1e4), min_size=1, max_size=8)
requests = st.one_of(st.none(), st.sampled_from([0.5, 1.0, 2.0, 4.0, 16.0, 96.0]))
prices = st.floats(0, 1000)
throttled = st.one_of(st.none(), st.floats(0, 1e4))


def settings(waiting_cores: float, budget: float | None = None) -> CpuSettings:
    return CpuSettings(name="test", waiting_cores=waiting_cores, budget=budget)


def asked(found: StepEvidence, by: CpuSettings = SAFE) -> float:
    """Cores that the step will have."""
    cores = size(found, by).cores
    assert cores is not None
    return cores


@given(uses, requests, throttled, prices, prices)
def test_a_higher_price_of_waiting_never_takes_cores_away(
    use: dict[float, float], requested: float | None, throttled_s: float | None, one: float, other: float
) -> None:
    """Whatever was used, asked for and throttled."""
    found = step(use, requested, throttled_s=throttled_s, host_cpus=128)
    low, high = sorted((one, other))
    assert asked(found, settings(low)) <= asked(found, settings(high))


@given(uses, requests, prices, st.sampled_from([2.0, 8.0, 1024.0]))
def test_only_shares_of_the_time_count(
    use: dict[float, float], requested: float | None, price: float, factor: float
) -> None:
    """A step that takes a thousand times as long, in the same way, gets the same cores."""
    longer = {cores: seconds * factor for cores, seconds in use.items()}
    assert asked(step(use, requested), settings(price)) == asked(step(longer, requested), settings(price))


@given(st.lists(st.tuples(st.floats(0.1, 32), st.floats(2, 1e4)), min_size=2, max_size=8), requests, st.randoms())
def test_the_order_of_the_evidence_does_not_matter(
    found: list[tuple[float, float]], requested: float | None, chance: object
) -> None:
    """Neither of attempts nor of buckets."""
    attempts = [
        attempt(task=str(n), cpu_seconds=cores * seconds, duration_s=seconds, cpu_max=cores, requested_cpu=requested)
        for n, (cores, seconds) in enumerate(found)
    ]
    whole = evidence(*attempts, cores=dict(found))
    chance.shuffle(attempts)  # type: ignore[attr-defined] # a random.Random
    shuffled = replace(whole, attempts=tuple(attempts), cpu_histogram=tuple(reversed(whole.cpu_histogram)))
    assert size(whole).cores == size(shuffled).cores
    assert size(whole).run_time_s == pytest.approx(size(shuffled).run_time_s or 0.0)


@given(uses, st.sampled_from([1.0, 2.0, 4.0, 16.0]), prices, st.floats(0.02, 1))
def test_a_throttled_step_never_falls(use: dict[float, float], requested: float, price: float, share: float) -> None:
    """What it used is not what it could have used, at whatever price."""
    throttled_s = share * sum(use.values())
    assert asked(step(use, requested, count=9, throttled_s=throttled_s), settings(price)) >= requested


@given(uses, requests)
def test_no_more_is_asked_for_than_was_used_or_asked_for(use: dict[float, float], requested: float | None) -> None:
    """Without a quota, cores beyond the highest use would stand idle."""
    assert asked(step(use, requested), settings(1e6)) <= max(math.ceil(max(use) * 1.05), requested or 1)


@given(uses, st.floats(1, 4), st.floats(1, 4))
def test_a_larger_budget_is_never_slower(use: dict[float, float], one: float, other: float) -> None:
    """And the core time stays within the budget, where nothing else is held."""
    small, large = sorted((one, other))
    found = step(use, None, memory_peak_bytes=None)
    fast, slow = size(found, settings(0, large)), size(found, settings(0, small))
    cheapest = size(found, settings(0, 1.0))
    assert fast.run_time_s is not None
    assert slow.run_time_s is not None
    assert cheapest.run_time_s is not None
    assert fast.run_time_s <= slow.run_time_s * (1 + 1e-6)
    core_s = (fast.cores or 0) * fast.run_time_s
    assert core_s <= large * (cheapest.cores or 0) * cheapest.run_time_s * (1 + 1e-6)


def test_small_steps_get_what_they_ever_use_and_large_ones_what_they_keep_busy() -> None:
    """A tenth of the time at twice the cores: the second core costs little, sixteen more cost much."""
    assert asked(step({1.0: 90, 2.0: 10}, None), BALANCED) == 2
    assert 16 <= asked(step({16.0: 90, 32.0: 10}, None), BALANCED) < 32


def test_of_numbers_that_cost_the_same_the_fewest_are_taken() -> None:
    """Four cores for a minute hold as much as one for four, where nobody waits and nothing else is held; only within a
    budget is it the fastest of them."""
    even = step({4.0: 60}, None, memory_peak_bytes=None)
    assert (asked(even, settings(0)), asked(even, settings(0, 1.0))) == (1, 4)


def test_presets_go_from_few_cores_to_many() -> None:
    """The same names as those of memory."""
    found = step({1.0: 70, 16.0: 10, 4.0: 20}, None)
    cheap, balanced, safe = (asked(found, each) for each in (CHEAP, BALANCED, SAFE))
    assert cheap < balanced < safe
    assert list(PRESETS) == ["cheap", "balanced", "safe"]
    assert preset("balanced") is BALANCED
    assert preset("a policy of one's own") is SAFE


def test_the_fastest_within_a_budget() -> None:
    """Half of the time at eight cores: at twice the cheapest core time two are in reach, at four times all eight."""
    found = step({1.0: 50, 8.0: 50}, None, memory_peak_bytes=None)
    assert asked(found, settings(0, 1.0)) == 1
    assert asked(found, settings(0, 1.2)) == 2
    assert asked(found, settings(0, 4.0)) == 8
    assert asked(step({1.0: 99, 8.0: 0.1}, None, memory_peak_bytes=None), settings(0, 8.0)) == 1  # 0.7 % longer
    cheapest, fast = (" ".join(size(found, settings(0, budget)).advice.reasons) for budget in (1.0, 1.2))
    assert "1 core costs least a task." in cheapest
    assert "A task costs 1.11 times what it does on 1 core, the least; the budget is 1.2." in fast


@pytest.mark.parametrize(
    ("waiting_cores", "budget"),
    [(-1.0, None), (math.inf, None), (math.nan, None), (1.0, 0.9), (1.0, math.inf), (1.0, math.nan)],
)
def test_settings_that_mean_nothing_are_refused(waiting_cores: float, budget: float | None) -> None:
    """A negative price, a budget that not even the cheapest fits."""
    with pytest.raises(UsageError, match="must be"):
        settings(waiting_cores, budget)


@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_nonsense_is_survived_in_reasonable_time(seconds: float) -> None:
    """A million cores by a broken clock, on a host of unknown size."""
    broken = step({1.0: 60}, 1.0, cpu_seconds=1e9, duration_s=1.0 + seconds, cpu_max=1.0)
    assert advise(broken).value is not None


@example(use={11.0: 1.0}, price=0.0, one=106, other=187, gpus=0.0)  # bytes: a tie, but for rounding
@given(uses, prices, st.integers(0, 10**12), st.integers(0, 10**12), st.sampled_from([0.0, 1.0, 8.0]))
def test_what_is_held_beside_the_cores_never_takes_any_away(
    use: dict[float, float], price: float, one: int, other: int, gpus: float
) -> None:
    """Whatever takes longer on fewer cores holds it for longer."""
    small, large = sorted((one, other))
    little, much = (
        step(use, None, memory_peak_bytes=peak, gpu_count=count) for peak, count in ((small, 0.0), (large, gpus))
    )
    for by in (settings(price), settings(0, 1.0)):
        assert asked(little, by) <= asked(much, by)


def test_a_gpu_does_not_wait_for_the_cores_that_feed_it() -> None:
    """Two thirds of its time at eight cores: alone it costs least on one, with a GPU on all eight."""

    def fed(**values: float | None) -> StepEvidence:
        return step({1.0: 30, 8.0: 60}, None, **{"memory_peak_bytes": 8e7, **values})

    cheapest = settings(0, 1.0)
    assert asked(fed(gpu_count=0.0), cheapest) == 1
    assert asked(fed(requested_gpu=1.0, gpu_count=0.0), cheapest) == 1
    assert asked(fed(requested_gpu=1.0), cheapest) == 8  # nothing tells whether it was used
    assert asked(fed(gpu_count=1.0), cheapest) == 8
    said = " ".join(size(fed(gpu_count=1.0, memory_peak_bytes=4e9), cheapest).advice.reasons)
    assert (
        "Fewer than 8 cores would hold 1 GPU and 4 GB of memory for longer, which cost as much as 12.5 cores." in said
    )
    assert "8 cores cost least a task." in said


def test_gpus_that_the_step_no_longer_asks_for_are_not_held() -> None:
    """Eight until yesterday, one today; where nothing that asked for one has ended, it is the one asked for."""
    seen = step({1.0: 30, 8.0: 60}, None, memory_peak_bytes=8e7, requested_gpu=8.0, gpu_count=8.0).attempts
    later = {"task": "new", "requested_gpu": 1.0, "started_at_s": 2e9}
    for newest in (attempt(gpu_count=1.0, **later), attempt(outcome=None, **later)):
        said = " ".join(size(evidence(*seen, newest, cores={1.0: 30, 8.0: 60}), settings(0, 1.0)).advice.reasons)
        assert "hold 1 GPU and" in said


def test_memory_is_held_for_as_long_as_a_task_runs() -> None:
    """A hundred GB cost as much as a dozen cores; what costs less than one is not worth a sentence."""
    large, small = (step({1.0: 60, 8.0: 60}, None, memory_peak_bytes=peak) for peak in (100 * 10**9, 10**9))
    assert asked(large, settings(0, 1.0)) == 8
    said, little = (" ".join(size(found, settings(0, 1.0)).advice.reasons) for found in (large, small))
    assert "would hold 100 GB of memory for longer, which cost as much as 12.5 cores" in said
    assert "would hold" not in little
