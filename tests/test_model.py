"""The names on the wire and in the lake."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from stepsize.model import (
    CPU_BUCKET_MAX,
    CPU_BUCKET_MIN,
    METRICS,
    TASK_COLUMNS,
    Identity,
    Request,
    cpu_bucket,
    cpu_bucket_upper,
)


def test_metric_names_follow_the_conventions() -> None:
    """Lower case, dots between name spaces, and only the four roots that the contract names."""
    for name in METRICS:
        assert re.fullmatch(r"(stepsize\.task|container|system|hw)(\.[a-z_]+)+", name), name


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
