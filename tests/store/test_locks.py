"""Locks: one holder at a time, and none that is dead; and systems that lock in another way or not at all."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from stepsize.errors import LakeError, UnavailableError
from stepsize.store.locks import Lock
from stepsize.testing import write_tasks
from tests.collector.running import wait_for

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import pathlib, sys
from stepsize.store.locks import Lock
lock = Lock(pathlib.Path(sys.argv[1]))
assert lock.try_acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_has_one_holder(tmp_path: Path) -> None:
    """A second one waits for as long as it was told, is told in one line, and gets the lock once it is let go."""
    first, second = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    with first.held(1.0):
        assert not second.try_acquire()
        with pytest.raises(UnavailableError, match="another process holds"):
            second.acquire(0.01)
    with second.held(1.0):
        assert not first.try_acquire()


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    """The kernel lets go of the lock of a process that was killed; its file alone keeps nobody out."""
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        assert not Lock(path).try_acquire()
        holder.kill()
    assert path.exists()
    with Lock(path).held(1.0):
        pass


def test_a_lock_whose_file_is_removed_has_one_holder(tmp_path: Path) -> None:
    """Whoever locks the file that its holder removes holds nothing: what counts is the file that lies there then."""
    path = tmp_path / "lock"
    first, second, third = Lock(path), Lock(path), Lock(path)
    assert first.try_acquire()
    ready, go = threading.Event(), threading.Event()

    def wait() -> None:
        ready.set()
        with second.held(10.0):
            go.wait(10.0)

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert ready.wait(10.0)
    first.remove()
    wait_for(path.exists, "the next holder's file")
    wait_for(second.is_in_place, "the next holder")
    assert not third.try_acquire()
    go.set()
    waiting.join()
    assert third.try_acquire()
    third.remove()
    assert not path.exists()


def test_what_cannot_be_locked_is_said_so(tmp_path: Path) -> None:
    """A directory that is not there is no lock that somebody holds."""
    with pytest.raises(LakeError, match=r"cannot lock .*missing.*STEPSIZE_STATE"):
        Lock(tmp_path / "missing" / "lock").try_acquire()


def test_reports_need_no_locks(tmp_path: Path) -> None:
    """Where the system has no `fcntl` (Windows), `stepsize report` reads a lake all the same."""
    now = dt.datetime.now(dt.timezone.utc)
    ids = {"flow": "Flow", "run": "1", "step": "train", "task": "1", "attempt": 0}
    write_tasks(tmp_path / "lake", [{**ids, "started_at": now, "ended_at": now, "outcome": "ok"}])
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "STEPSIZE"))}
    places = {"HOME": str(tmp_path), "STEPSIZE_DATA": str(tmp_path / "lake"), "STEPSIZE_RUNTIME": str(tmp_path)}
    script = "import sys; sys.modules['fcntl'] = None; from stepsize.cli import main; main()"
    command = [sys.executable, "-c", script, "report", "--format", "csv"]
    done = subprocess.run(
        command, env={**kept, **places}, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Flow,train" in done.stdout
