"""The geometry of charts: what is seen is what was measured."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stepsize.analyzer.formats.html_charts import nice
from stepsize.card.charts import HEIGHT, WIDTH, Line, draw
from stepsize.card.series import Envelope

POINTS = st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 1e13)), min_size=1, max_size=300)


def curve(points: list[tuple[float, float]]) -> Envelope:
    found = Envelope(0.0)
    for time_s, value in points:
        found.add(time_s, value)
    return found


def places(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"([-\d.e+]+),([-\d.e+]+)", path)]


@given(POINTS)
@example([(0.0, 5e-324)])
def test_the_highest_value_is_on_the_curve_and_all_of_it_is_in_the_picture(points: list[tuple[float, float]]) -> None:
    """At the height that the axis gives it, to a tenth of a unit of the picture."""
    points.sort()
    chart = draw([("task", "task", curve(points))], [], span_s=1.0)
    assert chart is not None
    seen = places(chart.drawings[0].outline)
    highest = max(value for _, value in points)
    assert min(y for _, y in seen) == pytest.approx(HEIGHT * (1 - highest / chart.upper), abs=0.051)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in seen)
    assert [x for x, _ in seen] == sorted(x for x, _ in seen)


@given(st.floats(1e-6, 1e15))
def test_the_axis_ends_at_a_round_number_that_is_not_far_above(value: float) -> None:
    """At most twice the value."""
    assert value <= nice(value) * (1 + 1e-9) <= 2.001 * value


def test_nothing_is_drawn_of_nothing() -> None:
    """No value, no chart; zeros are values."""
    assert draw([("task", "task", curve([]))], [], span_s=10.0) is None
    idle = draw([("task", "task", curve([(0, 0.0), (5, 0.0)]))], [], span_s=10.0)
    assert idle is not None
    assert {y for _, y in places(idle.drawings[0].outline)} == {float(HEIGHT)}


def test_lines_are_drawn_where_they_do_not_flatten_the_curve() -> None:
    """A request of twice the use is seen; a host of fifty times is left to the words."""
    found = draw(
        [("task", "task", curve([(0, 1.0), (9, 2.0)]))], [Line("asked", "asked", 4), Line("host", "limit", 100)], 10.0
    )
    assert found is not None
    assert [mark.label for mark in found.marks] == ["asked"]
    assert found.marks[0].y == pytest.approx(HEIGHT * (1 - 4 / found.upper), abs=0.051)


def test_a_single_sample_can_be_seen() -> None:
    """It is a stretch, not a point."""
    found = draw([("task", "task", curve([(3, 1.0)]))], [], span_s=10.0)
    assert found is not None
    seen = places(found.drawings[0].outline)
    assert len(seen) == 2
    assert seen[0][0] < seen[1][0]


def test_a_gap_is_a_gap() -> None:
    """Two strokes, none between them."""
    found = draw([("task", "task", curve([(0, 1.0), (1, 1.0), (50, 1.0), (51, 1.0)]))], [], span_s=60.0)
    assert found is not None
    assert found.drawings[0].outline.count("M") == 2
