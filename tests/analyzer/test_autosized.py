"""Which policy sizes a step where nobody names one, seen in what `report` says of a real lake."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from metaflow_extensions.stepsize.plugins import sized
from stepsize.analyzer.sizing import autosized, policy
from stepsize.analyzer.sizing.least_cost import balanced
from stepsize.analyzer.sizing.lessons import FlowKey, Lessons
from stepsize.analyzer.sizing.memory.exceedances import Exceedances
from stepsize.analyzer.sizing.memory.learner import Mean
from stepsize.analyzer.usage import Attempt, StepEvidence
from stepsize.commands.report import command
from stepsize.testing import write_tasks
from tests.metaflow_extensions.histories import MB, history

if TYPE_CHECKING:
    from pathlib import Path


NEWEST: dict[str, tuple[Any, str]] = {
    "balanced": ({"autosize": "balanced"}, "balanced"),
    "cheap": ({"autosize": "cheap", "rows": 3}, "cheap"),
    "safe": ({"autosize": "safe"}, "safe"),
    "nothing": ({}, "safe"),
    "null": (None, "safe"),
    "unknown": ({"autosize": "nobody's"}, "safe"),
    "number": ({"autosize": 7}, "safe"),
}
"""Steps, what their newest runs tell of themselves, and the policy that sizes them."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with these steps."""
    place = tmp_path_factory.mktemp("autosized")
    rows = []
    for step, (newest, _) in NEWEST.items():
        rows += history("F", step, annotations={"autosize": "resource-tracker"})
        for row in rows[-3:]:  # of the newest run
            row["annotations"] = newest
    write_tasks(place / "lake", rows)
    return place


@pytest.fixture
def report(place: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Its report, by the names of the steps."""
    for name in ("HOME", "STEPSIZE_RUNTIME"):
        monkeypatch.setenv(name, str(place))
    monkeypatch.setenv("STEPSIZE_DATA", str(place / "lake"))

    def of(*options: str) -> dict[str, dict[str, Any]]:
        ran = CliRunner().invoke(command, ["--format", "json", *options])
        assert ran.exit_code == 0, ran.output
        return {step["step"]: step for step in json.loads(ran.stdout)}

    return of


def test_both_sides_have_one_name_for_the_annotation() -> None:
    """The extension, which imports nothing of ours, and the analyzer."""
    assert sized.ANNOTATION == autosized.ANNOTATION


def test_a_step_is_advised_by_the_policy_that_sized_its_newest_run(report: Any) -> None:
    """`safe` where nothing did, or where it is not installed here; a reason says where it is another."""
    steps = report()
    assert {name: step["policy"] for name, step in steps.items()} == {
        name: policy for name, (_, policy) in NEWEST.items()
    }
    for name, step in steps.items():
        said = [reason for reason in step["reasons"] if "@autosize" in reason]
        policy = NEWEST[name][1]
        assert said == ([] if policy == "safe" else [f"Sized by {policy}, as @autosize sized its newest run."])


def test_a_policy_that_is_named_is_the_policy(report: Any) -> None:
    """Whatever sized the runs."""
    step = report("F/balanced", "--policy", "cheap")["balanced"]
    assert step["policy"] == "cheap"
    assert not [reason for reason in step["reasons"] if "@autosize" in reason]


def test_a_budget_for_cores_holds_for_whichever_policy_it_is(report: Any) -> None:
    """As it does for one that is named."""
    steps = report("--cpu-budget", "2")
    assert [steps[name]["policy"] for name in ("balanced", "safe")] == ["balanced", "safe"]


def evidence(peaks_mb: list[int], requested_mb: int) -> StepEvidence:
    """An hour's task a run, of a flow whose others are next to nothing (see `LESSONS`)."""
    attempts = [
        Attempt(
            run=str(run),
            task="1",
            started_at_s=86_400.0 * run,
            duration_s=3600.0,
            memory_peak_bytes=peak * MB,
            requested_memory_bytes=requested_mb * MB,
        )
        for run, peak in enumerate(peaks_mb)
    ]
    return StepEvidence(flow="F", step="train", attempts=tuple(attempts))


LESSONS = Lessons(Exceedances(), {FlowKey(None, False, "F"): Mean(1e6, 1000)})


def test_a_fall_goes_no_further_than_where_few_fail() -> None:
    """Where failures of a large step are next to nothing to its flow, `safe` says so, and a launch gives it more."""
    seen = evidence([500, 500, 500], 4096)
    safe, launched = policy.load("safe").recommend(seen, LESSONS), autosized.launching("safe").recommend(seen, LESSONS)
    assert (safe.failures_expected_per_1000 or 0) > 100
    assert safe.memory_mb.value is not None
    assert launched.memory_mb.value is not None
    assert safe.memory_mb.value < launched.memory_mb.value < 4096
    assert (launched.failures_expected_per_1000 or 0) <= autosized.MOST_FAILING_PER_1000
    assert f"at {safe.memory_mb.value} MB" in launched.memory_mb.reasons[-1]


def test_where_no_fall_leaves_few_to_fail_the_request_stays() -> None:
    """With the reason, and no word of how many fail at a size that is not asked for."""
    seen = evidence([300, 1430, 600], 4096)
    assert policy.load("safe").recommend(seen, LESSONS).memory_mb.value is not None
    launched = autosized.launching("safe").recommend(seen, LESSONS)
    assert launched.memory_mb.value is None
    assert launched.memory_mb.held.startswith("Memory stays as it is: at ")
    assert launched.memory_mb.held in launched.held


@settings(max_examples=30)
@given(st.lists(st.integers(50, 6000), min_size=1, max_size=12), st.integers(300, 8000))
def test_a_launch_lowers_to_no_less_than_safe_and_raises_as_it_does(peaks_mb: list[int], requested_mb: int) -> None:
    """Cores are the same; other policies are what their names say, of the next run."""
    seen = evidence(peaks_mb, requested_mb)
    safe, launched = policy.load("safe").recommend(seen, LESSONS), autosized.launching("safe").recommend(seen, LESSONS)
    asks, asked = (each.memory_mb.value or requested_mb for each in (launched, safe))
    if asked >= requested_mb:
        assert launched == safe
    else:
        assert asked <= asks <= requested_mb
        if asks < requested_mb:
            assert (launched.failures_expected_per_1000 or 0) <= autosized.MOST_FAILING_PER_1000
    assert launched.cpu == safe.cpu
    assert autosized.launching("balanced").recommend(seen) == replace(balanced(), runs_ahead=1).recommend(seen)


def test_a_launch_that_a_retry_backs_looks_at_its_own_run_alone() -> None:
    """From 1,000 to 4,190 MB in twenty runs: ``balanced``, which the next launch sizes anew, asks for the 4,358 of the
    next; ``safe``, which may stand in a deployment, for the 5,365 of the seventh. A launched step's report agrees."""
    seen = evidence([1000 + 3190 * run // 19 for run in range(20)], 8000)
    asked = {name: autosized.launching(name).recommend(seen).memory_mb.value for name in ("balanced", "safe")}
    assert 4358 <= (asked["balanced"] or 0) < 4800
    assert 5365 <= (asked["safe"] or 0) < 6710
    launched = [replace(one, annotations='{"autosize": "balanced"}') for one in seen.attempts]
    reported = autosized.AsLaunched().recommend(replace(seen, attempts=tuple(launched)))
    assert reported.memory_mb.value == asked["balanced"]
