"""Upkeep killed at whatever moment: nothing is lost, nothing is there twice, and readers never notice."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from typing_extensions import Self

from stepsize.store.lake import Lake
from tests.upkeep.lake import FIRST, SECOND_WRITER, commit, samples, seen

# Counts system calls that change the disk, by Python's own hooks, and ends the process at the nth as SIGKILL would.
KILLED = """
import os, sys
from pathlib import Path
data, nth = Path(sys.argv[1]), int(sys.argv[2])
left = nth
def watch(event, arguments):
    global left
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if writes or event in ("os.rename", "os.remove", "os.mkdir", "shutil.rmtree"):
        if not any(str(data) in str(argument) for argument in arguments):
            return
        left -= 1
        if left == 0:
            os._exit(9)
from stepsize.collector.upkeep.tend import tend
from stepsize.store.retention import Retention
sys.addaudithook(watch)
tend(data, Retention(points_s=50 * 86_400.0), 0.0)
"""


def killed_at(data: Path, nth: int) -> bool:
    """Whether upkeep reached the nth change of the disk, and ended there."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(data), str(nth)], capture_output=True, check=False)
    assert done.returncode in (0, 9), done.stderr.decode()
    return done.returncode == 9


class Reader:
    """Reads again and again, each time from a connection of its own, and keeps what it saw."""

    def __init__(self, data: Path) -> None:
        self.counts: set[tuple[int, int]] = set()
        self.failures: list[Exception] = []
        self._data = data
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def _read(self) -> None:
        query = "SELECT count(*), count(DISTINCT (time_unix_nano, task)) FROM exact_points WHERE task <> 'old'"
        try:
            while not self._stop.is_set():
                with Lake(self._data).connect() as connection:
                    (found,) = connection.execute(query).fetchall()
                self.counts.add(found)
        except Exception as error:  # noqa: BLE001 - whatever it is, the reader has noticed
            self.failures.append(error)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_killed_at_every_change_of_the_disk(tmp_path: Path) -> None:
    """Again and again, each time a little later, until it is through: every point is there all the while."""
    for writer in (FIRST, SECOND_WRITER):
        for start in range(0, 40, 20):
            commit(tmp_path, writer, *samples(2, 40, task=writer)[start : start + 20])
        commit(tmp_path, writer, *samples(60, 3, task="old"))
    commit(tmp_path, FIRST, *samples(2, 10, task=FIRST))
    nth, kills = 3, 0
    with Reader(tmp_path) as reader:
        while killed_at(tmp_path, nth):
            nth, kills = nth + 3, kills + 1
    assert kills >= 3
    assert reader.failures == []
    assert reader.counts <= {(90, 80), (80, 80)}
    assert len(seen(tmp_path)) == 80
    assert seen(tmp_path, "SELECT count(DISTINCT (time_unix_nano, task)) FROM exact_points") == [(80,)]
