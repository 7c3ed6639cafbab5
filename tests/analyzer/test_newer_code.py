"""What is said of a version of the code that needs less."""

from __future__ import annotations

import pytest

from stepsize.analyzer.sizing.least_cost import safe
from stepsize.analyzer.usage import Attempt
from tests.analyzer.rows import MB, NOON, attempt, evidence


def run(number: int, code_version: str, peak_mb: int) -> list[Attempt]:
    return [
        attempt(
            run=f"{number:02}",
            task=f"{number}-{task}",
            code_version=code_version,
            memory_peak_bytes=(peak_mb + task) * MB,
            started_at_s=NOON.timestamp() + 86_400 * number,
            requested_memory_bytes=9000 * MB,
        )
        for task in range(2)
    ]


@pytest.mark.parametrize(("runs", "seen", "missing"), [(1, "In 1 run", 4), (4, "In 4 runs", 1)])
def test_code_that_needs_far_less_is_told_until_it_counts_alone(runs: int, seen: str, missing: int) -> None:
    """With how many more of its runs are needed."""
    old = [one for number in range(10) for one in run(number, "v1", 2000)]
    new = [one for number in range(10, 10 + runs) for one in run(number, "v2", 1000)]
    expected = (
        f"{seen} of its newest code no task took more than 1,001 MB, before that none less than 2,000 MB: "
        f"from 5 runs on older code no longer counts, {missing} more needed."
    )
    assert expected in safe().recommend(evidence(*old, *new)).all_reasons


def test_after_as_many_runs_less_is_asked_for() -> None:
    """And nothing more is needed."""
    old = [one for number in range(10) for one in run(number, "v1", 2000)]
    new = [one for number in range(10, 15) for one in run(number, "v2", 1000)]
    answer = safe().recommend(evidence(*old, *new))
    assert answer.memory_mb.value is not None
    assert answer.memory_mb.value < 2000
    assert not any("newest code" in reason for reason in answer.memory_mb.reasons)


@pytest.mark.parametrize("versions", [("v1", "v1"), ("v2", "v1")])
def test_nothing_is_said_of_code_that_is_not_newer_and_lower(versions: tuple[str, str]) -> None:
    """One version that came down, and a newer one that needs more."""
    before, after = versions
    old = [one for number in range(10) for one in run(number, before, 2000 if before == after else 900)]
    new = [one for number in range(10, 12) for one in run(number, after, 1000)]
    assert not any("newest code" in reason for reason in safe().recommend(evidence(*old, *new)).all_reasons)
