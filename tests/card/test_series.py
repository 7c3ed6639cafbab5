"""How values over time are kept in a bounded number of places."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from stepsize.card.series import PLACES, Envelope

VALUES = st.floats(-1e12, 1e12)
MOMENTS = st.lists(st.tuples(st.floats(0, 1e6), VALUES), min_size=1, max_size=600)


def envelope_of(points: list[tuple[float, float]], start_s: float = 0.0) -> Envelope:
    found = Envelope(start_s)
    for time_s, value in points:
        found.add(time_s, value)
    return found


@given(MOMENTS)
def test_no_peak_is_lost_and_every_value_is_within_its_span(points: list[tuple[float, float]]) -> None:
    """However many there are: the span around a moment reaches from below its value to above it."""
    points.sort()
    found = envelope_of(points)
    assert found.highest == max(value for _, value in points)
    spans = {middle_s: span for run in found.runs(math.inf) for middle_s, span in run}
    for time_s, value in points:
        middle_s = (math.floor(time_s / found.span_s) + 0.5) * found.span_s
        assert spans[middle_s].lowest <= value <= spans[middle_s].highest


@given(MOMENTS)
def test_places_are_bounded_and_nothing_is_invented(points: list[tuple[float, float]]) -> None:
    """Each span's extremes are values that came, and there are never more spans than places."""
    points.sort()
    found = envelope_of(points)
    values = {value for _, value in points}
    spans = [span for run in found.runs(math.inf) for _, span in run]
    assert len(spans) <= PLACES
    assert all(span.lowest in values and span.highest in values for span in spans)


def test_a_week_at_a_second_keeps_at_least_half_of_the_places() -> None:
    """Neighbours are merged only as far as they have to be, and one peak of a second is still there."""
    found = Envelope(1000.0)
    for second in range(7 * 8_640):  # every tenth second of a week
        found.add(1000.0 + 10 * second, 9.0 if second == 4_321 else 1.0)
    spans = [span for run in found.runs(0.0) for _, span in run]
    assert PLACES / 2 <= len(spans) <= PLACES
    assert [span.highest for span in spans].count(9.0) == 1


def test_what_could_not_be_read_leaves_a_gap() -> None:
    """NaN is no value, and stretches on both sides of a long pause are apart."""
    found = envelope_of([(0.0, 1.0), (1.0, 2.0), (2.0, math.nan), (20.0, 3.0), (21.0, 4.0)])
    assert [[span.highest for _, span in run] for run in found.runs(5.0)] == [[1.0, 2.0], [3.0, 4.0]]


def test_a_value_from_before_the_start_counts_at_the_start() -> None:
    """A clock that was set back loses nothing."""
    found = envelope_of([(90.0, 7.0), (101.0, 1.0)], start_s=100.0)
    assert found.highest == 7.0
    assert next(iter(found.runs(5.0)))[0][0] < 1
