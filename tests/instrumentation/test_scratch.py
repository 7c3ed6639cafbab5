"""Scratch space: what an attempt holds in a temporary directory of its own, and silence where that is not sure."""

from __future__ import annotations

from pathlib import Path
from subprocess import PIPE

import pytest

from stepsize.settings import Settings
from tests.instrumentation.conftest import Place
from tests.instrumentation.receiver import TIMEOUT_S, Receiver

MIB = 1 << 20
WAIT = "print('registered', flush=True)\nsys.stdin.readline()\n"


def _told(receiver: Receiver, task: str) -> list[float]:
    return [point.value for point in receiver.of("stepsize.task.disk.usage", task)]


def _directory(place: Place, name: str) -> Path:
    directory = place.home / name
    directory.mkdir(mode=0o700)
    return directory


def test_a_temporary_directory_of_its_own_is_the_attempts(place: Place, settings: Settings, receiver: Receiver) -> None:
    """What is written there and still held is told, each file once whatever it is called."""
    directory = _directory(place, "own")
    body = "import tempfile\nos.mkdir(os.path.join(tempfile.gettempdir(), 'd'))\n"
    body += "for name in ('a', 'd/b'):\n    f = open(os.path.join(tempfile.gettempdir(), name), 'wb')\n"
    body += "    f.write(bytes(10 << 20)); f.flush(); os.fsync(f.fileno())\n"
    body += "os.link(f.name, f.name + '2')\nos.write(1, b'.'); time.sleep(1.6)"
    place.run(settings, "own", body, env={"TMPDIR": str(directory)})
    receiver.end("own")
    told = _told(receiver, "own")
    assert 20 * MIB <= told[-1] < 21 * MIB


@pytest.mark.parametrize("why", ["none", "not empty", "anybody may write", "somebody else's too"])
def test_where_it_is_not_sure_nothing_is_said(place: Place, settings: Settings, receiver: Receiver, why: str) -> None:
    """No directory named, one that held something, one that is open to others, one that two attempts share."""
    directory = _directory(place, "tmp")
    environment = {"TMPDIR": "" if why == "none" else str(directory)}
    if why == "not empty":
        (directory / "file").write_text("x")
    if why == "anybody may write":
        directory.chmod(0o777)
    other = None
    if why == "somebody else's too":
        place.run(settings, "warm", "")
        other = place.start(settings, "other", WAIT, env=environment, stdin=PIPE, stdout=PIPE)
        other.stdout.readline()
    place.run(settings, "task", "time.sleep(0.4)", env=environment)
    receiver.end("task")
    assert _told(receiver, "task") == []
    if other is not None:
        other.communicate(b"\n", timeout=TIMEOUT_S)
        receiver.end("other")
        assert len(_told(receiver, "other")) <= 1  # until the second attempt came
