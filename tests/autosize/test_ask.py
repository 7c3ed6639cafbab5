"""Questions to a real lake, through the process that a launch starts."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from stepsize.autosize.ask import ask
from stepsize.autosize.history import answers
from stepsize.autosize.question import Question, StepQuestion
from stepsize.errors import LakeError
from stepsize.settings import Settings
from stepsize.testing import write_tasks
from tests.metaflow_extensions.histories import MB, history
from tests.places import short_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from stepsize.autosize.question import StepAnswer


@pytest.fixture
def place() -> Iterator[Path]:
    with short_directory() as directory:
        yield directory


def environment(place: Path, **more: str) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("OTEL_", "STEPSIZE"))}
    ours = {
        "HOME": str(place),
        "STEPSIZE_DATA": str(place / "lake"),
        "STEPSIZE_RUNTIME": str(place / "run"),
        "STEPSIZE_AUTOSIZE_WAIT": "60",
    }
    return {**kept, **ours, **more}


def found(place: Path, question: Question, **more: str) -> dict[str, tuple[float | None, int | None, int]]:
    """Cores, MB and the tasks that they stand on, by step; without a process of its own."""
    return _plain(answers(Settings.load(environment(place, **more)), question))


def _plain(answers: Iterable[StepAnswer]) -> dict[str, tuple[float | None, int | None, int]]:
    return {each.step: (each.cpu, each.memory_bytes and each.memory_bytes // MB, each.tasks) for each in answers}


def step(name: str, policy: str = "balanced", memory_mb: int = 8000) -> StepQuestion:
    return StepQuestion(step=name, policy=policy, cpu=4.0, memory_bytes=memory_mb * MB)


def test_the_answer_does_not_depend_on_what_the_last_launch_asked_for(place: Path) -> None:
    """Runs that had been lowered already are no reason to go back to what the flow says; nor does it on who asks."""
    question = Question(flow="F", steps=(step("train"),))
    write_tasks(place / "lake", history("F", "train"))
    first = found(place, question)
    (cpu, memory, tasks) = first["train"]
    assert memory is not None
    assert 300 < memory < 1000
    assert (cpu, tasks) == (1.0, 24)
    later = history("F", "train", requested_cpu=1.0, requested_memory_bytes=memory * MB)
    write_tasks(place / "lake2", later)
    environ = environment(place, STEPSIZE_DATA=str(place / "lake2"))
    assert _plain(ask(Settings.load(environ), question, environ).values()) == first


def test_histories_are_told_apart(place: Path) -> None:
    """By project and kind of branch, as in the report: a test never shrinks production."""
    write_tasks(place / "lake", history("F", "train", project="p", branch="user.ann"))
    both = (step("train"), step("new"))
    assert found(place, Question(flow="F", project="p", production=True, steps=both)) == {
        "train": (4.0, 8000, 0),
        "new": (4.0, 8000, 0),
    }
    assert found(place, Question(flow="F", project="p", steps=both))["train"][2] == 24


def test_where_there_is_no_lake_the_flow_holds(place: Path) -> None:
    """And none is made."""
    assert found(place, Question(flow="F", steps=(step("train"),))) == {"train": (4.0, 8000, 0)}
    assert not (place / "lake").exists()


@pytest.mark.parametrize("rows", [[], history("F", "train") + history("F", "end")])
def test_a_policy_that_nobody_knows_is_named_and_the_other_steps_are_sized(place: Path, rows: list[Any]) -> None:
    """With those that are, whether there is a history or not."""
    write_tasks(place / "lake", rows)
    settings = Settings.load(environment(place))
    brave, end = answers(settings, Question(flow="F", steps=(step("train", policy="brave"), step("end"))))
    assert (brave.cpu, brave.memory_bytes, brave.tasks) == (4.0, 8000 * MB, 0)
    assert brave.why.startswith("No policy is called 'brave'; installed are balanced")
    assert end.tasks == len(rows) // 2


@pytest.mark.parametrize("broken", ["lake", "lake/stepsize.duckdb"])
def test_a_lake_that_is_none_is_an_error(place: Path, broken: str) -> None:
    """One line of it."""
    (place / broken).parent.mkdir(exist_ok=True)
    (place / broken).write_text("no database")
    environ = environment(place)
    with pytest.raises(LakeError, match=str(place / "lake")) as raised:
        ask(Settings.load(environ), Question(flow="F", steps=(step("train"),)), environ)
    assert "\n" not in str(raised.value)


def test_a_lake_that_hangs_is_waited_for_so_long_and_no_longer(place: Path) -> None:
    """Its schema is a pipe into which nobody writes."""
    write_tasks(place / "lake", history("F", "train"))
    (place / "lake" / "schema.json").unlink()
    os.mkfifo(place / "lake" / "schema.json")
    environ = environment(place, STEPSIZE_AUTOSIZE_WAIT="1.5")
    began_s = time.monotonic()
    with pytest.raises(LakeError, match=r"gave no answer within 1\.5 s"):
        ask(Settings.load(environ), Question(flow="F", steps=(step("train"),)), environ)
    assert time.monotonic() - began_s < 8


def test_a_history_too_large_for_the_time_is_that_of_its_newest_runs(place: Path) -> None:
    """Three of them at least, and what other steps teach is let go of."""
    rows = [row for flow in "FGH" for row in history(flow, "train", tasks=9)]
    rows += history("F", "train", runs=20, tasks=9, project="p", memory_peak_bytes=7000 * MB)
    for row in rows[: 5 * 9]:  # of F's older runs
        row["memory_peak_bytes"] = 5000 * MB
    write_tasks(place / "lake", rows)
    question = Question(flow="F", steps=(step("train"), step("end")))
    assert found(place, question)["train"][2] == 8 * 9
    (cpu, memory, tasks) = found(place, question, STEPSIZE_AUTOSIZE_WAIT="0.001")["train"]
    assert (cpu, tasks) == (1.0, 3 * 9)
    assert memory is not None
    assert memory < 5000
    assert found(place, question, STEPSIZE_AUTOSIZE_WAIT="0.018")["train"][2] == 6 * 9  # 3,000 attempts a second
