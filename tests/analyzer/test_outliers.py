"""What sets a step's largest tasks apart, in the reasons of the default policy."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace

import pytest

from stepsize.analyzer.sizing.least_cost import safe
from stepsize.analyzer.sizing.outliers import outliers
from stepsize.analyzer.sizing.peaks import memory_peaks
from tests.analyzer.rows import MB, attempt, evidence, in_runs

POLICY = safe()


def test_tasks_that_stand_out_are_explained_by_what_was_said_of_them() -> None:
    """118 of 120 stayed under 3,100 MB; the two above have inputs of more than 40 GB."""
    small = [
        replace(one, annotations=f'{{"input_bytes": {10**9 * (n % 40 + 1)}}}')
        for n, one in enumerate(in_runs([3000.0 + n % 90 for n in range(118)], 6))
    ]
    large = [
        replace(attempt(task=f"big{n}", memory_peak_bytes=9000 * MB), annotations='{"input_bytes": 60000000000}')
        for n in range(2)
    ]
    reasons = POLICY.recommend(evidence(*small, *large)).all_reasons
    expected = (
        "118 of 120 tasks stayed under 3,090 MB; the 2 above took up to 9,000 MB and have input_bytes over 40,000 MB."
    )
    assert expected in reasons


def test_many_tasks_that_stand_out_are_explained_too() -> None:
    """Nine hundred of two thousand."""
    seen = [
        replace(one, annotations=f'{{"rows": {n}}}')
        for n, one in enumerate(in_runs([600.0] * 1100 + [2000.0] * 900, 4))
    ]
    reasons = POLICY.recommend(evidence(*seen)).all_reasons
    assert any("the 900 above took up to 2,000 MB and have rows over 1,099." in reason for reason in reasons)


def test_one_of_many_numbers_that_is_larger_for_one_task_is_chance() -> None:
    """Ten tasks with twenty numbers each: for the one large task some number always is the largest."""
    seen = [
        replace(one, annotations="{" + ", ".join(f'"m{m}": {(n * 7 + m * 3) % 10}' for m in range(20)) + "}")
        for n, one in enumerate(in_runs([600.0] * 9 + [2000.0], 2))
    ]
    reasons = POLICY.recommend(evidence(*seen)).all_reasons
    (told,) = [reason for reason in reasons if "stayed under" in reason]
    assert told.endswith("is 1/train/9.")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"item": "lr=0.9"}, "is of item lr=0.9."),
        ({"code_version": "v2"}, "is of code version v2."),
        ({"run": "77"}, "is of run 77."),
        ({}, "is 1/train/odd."),
    ],
)
def test_a_task_that_stands_out_is_named_by_what_it_alone_has(change: dict[str, str], expected: str) -> None:
    """Its item, the version of its code, its run, or else itself."""
    usual = [replace(one, item="lr=0.1", code_version="v1") for one in in_runs([600.0] * 10, 2)]
    odd = replace(usual[0], **{"task": "odd", "run": "1", "memory_peak_bytes": 2000 * MB, **change})
    reasons = POLICY.recommend(evidence(*usual, odd)).all_reasons
    (told,) = [reason for reason in reasons if "stayed under" in reason]
    assert told == f"10 of 11 tasks stayed under 601 MB; the one above took 2,000 MB and {expected}"


def test_a_number_is_found_among_hundreds_and_whatever_else_tasks_say() -> None:
    """Each of 120 tasks has 300 names of its own; all of them, rows."""
    seen = [
        replace(one, annotations=json.dumps({**{f"of{n}-{m}": m for m in range(300)}, "rows": n}))
        for n, one in enumerate(in_runs([600.0] * 118 + [2000.0] * 2, 4))
    ]
    assert any("have rows over 117." in reason for reason in POLICY.recommend(evidence(*seen)).all_reasons)


def test_what_was_said_is_held_of_one_task_at_a_time() -> None:
    """Two thousand tasks with five hundred numbers each: a million of them take no memory to compare."""
    said = json.dumps({f"name{n}": n / 7 for n in range(500)})
    seen = [replace(one, annotations=said) for one in in_runs([600.0] * 1998 + [2000.0] * 2, 4)]
    step = evidence(*seen)
    peaks = memory_peaks(step)
    assert peaks is not None
    tracemalloc.start()
    try:
        outliers(step, peaks)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4 * MB
