"""Numbers that `@resources` takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.analyzer.sizing.rounding import cpu_quantile, round_up_mb, stretch, whole_cores
from stepsize.analyzer.usage import CpuBucket
from stepsize.model import CPU_BUCKET_MIN, cpu_bucket, cpu_bucket_upper
from tests.analyzer.rows import MB


@pytest.mark.parametrize(
    ("size_mb", "expected"),
    [
        (0, 10),
        (1, 10),
        (10, 10),
        (601, 610),
        (999.5, 1000),
        (1000, 1000),
        (1001, 1050),
        (500 * 1.2, 600),
        (10_001, 10_500),
    ],
)
def test_sizes_round_up_to_steps_that_a_person_would_write(size_mb: float, expected: int) -> None:
    """10 MB below 1 GB, 50 below 10 GB, 500 below 100 GB."""
    assert round_up_mb(size_mb * MB) == expected


@given(st.floats(0, 10**15), st.floats(0, 10**15))
def test_rounding_never_falls_below_nor_far_above_and_keeps_order(first: float, second: float) -> None:
    """At least the size, at most a twentieth or the smallest step above it."""
    low, high = sorted((first, second))
    assert round_up_mb(low) <= round_up_mb(high)
    rounded_bytes = round_up_mb(first) * MB
    assert rounded_bytes >= first * (1 - 1e-6)
    assert rounded_bytes <= max(first * 1.05, first + 10 * MB) + MB


@given(st.floats(0.001, 1000))
def test_cores_are_whole_and_leave_at_most_a_tenth_uncovered(cores: float) -> None:
    """A single-threaded process that sampling shows at 1.09 cores is given one."""
    asked = whole_cores(cores)
    assert asked >= 1
    assert cores / asked <= 1.1 + 1e-6
    assert asked - 1 < max(1.0, cores)


@given(
    st.dictionaries(st.integers(CPU_BUCKET_MIN, 192), st.floats(0.01, 1e5), min_size=1, max_size=20), st.floats(0.01, 1)
)
def test_a_quantile_is_enough_for_its_share_of_the_time_and_the_bucket_below_is_not(
    seconds: dict[int, float], share: float
) -> None:
    """By the definition of a quantile, weighted by time."""
    cores = cpu_quantile([CpuBucket(bucket, spent) for bucket, spent in seconds.items()], share)
    assert cores is not None
    total_s = sum(seconds.values())
    assert sum(spent for bucket, spent in seconds.items() if cpu_bucket_upper(bucket) <= cores) >= share * total_s * (
        1 - 1e-9
    )
    assert sum(spent for bucket, spent in seconds.items() if cpu_bucket_upper(bucket) < cores) < share * total_s * (
        1 + 1e-9
    )


def test_no_time_has_no_quantile() -> None:
    """Not seen is not zero."""
    assert cpu_quantile([], 0.95) is None
    assert cpu_quantile([CpuBucket(3, 0.0)], 0.95) is None


def test_work_above_a_limit_takes_longer_in_proportion() -> None:
    """A second at eight cores is four at two; what fits takes as long as before."""
    at_eight, at_one = CpuBucket(cpu_bucket(8.0), 1.0), CpuBucket(cpu_bucket(1.0), 1.0)
    assert stretch([at_eight], 2) == pytest.approx(4)
    assert stretch([at_eight, at_one], 2) == pytest.approx(2.5)
    assert stretch([at_one], 2) == 1
    assert stretch([], 2) == 1
