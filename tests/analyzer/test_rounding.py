"""Numbers that `@resources` takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.analyzer.sizing.rounding import (
    covers,
    round_up_binary,
    round_up_mb,
    round_up_s,
    two_figures,
    whole_cores,
)
from stepsize.model import cpu_bucket_upper
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


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        (0.0, 1),
        (1.0, 1),
        (cpu_bucket_upper(2), 1),  # 1.09: a single thread whose sample fell into the bucket above
        (1.2, 2),
        (3.6, 4),
        (8.1, 8),
        (10.9, 11),
        (22.0, 22),
        (44.0, 44),
        (64.0, 64),
        (96.0, 96),
    ],
)
def test_cores_round_up_but_for_what_measuring_may_add(cores: float, expected: int) -> None:
    """A tenth of a core by sampling, 4.4 % by the width of a bucket."""
    assert whole_cores(cores) == expected


@given(st.floats(0, 4096), st.floats(0, 4096))
def test_whole_cores_drop_at_most_a_fraction_and_keep_order(first: float, second: float) -> None:
    """Never a whole core that was in use, nor more of a part than measuring may have added; never one too many."""
    low, high = sorted((first, second))
    assert whole_cores(low) <= whole_cores(high)
    asked = whole_cores(first)
    assert asked >= 1
    assert first - asked < 1
    assert first <= (asked + 0.1) * 1.045
    assert asked - 1 < max(1.0, first)


@given(st.one_of(st.integers(1, 512), st.floats(0.1, 1)), st.floats(0, 600))
def test_what_a_request_covers_is_at_most_what_measuring_may_add(requested: float, cores: float) -> None:
    """All that rounds to it, and no more than a tenth of a core (of a small request) and 4.4 % above it."""
    if covers(requested, cores):
        assert cores <= (requested + 0.1 * min(1, requested)) * 1.045
    elif requested >= 1:
        assert whole_cores(cores) > requested


@given(st.floats(0, 10**12), st.floats(0, 10**12))
def test_mebibytes_keep_powers_of_two_and_never_fall_below(first: float, second: float) -> None:
    """At least the size, at most a sixteenth or 16 MiB above it; what is rounded stays, and so does 4096."""
    low, high = sorted((first, second))
    assert round_up_binary(low) <= round_up_binary(high)
    rounded = round_up_binary(first)
    assert first * (1 - 1e-6) <= rounded <= max(first * 1.0626, first + 16)
    assert round_up_binary(rounded) == rounded
    assert [round_up_binary(size) for size in (0, 17, 513, 4096, 4097)] == [16, 32, 544, 4096, 4352]


@pytest.mark.parametrize(
    ("duration_s", "expected_s"),
    [
        (0, 60),
        (61, 90),
        (121, 180),
        (9 * 60 + 1, 600),
        (601, 15 * 60),
        (3601, 75 * 60),
        (4 * 3600 + 1, 4.5 * 3600),
        (12 * 3600 + 1, 13 * 3600),
        (48 * 3600 + 1, 54 * 3600),
    ],
)
def test_times_round_up_to_what_a_person_would_write(duration_s: float, expected_s: float) -> None:
    """Half minutes, minutes, 5 and 15 minutes, half hours, hours, quarters of a day."""
    assert round_up_s(duration_s) == expected_s


@given(st.floats(0, 10**7), st.floats(0, 10**7))
def test_times_never_fall_below_keep_order_and_stay_once_rounded(first: float, second: float) -> None:
    """At least the time and a minute; at most half as much again, or a minute."""
    low, high = sorted((first, second))
    assert round_up_s(low) <= round_up_s(high)
    rounded = round_up_s(first)
    assert first * (1 - 1e-6) <= rounded <= max(60, first * 1.5)
    assert round_up_s(rounded) == rounded


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (0.0004, "under 0.001"),
        (0.0123, "0.012"),
        (0.999, "1"),
        (3.44, "3.4"),
        (9.96, "10"),
        (137.0, "140"),
        (4812.0, "4,800"),
        (1e7, "10,000,000"),
    ],
)
def test_what_is_expected_is_told_in_two_figures(value: float, expected: str) -> None:
    """Never an exponent, never a zero for what is not none."""
    assert two_figures(value) == expected
