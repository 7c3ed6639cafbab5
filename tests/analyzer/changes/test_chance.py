"""How likely as many failures come by chance."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.analyzer.changes.chance import chance_of_more


def exact(count: int, of: int, count_before: int, of_before: int) -> float:
    failures, attempts = count + count_before, of + of_before
    ways = sum(
        math.comb(failures, more) * math.comb(attempts - failures, of - more)
        for more in range(count, min(of, failures) + 1)
        if 0 <= of - more <= attempts - failures
    )
    return ways / math.comb(attempts, of)


@given(st.data())
def test_it_is_the_exact_one(data: st.DataObject) -> None:
    """Counted in whole numbers."""
    of, of_before = data.draw(st.integers(1, 40)), data.draw(st.integers(0, 200))
    count, count_before = data.draw(st.integers(0, of)), data.draw(st.integers(0, of_before))
    found = chance_of_more(count, of, count_before, of_before)
    assert found == pytest.approx(exact(count, of, count_before, of_before), rel=1e-6, abs=1e-12)


def test_millions_of_attempts_take_no_time() -> None:
    """The sum ends where nothing more comes."""
    assert chance_of_more(5_000, 100_000, 10_000, 1_000_000) < 1e-9
    assert chance_of_more(1_000, 100_000, 10_000, 1_000_000) == pytest.approx(0.5, abs=0.02)
