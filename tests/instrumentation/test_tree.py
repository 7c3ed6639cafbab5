"""The walk over a process tree, where the kernel lists children and where it does not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stepsize.instrumentation.agent.host import Host
from stepsize.instrumentation.agent.probes.tree import ProcessTree
from tests.instrumentation.conftest import wait_until

FAMILY = """
import subprocess, sys, threading
code = "import sys; sys.stdin.read()"
children = []
def start(): children.append(subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE))
thread = threading.Thread(target=lambda: (start(), sys.stdin.read()))
thread.start()
start()
thread.join()
"""


@pytest.mark.parametrize("lists_children", [True, False])
def test_children_of_every_thread_are_in_the_tree(lists_children: bool) -> None:
    """A process, the child of its main thread and that of another thread are three; gone is gone."""
    root = subprocess.Popen([sys.executable, "-c", FAMILY], stdin=subprocess.PIPE)
    tree = ProcessTree(root.pid, 0, Host(lists_children=lists_children))
    sample = wait_until(lambda: (found := tree.sample()) and found.processes == 3 and found)
    assert sample.threads == 4
    assert sample.memory_peak_bytes >= sample.memory_usage_bytes > 0
    root.communicate()
    assert tree.sample() is None


def test_what_the_tracking_itself_runs_is_left_out() -> None:
    """A process that the agent started is no part of a tree, nor is what it started."""
    root = subprocess.Popen([sys.executable, "-c", FAMILY], stdin=subprocess.PIPE)
    host = Host()
    tree = ProcessTree(root.pid, 0, host)
    wait_until(lambda: (found := tree.sample()) and found.processes == 3)
    host.add_own(host.children(root.pid, threads=2)[0])
    # A child that is being executed holds nothing for a moment, and is not counted then: it settles at two.
    wait_until(lambda: (found := tree.sample()) and found.processes == 2)
    root.communicate()
