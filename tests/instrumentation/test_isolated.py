"""Tasks in interpreters that have nothing but the standard library and the part of our package that travels."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stepsize import interpreter
from tests.bare import bare_python, shipped_package
from tests.instrumentation.conftest import Place, status, wait_until
from tests.instrumentation.receiver import TIMEOUT_S, Receiver, http_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepsize.settings import Settings

TASK = """
import sys
from stepsize.instrumentation import client
from stepsize.model import Identity, Outcome
from stepsize.settings import Settings
registration = client.register(Identity("Flow", "1", "step", "bare"), Settings.load())
sum(range(5_000_000))
sys.stdin.read()
registration.end(Outcome.OK, 0)
print([name for name in ("opentelemetry", "requests", "psutil", "metaflow") if name in sys.modules])
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bare_python(tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shipped_package(tmp_path_factory.mktemp("shipped"))


@contextlib.contextmanager
def _task(place: Place, settings: Settings, python: Path, shipped: Path, **more: str) -> Iterator[None]:
    """A task that works, and ends with the block."""
    environment = {**place.environment(settings, **more), "PYTHONPATH": str(shipped)}
    command = [str(python), "-c", TASK]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as task:
        yield
        said, _ = task.communicate(timeout=TIMEOUT_S)
    assert (task.returncode, said.strip()) == (0, "[]")


def _agents_python(settings: Settings) -> str:
    found = wait_until(lambda: status(settings))
    return Path(f"/proc/{found.pid}/cmdline").read_bytes().split(b"\0")[0].decode()


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
def test_a_task_and_its_agent_need_the_standard_library_alone(
    place: Place, python: Path, shipped: Path, protocol: str
) -> None:
    """The end, CPU time, memory and the host arrive, from an agent of the same bare interpreter."""
    with http_receiver() as receiver:
        settings = place.settings(endpoint=receiver.endpoint, protocol=protocol)
        with _task(place, settings, python, shipped):
            receiver.wait(lambda: receiver.of("system.memory.limit"))
        assert receiver.end("bare").attributes["stepsize.outcome"] == "ok"
        assert receiver.cpu_s("bare") > 0.02
        assert receiver.last("stepsize.task.memory.peak", "bare") > 1 << 20
        assert _agents_python(settings) == str(python)


def test_the_launchers_interpreter_runs_the_agent_where_there_is_one(
    place: Place, settings: Settings, receiver: Receiver, python: Path, shipped: Path
) -> None:
    """What the launcher hands on goes before the task's own: its package is whole, so it can bring a collector."""
    with _task(place, settings, python, shipped, PYTHONNOUSERSITE="1", **interpreter.handed_on({})):
        pass
    receiver.end("bare")
    assert _agents_python(settings) == sys.executable


def test_a_launcher_that_is_gone_is_done_without(
    place: Place, settings: Settings, receiver: Receiver, python: Path, shipped: Path
) -> None:
    """An interpreter that was handed on and is not there any more costs the task nothing."""
    with _task(place, settings, python, shipped, STEPSIZE_PYTHON=str(python.parent / "gone")):
        pass
    receiver.end("bare")
    assert _agents_python(settings) == str(python)


def test_a_whole_package_uses_its_own_interpreter() -> None:
    """A handed on interpreter is for those that have a part alone."""
    assert interpreter.for_modules({"STEPSIZE_PYTHON": "/bin/sh"}).executable == sys.executable


def test_what_cannot_be_sent_is_in_the_agents_log(place: Place, python: Path, shipped: Path) -> None:
    """An endpoint of gRPC, which the standard library does not speak: the task is well, and the log says what to do."""
    settings = place.settings(endpoint="http://127.0.0.1:9", protocol="grpc")
    with _task(place, settings, python, shipped):
        wait_until(lambda: any("http/protobuf" in log.read_text() for log in place.runtime.glob("agent-*.log")))
