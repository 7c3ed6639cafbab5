"""The names on the wire and in the lake."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.identity import thread_settings
from stepsize.model import (
    CPU_BUCKET_MAX,
    CPU_BUCKET_MIN,
    METRICS,
    TASK_COLUMNS,
    Identity,
    Request,
    cpu_bucket,
    cpu_bucket_upper,
    cpu_quantile,
)


def test_metric_names_follow_the_conventions() -> None:
    """Lower case, dots between name spaces, and only the roots that the contract names, and the agent's own."""
    for name in METRICS:
        assert re.fullmatch(r"(stepsize\.(task|agent)|container|system|hw)(\.[a-z_]+)+", name), name


def test_columns_are_named_once() -> None:
    """A column's name is its key."""
    names = [column.name for column in TASK_COLUMNS]
    assert len(set(names)) == len(names)


def test_identity_leaves_out_what_is_not_known() -> None:
    """Absent, never empty or zero."""
    attributes = Identity("Flow", "1", "train", "7", 2, request=Request(cpu=4)).attributes()
    assert attributes == {
        "stepsize.flow.name": "Flow",
        "stepsize.run.id": "1",
        "stepsize.step.name": "train",
        "stepsize.task.id": "7",
        "stepsize.task.attempt": 2,
        "stepsize.request.cpu": 4,
        "service.name": "Flow",
        "service.instance.id": Identity("Flow", "1", "train", "7", 2).instance_id,
    }


@pytest.mark.parametrize(
    ("value", "said"),
    [
        *(("8", "8"), (" 8 ", "8"), ("4,2", "4,2"), ("4, 2", "4, 2")),
        *((value, None) for value in ("", ",", "many", "-1", "4 2", "\u0663", "1" * 65)),
    ],
)
def test_a_setting_of_threads_is_a_count_or_nothing(value: str, said: str | None) -> None:
    """What else may stand in such a variable leaves the process for nobody."""
    found = thread_settings({"OMP_NUM_THREADS": value, "OMP_SCHEDULE": "1", "HOME": "7"})
    assert found == ({} if said is None else {"process.environment_variable.OMP_NUM_THREADS": said})


def test_a_name_that_is_no_text_has_an_instance() -> None:
    """Bytes of a file's name that are no UTF-8 come as halves of characters."""
    assert Identity(os.fsdecode(b"caf\xe9"), "1", "s", "t").instance_id == Identity("caf?", "1", "s", "t").instance_id


def test_instances_differ_by_attempt() -> None:
    """A retry is another instance of the service; the same attempt is the same wherever it is computed."""
    first, second = Identity("F", "1", "s", "1", 0), Identity("F", "1", "s", "1", 1)
    assert first.instance_id != second.instance_id
    assert first.instance_id == Identity("F", "1", "s", "1").instance_id


@given(st.floats(0, 10_000, allow_nan=False))
def test_a_bucket_holds_its_value(cores: float) -> None:
    """No more than the bucket's upper edge, and more than the edge below it, but for the two outermost."""
    index = cpu_bucket(cores)
    assert CPU_BUCKET_MIN <= index <= CPU_BUCKET_MAX
    if index < CPU_BUCKET_MAX:
        assert cores <= cpu_bucket_upper(index) * (1 + 1e-12)
    if index > CPU_BUCKET_MIN:
        assert cores > cpu_bucket_upper(index - 1) * (1 - 1e-12)


def test_a_quantile_is_the_upper_edge_of_the_bucket_it_falls_in() -> None:
    """One core for nine seconds and eight for one: one core was enough for 90 % of the time, not for 91 %."""
    histogram = {cpu_bucket(8): 1.0, cpu_bucket(1): 9.0}
    assert cpu_quantile(histogram, 0.0) == 1
    assert cpu_quantile(histogram, 0.9) == 1
    assert cpu_quantile(histogram, 0.91) == 8
    assert cpu_quantile(histogram, 1.0) == 8


def test_a_quantile_needs_time() -> None:
    """None where no time was seen; a bucket without time is as if it were not there."""
    assert cpu_quantile({}, 0.95) is None
    assert cpu_quantile({cpu_bucket(4): 0.0}, 0.95) is None
    assert cpu_quantile({cpu_bucket(1): 1.0, cpu_bucket(64): 0.0}, 1.0) == 1


def test_the_rounding_of_a_sum_moves_no_quantile() -> None:
    """0.1 ten times is 1 - 1e-16: all of it has passed all the same, and an empty bucket beyond is not reached."""
    histogram = {**dict.fromkeys(range(10), 0.1), 192: 1e-300}
    assert cpu_quantile(histogram, 1.0) == cpu_bucket_upper(9)


@given(
    st.lists(st.tuples(st.floats(0.01, 4000), st.floats(0.001, 1e6)), min_size=1, max_size=50),
    st.floats(0, 1),
)
def test_a_quantile_was_enough_and_hardly_more(samples: list[tuple[float, float]], q: float) -> None:
    """Samples within the answer took the share asked for; those a bucket below it did not."""
    histogram: dict[int, float] = {}
    for cores, seconds in samples:
        histogram[cpu_bucket(cores)] = histogram.get(cpu_bucket(cores), 0.0) + seconds
    answer = cpu_quantile(histogram, q)
    assert answer is not None
    total_s = sum(seconds for _, seconds in samples)
    uppers = [(cpu_bucket_upper(cpu_bucket(cores)), seconds) for cores, seconds in samples]
    within_s = sum(seconds for upper, seconds in uppers if upper <= answer)
    assert within_s >= q * total_s * (1 - 1e-9)
    below_s = sum(seconds for upper, seconds in uppers if upper < answer)
    assert below_s <= q * total_s * (1 + 1e-9)
