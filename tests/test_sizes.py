"""Sizes are read as people write them, and anything else is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.errors import UsageError
from stepsize.sizes import MIB, format_mib, gb_hours, parse_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("8GiB", 8 * 2**30),
        ("512MB", 512 * 10**6),
        ("512", 512 * 10**6),
        ("0", 0),
        ("1.5T", 1_500_000_000_000),
        (" 8 Gi ", 8 * 2**30),
        ("8gib", 8 * 2**30),
        ("64k", 64_000),
        ("100B", 100),
        (".5GiB", 2**29),
        ("4e3", 4 * 10**9),
        ("1PiB", 2**50),
        ("0.3B", 1),
    ],
)
def test_sizes_are_read(text: str, size_bytes: int) -> None:
    """Binary and decimal suffixes, with or without B; a bare number is MB; parts of a byte round up."""
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    "text", ["", "x", "-5", "8XB", "8GiBB", "GiB", "1,5GB", "8Gib/s", "nan", "inf", "1e999", "1e300"]
)
def test_other_text_is_refused(text: str) -> None:
    """Text that is no size is wrong usage, and the message shows how to write one."""
    with pytest.raises(UsageError, match="8GiB"):
        parse_size(text)


@given(st.integers(0, 2**50), st.sampled_from([("", 10**6), ("MiB", 2**20), ("GB", 10**9), ("Ki", 1024), ("B", 1)]))
def test_whole_numbers_are_exact(number: int, unit: tuple[str, int]) -> None:
    """A whole number of any unit is that many bytes, as far as a double counts them."""
    suffix, factor = unit
    assert parse_size(f"{number}{suffix}") == pytest.approx(number * factor, rel=1e-15)


@given(st.floats(0, 2**40))
def test_formatted_sizes_are_read_back(memory_mib: float) -> None:
    """What is printed reads back as the same size to two decimals of its unit."""
    assert parse_size(format_mib(memory_mib)) / MIB == pytest.approx(memory_mib, rel=0.0051, abs=0.0051)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0, "0 GB·h"), (0.0253, "0.0253 GB·h"), (1e-5, "under 0.001 GB·h"), (12345.6, "12,346 GB·h")],
)
def test_waste_is_never_an_exponent(value: float, expected: str) -> None:
    """Three digits."""
    assert gb_hours(value) == expected
