"""Rounds: one look at the host for every tree, whichever way the new processes are found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stepsize.instrumentation.agent.host import Host
from stepsize.instrumentation.agent.newcomers import Newcomers
from stepsize.instrumentation.agent.probes.tree import ProcessTree
from stepsize.instrumentation.agent.processes import Processes
from tests.instrumentation.conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOBODY, _EVERYBODY = 0, 10**9
"""Numbers of processes for which a walk, and a scan, is certain to look cheaper once both were measured."""


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    """A shell that starts what it is told to."""
    with subprocess.Popen(["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as shell:
        try:
            yield shell
        finally:
            shell.kill()


def _tell(shell: subprocess.Popen[str], line: str) -> int:
    """Have the shell do something, and read a number that it prints."""
    assert shell.stdin is not None
    assert shell.stdout is not None
    shell.stdin.write(f"{line}\n")
    return int(shell.stdout.readline())


def _start(shell: subprocess.Popen[str]) -> int:
    """Have the shell start a child that waits; its pid."""
    return _tell(shell, "sleep 60 & echo $!")


def _end(shell: subprocess.Popen[str], pid: int) -> None:
    _tell(shell, f"kill {pid}; wait {pid} 2>/dev/null; echo 0")


def test_in_a_round_a_process_is_read_once() -> None:
    """Whoever asks gets the very same state until the round is over, and that of the next one then."""
    processes = Processes("/proc", lists_children=True)
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        with processes.round(1):
            first = processes.stat(child.pid)
            assert processes.stat(child.pid) is first

        def has_run() -> bool:
            with processes.round(1):
                now = processes.stat(child.pid)
                return now is not None and first is not None and now.user > first.user

        wait_until(has_run)
        child.kill()


def test_a_state_that_has_not_changed_is_the_same_object(parent: subprocess.Popen[str]) -> None:
    """So that what was worked out from it need not be worked out again."""
    processes = Processes("/proc", lists_children=True)
    pid = _start(parent)

    def is_asleep_twice() -> bool:
        with processes.round(1):
            before = processes.stat(pid)
        with processes.round(1):
            return processes.stat(pid) is before

    wait_until(is_asleep_twice)


def test_who_has_ended_is_gone_though_a_file_of_it_is_open(parent: subprocess.Popen[str]) -> None:
    """A kept file does not keep its process."""
    processes = Processes("/proc", lists_children=True)
    pid = _start(parent)
    with processes.round(1):
        assert processes.stat(pid) is not None
        assert processes.disk_bytes(pid) == (0, 0)
    _end(parent, pid)
    with processes.round(1):
        assert processes.stat(pid) is None
        assert not processes.disk_bytes(pid)


def test_what_a_process_does_without_a_trace_is_seen_one_round_later(tmp_path: Path) -> None:
    """Of one that used no tick, children and bytes are read every other round; of one that did, and alone, always."""
    state = Path("/proc/self/stat").read_bytes()
    pid = int(state.split()[0])
    process = tmp_path / str(pid)
    (process / "task" / str(pid)).mkdir(parents=True)
    stat, io, children = process / "stat", process / "io", process / "task" / str(pid) / "children"
    processes = Processes(str(tmp_path), lists_children=True)

    def become(state: bytes, count: int) -> None:
        stat.write_bytes(state)
        io.write_text(f"rchar: 0\nread_bytes: {count}\nwrite_bytes: 0\n")
        children.write_text(f"{count} ")

    def seen(*, one_of_many: bool = True) -> tuple[list[int], tuple[int, int] | None]:
        with processes.round(1, one_of_many=one_of_many):
            assert processes.stat(pid) is not None
            return processes.children(pid, 1), processes.disk_bytes(pid)

    become(state, 1)
    assert seen() == ([1], (1, 0))
    become(state, 2)
    assert seen() == ([1], (1, 0))
    assert seen() == ([2], (2, 0))
    become(state, 3)
    assert seen(one_of_many=False) == ([3], (3, 0))
    become(state.replace(b" S ", b" R ") if b" S " in state else state.replace(b" R ", b" S "), 4)
    assert seen() == ([4], (4, 0))


@pytest.mark.parametrize("expected", [_NOBODY, _EVERYBODY])
def test_a_tree_is_the_same_by_walk_and_by_scan(parent: subprocess.Popen[str], expected: int) -> None:
    """Children that come between two rounds are found, and found again though another tree's rounds lie between."""
    host = Host()
    tree = ProcessTree(parent.pid, 0, host)
    for _ in range(3):  # both ways have been measured
        with host.processes.round(expected):
            assert tree.sample() is not None
    children = set()
    for others in (0, 1, 3):
        children |= {_start(parent), _start(parent)}
        for _ in range(others):
            with host.processes.round(expected):
                pass
        with host.processes.round(expected):
            assert tree.sample() is not None
        assert set(tree.pids()) == {parent.pid} | children
    gone = children.pop()
    _end(parent, gone)
    with host.processes.round(expected):
        tree.sample()
    assert set(tree.pids()) == {parent.pid} | children


def test_newcomers_are_those_who_were_not_there_before(parent: subprocess.Popen[str]) -> None:
    """From the round in which they came on, and for as long as they live; those of before are not new."""
    newcomers = Newcomers("/proc")
    old = _start(parent)
    assert not newcomers.covers(1)
    newcomers.look(1)
    assert newcomers.covers(1)
    new = _start(parent)
    newcomers.look(2)
    assert newcomers.of(parent.pid, 1) == newcomers.of(parent.pid, 2) == [new]
    assert newcomers.of(parent.pid, 3) == []
    _end(parent, new)
    newcomers.look(3)
    assert newcomers.of(parent.pid, 1) == []
    assert old not in newcomers.of(parent.pid, 0)


def test_an_orphan_has_its_new_parent(parent: subprocess.Popen[str]) -> None:
    """Whose parent ended after it was first listed is looked up once more."""
    newcomers = Newcomers("/proc")
    newcomers.look(1)
    orphan = _tell(parent, "sh -c 'sleep 60 & echo $!; wait' &")
    newcomers.look(2)
    (middle,) = newcomers.of(parent.pid, 2)
    assert newcomers.of(middle, 2) == [orphan]
    _end(parent, middle)
    newcomers.look(3)
    assert newcomers.of(middle, 1) == []
    subprocess.run(["kill", str(orphan)], check=True)
