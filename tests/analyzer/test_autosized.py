"""Which policy sizes a step where nobody names one, seen in what `report` says of a real lake."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from metaflow_extensions.stepsize.plugins import sized
from stepsize.analyzer.sizing import autosized
from stepsize.commands.report import command
from stepsize.testing import write_tasks
from tests.metaflow_extensions.histories import history

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The report of a lake of these rows."""
    for name in ("HOME", "STEPSIZE_RUNTIME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("STEPSIZE_DATA", str(tmp_path / "lake"))

    def of(rows: list[dict[str, Any]], *options: str) -> dict[str, Any]:
        write_tasks(tmp_path / "lake", rows)
        ran = CliRunner().invoke(command, ["--format", "json", *options])
        assert ran.exit_code == 0, ran.output
        (step,) = json.loads(ran.stdout)
        found: dict[str, Any] = step
        return found

    return of


def test_both_sides_have_one_name_for_the_annotation() -> None:
    """The extension, which imports nothing of ours, and the analyzer."""
    assert sized.ANNOTATION == autosized.ANNOTATION


@pytest.mark.parametrize(
    ("newest", "policy"),
    [
        ({"autosize": "balanced"}, "balanced"),
        ({"autosize": "cheap", "rows": 3}, "cheap"),
        ({"autosize": "safe"}, "safe"),
        ({}, "safe"),
        (None, "safe"),
        ({"autosize": "nobody's"}, "safe"),
        ({"autosize": 7}, "safe"),
    ],
)
def test_a_step_is_advised_by_the_policy_that_sized_its_newest_run(report: Any, newest: Any, policy: str) -> None:
    """`safe` where nothing did, or where it is not installed here; a reason says where it is another."""
    rows = history("F", "train", annotations={"autosize": "resource-tracker"})
    for row in rows[-3:]:  # of the newest run
        row["annotations"] = newest
    step = report(rows)
    assert step["policy"] == policy
    said = [reason for reason in step["reasons"] if "@autosize" in reason]
    expected = [] if policy == "safe" else [f"Sized by {policy}, as @autosize sized its newest run."]
    assert said == expected


def test_a_policy_that_is_named_is_the_policy(report: Any) -> None:
    """Whatever sized the runs."""
    step = report(history("F", "train", annotations={"autosize": "balanced"}), "--policy", "cheap")
    assert step["policy"] == "cheap"
    assert not [reason for reason in step["reasons"] if "@autosize" in reason]


def test_a_budget_for_cores_holds_for_whichever_policy_it_is(report: Any) -> None:
    """As it does for one that is named."""
    assert (
        report(history("F", "train", annotations={"autosize": "balanced"}), "--cpu-budget", "2")["policy"] == "balanced"
    )
