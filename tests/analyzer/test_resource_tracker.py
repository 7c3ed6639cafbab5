"""resource-tracker's rules, with the examples of its documentation and values that its release computes."""

from __future__ import annotations

import pytest

from stepsize.analyzer.sizing.resource_tracker import ResourceTrackerPolicy, round_memory_mib
from tests.analyzer.rows import attempt, evidence, tasks

POLICY = ResourceTrackerPolicy()
MIB = 2**20


@pytest.mark.parametrize(
    ("size_mib", "expected"),
    [
        (68, 128),
        (128, 128),
        (129, 256),
        (300, 512),
        (896, 1024),
        (1025, 2048),
        (2049, 3072),
        (3863, 4096),
        (4096, 4096),
    ],
)
def test_memory_steps_are_its_own(size_mib: float, expected: int) -> None:
    """`round_memory` of resource-tracker 0.5.0: doubling to 2048, then the next whole GiB."""
    assert round_memory_mib(size_mib) == expected


@pytest.mark.parametrize(("means", "expected"), [((0.2,), 1), ((1.5,), 2), ((2.5,), 2), ((3.5,), 4), ((1.0, 4.0), 2)])
def test_cpu_is_the_mean_rounded_half_to_even(means: tuple[float, ...], expected: int) -> None:
    """The mean of the attempts' means, at least one."""
    seen = [attempt(task=str(number), cpu_mean=mean) for number, mean in enumerate(means)]
    assert POLICY.recommend(evidence(*seen)).cpu.value == expected


def test_memory_and_vram_are_the_highest_with_a_fifth_on_top() -> None:
    """550 MiB make 660, rounded 1024; it lowers from one task on."""
    answer = POLICY.recommend(evidence(attempt(memory_peak_bytes=550 * MIB, gpu_memory_peak_bytes=9000 * MIB)))
    assert (answer.memory_mb.value, answer.vram_mb.value) == (1024, 11_264)


@pytest.mark.parametrize(("mean", "highest", "expected"), [(0.3, 0.4, 1), (1.2, 2.7, 3), (0.0, 0.0, 0)])
def test_gpus_are_the_highest_use_rounded(mean: float, highest: float, expected: int) -> None:
    """At least one where any was used, none where none was."""
    answer = POLICY.recommend(evidence(*tasks([600], gpu_utilization_mean=mean, gpu_utilization_max=highest)))
    assert answer.gpu.value == expected
