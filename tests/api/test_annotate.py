"""``stepsize.annotate``: what is said of an attempt reaches it, from wherever in it the code runs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

import stepsize
from stepsize.api.values import MAX_NOTES, MAX_TEXT_CHARACTERS
from stepsize.instrumentation import client
from stepsize.model import Identity, Outcome
from tests.api.conftest import Program

if TYPE_CHECKING:
    from tests.instrumentation.receiver import Receiver


def notes(receiver: Receiver, task: str) -> dict[str, Any]:
    """What the attempt's last point says of it."""
    prefix = "stepsize.annotation."
    resource = receiver.end(task).resource
    return {name.removeprefix(prefix): value for name, value in resource.items() if name.startswith(prefix)}


def test_the_innermost_block_is_annotated(program: Program) -> None:
    """Later values replace earlier ones; the block around is left alone."""
    with stepsize.track(step="outer") as outer, stepsize.track(step="inner") as inner:
        assert stepsize.annotate(rows=1)
        assert stepsize.annotate(rows=1_200_000, input_bytes=2.5, kind="csv", last=True)
    assert notes(program.receiver, inner.identity.task) == {
        "rows": 1_200_000,
        "input_bytes": 2.5,
        "kind": "csv",
        "last": True,
    }
    assert notes(program.receiver, outer.identity.task) == {}
    assert not stepsize.annotate(rows=2)  # there is no attempt any more


def test_what_the_process_is_registered_as_is_annotated(program: Program) -> None:
    """A Metaflow step, say, from any of its threads."""
    registration = client.register(Identity("Flow", "1", "step", "registered"), program.settings())
    said: list[bool] = []
    thread = threading.Thread(target=lambda: said.append(stepsize.annotate(rows=7)))
    thread.start()
    thread.join()
    registration.end(Outcome.OK)
    assert said == [True]
    assert notes(program.receiver, "registered") == {"rows": 7}


def test_a_forked_worker_annotates_the_attempt_of_its_parent(program: Program) -> None:
    """It is in the attempt's tree, and has the handle in its memory."""
    with stepsize.track(step="pool") as task:
        task.wait_for_samples(1)
        pid = os.fork()
        if pid == 0:
            os._exit(0 if stepsize.annotate(part=3) else 1)
        assert os.waitpid(pid, 0)[1] == 0
        task.wait_for_samples(task.samples + 1)
    assert notes(program.receiver, task.identity.task)["part"] == 3


def test_a_command_annotates_its_stepsize_run(program: Program) -> None:
    """And so does what the command starts: the environment names the attempt."""
    said = "import sys, stepsize; sys.exit(not stepsize.annotate(rows=5))"
    command = ["/bin/sh", "-c", f'"{sys.executable}" -c "{said}"; exit $?']
    tracked = [sys.executable, "-m", "stepsize", "run", "--quiet", "--flow", "Flow", "--step", "sh", "--", *command]
    finished = subprocess.run(tracked, env=program.environment(), capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    (end,) = program.receiver.wait(lambda: program.receiver.of("stepsize.task.end"))
    assert end.resource["stepsize.annotation.rows"] == 5


@pytest.mark.parametrize(
    "value",
    [[1], None, float("nan"), float("inf"), 2**70, object(), {"a": 1}, b"bytes"],
    ids=["list", "None", "nan", "inf", "huge", "object", "dict", "bytes"],
)
def test_what_is_no_number_text_or_truth_value_is_left_out(program: Program, value: Any) -> None:
    """Without an exception, and the rest is said."""
    with stepsize.track(step="partly") as task:
        assert not stepsize.annotate(bad=value, good=1)
    assert notes(program.receiver, task.identity.task) == {"good": 1}


def test_what_is_said_is_bounded(program: Program) -> None:
    """Long texts are cut, many values are cut off; integers and floats of other kinds become Python's own."""

    class Integer:
        def __index__(self) -> int:
            return 12

    with stepsize.track(step="bounded") as task:
        assert stepsize.annotate(text="x" * 5000, count=Integer())
        assert not stepsize.annotate(**{f"n{number:03}": number for number in range(MAX_NOTES + 10)})
    found = notes(program.receiver, task.identity.task)
    assert found["text"] == "x" * MAX_TEXT_CHARACTERS
    assert found["count"] == 12
    assert f"n{MAX_NOTES - 1:03}" in found
    assert f"n{MAX_NOTES:03}" not in found


def test_where_there_is_no_attempt_nothing_happens(program: Program, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing is started, printed or raised."""
    assert not stepsize.annotate(rows=1)
    assert capfd.readouterr() == ("", "")
    assert not list(program.directory.glob("lake*"))
