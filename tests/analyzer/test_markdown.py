"""The report as a comment: short enough whatever is in it, the most valuable first."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepsize.analyzer.costs import Costs
from stepsize.analyzer.formats import render
from stepsize.analyzer.formats.ranking import ranked
from stepsize.analyzer.matching import Catalog
from stepsize.analyzer.report import StepReport, build
from stepsize.analyzer.sizing import policy as policies
from stepsize.analyzer.usage import Query
from stepsize.testing import write_tasks
from tests.analyzer.rows import row

GITHUB_CHARACTERS = 65_536


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, catalog: Catalog) -> StepReport:
    rows = [row(run=str(number), task=str(number)) for number in range(10)]
    connection = write_tasks(tmp_path_factory.mktemp("lake"), rows).connect()
    (found,) = build(connection, catalog, policies.load(), Query())
    return found


def steps(report: StepReport, count: int, name: str = "step") -> list[StepReport]:
    """So many, the last one saving most."""
    return [
        replace(
            report,
            step=f"{name}{number}",
            costs=Costs(now=1.0, recommended=0.5, saving_per_month=float(number), currency="USD"),
        )
        for number in range(count)
    ]


def told(text: str) -> tuple[list[str], list[str]]:
    """The steps of the table, and those that are explained."""
    rows = [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if line.startswith("| TrainFlow")]
    return rows, re.findall(r"<details><summary>(\S+):", text)


def test_a_few_steps_are_told_in_full(report: StepReport) -> None:
    """A row and an explanation each, and nothing is said to be left out."""
    text = render(steps(report, 3), "markdown")
    rows, explained = told(text)
    assert rows == explained == ["TrainFlow/step2", "TrainFlow/step1", "TrainFlow/step0"]
    assert "left out" not in text
    assert "**3 of 3 steps** should ask for something else; that saves **3.00 USD** a month." in text


def test_a_thousand_steps_fit_a_comment_and_the_rest_is_counted(report: StepReport) -> None:
    """The first rows and explanations are those of the ranking; what is missing adds up."""
    many = steps(report, 1000)
    text = render(many, "markdown")
    assert len(text) <= GITHUB_CHARACTERS
    rows, explained = told(text)
    order = [f"TrainFlow/{one.step}" for one in ranked(many)]
    assert rows == order[: len(rows)]
    assert explained == order[: len(explained)]
    assert len(rows) > 150
    assert len(explained) > 10
    assert text.count("<details>") == text.count("</details>") == len(explained)
    rest = f"_{1000 - len(rows):,} more steps and the reasons of {len(rows) - len(explained)} steps of the table"
    assert f"{rest} are left out: " in text


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1, max_size=300), st.integers(1, 400), st.integers(0, 30_000))
def test_no_name_makes_it_too_long(report: StepReport, name: str, count: int, extra: int) -> None:
    """Of whatever characters and length; the first step is always there, as a row of a table."""
    text = render([replace(one, flow=name * (1 + extra // 300)) for one in steps(report, count)], "markdown")
    assert len(text) <= GITHUB_CHARACTERS
    assert len(text.encode()) <= GITHUB_CHARACTERS
    assert len([line for line in text.splitlines() if line.startswith("| ")]) >= 3
