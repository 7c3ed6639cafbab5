"""Questions to a real lake, through the process that a launch starts."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

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
    from collections.abc import Iterator
    from pathlib import Path


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


def asked(place: Path, question: Question, **more: str) -> dict[str, tuple[float | None, int | None, int]]:
    """Cores, MB and the tasks that they stand on, by step."""
    environ = environment(place, **more)
    found = ask(Settings.load(environ), question, environ)
    return {name: (each.cpu, each.memory_bytes and each.memory_bytes // MB, each.tasks) for name, each in found.items()}


def step(name: str, policy: str = "balanced", memory_mb: int = 8000) -> StepQuestion:
    return StepQuestion(step=name, policy=policy, cpu=4.0, memory_bytes=memory_mb * MB)


def test_the_answer_does_not_depend_on_what_the_last_launch_asked_for(place: Path) -> None:
    """Runs that had been lowered already are no reason to go back to what the flow says."""
    rows = history("F", "train")
    write_tasks(place / "lake", rows)
    first = asked(place, Question(flow="F", steps=(step("train"),)))
    (cpu, memory, tasks) = first["train"]
    assert memory is not None
    assert 300 < memory < 1000
    assert (cpu, tasks) == (1.0, 24)
    later = history("F", "train", requested_cpu=1.0, requested_memory_bytes=memory * MB)
    write_tasks(place / "lake2", later)
    assert asked(place, Question(flow="F", steps=(step("train"),)), STEPSIZE_DATA=str(place / "lake2")) == first


def test_histories_are_told_apart(place: Path) -> None:
    """By project and kind of branch, as in the report: a test never shrinks production."""
    write_tasks(place / "lake", history("F", "train", project="p", branch="user.ann"))
    found = asked(place, Question(flow="F", project="p", production=True, steps=(step("train"), step("new"))))
    assert found == {"train": (4.0, 8000, 0), "new": (4.0, 8000, 0)}
    found = asked(place, Question(flow="F", project="p", steps=(step("train"),)))
    assert found["train"][2] == 24


def test_where_there_is_no_lake_the_flow_holds(place: Path) -> None:
    """And none is made."""
    assert asked(place, Question(flow="F", steps=(step("train"),))) == {"train": (4.0, 8000, 0)}
    assert not (place / "lake").exists()


def test_a_policy_that_nobody_knows_is_named(place: Path) -> None:
    """With those that are."""
    with pytest.raises(LakeError, match="no policy is called 'brave'; installed are balanced"):
        asked(place, Question(flow="F", steps=(step("train", policy="brave"),)))


def test_a_lake_that_is_none_is_an_error(place: Path) -> None:
    """One line of it."""
    (place / "lake").mkdir()
    (place / "lake" / "stepsize.duckdb").write_text("no database")
    with pytest.raises(LakeError) as raised:
        asked(place, Question(flow="F", steps=(step("train"),)))
    assert "\n" not in str(raised.value)


def test_a_lake_that_hangs_is_waited_for_so_long_and_no_longer(place: Path) -> None:
    """Its schema is a pipe into which nobody writes."""
    write_tasks(place / "lake", history("F", "train"))
    (place / "lake" / "schema.json").unlink()
    os.mkfifo(place / "lake" / "schema.json")
    began_s = time.monotonic()
    with pytest.raises(LakeError, match="gave no answer within 2 s"):
        asked(place, Question(flow="F", steps=(step("train"),)), STEPSIZE_AUTOSIZE_WAIT="2")
    assert time.monotonic() - began_s < 8


def test_a_lake_too_large_to_learn_from_in_time_still_tells_a_step_its_own_history(place: Path) -> None:
    """What other steps teach is let go of."""
    rows = [row for number in range(200) for row in history(f"F{number}", "train", tasks=9)]
    write_tasks(place / "lake", rows)
    settings = Settings.load(environment(place, STEPSIZE_AUTOSIZE_WAIT="0.001"))
    (found,) = answers(settings, Question(flow="F7", steps=(step("train"),)))
    assert (found.cpu, found.tasks) == (1.0, 72)
