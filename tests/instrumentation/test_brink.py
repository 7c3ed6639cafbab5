"""Near the memory limit samples and exports come sooner, since the kernel may end the agent with its task."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize import model
from stepsize.instrumentation.agent.brink import Brink, Haste
from stepsize.instrumentation.agent.probes.observation import Observation
from tests.instrumentation.cgroups import real_group
from tests.instrumentation.receiver import TIMEOUT_S

if TYPE_CHECKING:
    from tests.instrumentation.conftest import Place
    from tests.instrumentation.receiver import Receiver

MIB = 1 << 20
OFTEN, AT_ONCE = Haste(1.0, 1.0), Haste(0.1, 0.2)


def _look(brink: Brink, second: float, used_mib: float, limit_mib: float | None = 100) -> Haste | None:
    found = [Observation(model.CONTAINER_MEMORY_WORKING_SET, int(used_mib * MIB))]
    if limit_mib is not None:
        found.append(Observation(model.CONTAINER_MEMORY_LIMIT, int(limit_mib * MIB)))
    return brink.look("a", 1.0, int((1000 + second) * 1e9), found)


def test_far_from_the_limit_nothing_hurries() -> None:
    """However fast memory grows, as long as two more intervals of it fit."""
    brink = Brink(5.0)
    assert [_look(brink, second, 20 + 20 * second) for second in range(2)] == [None, None]


def test_what_would_pass_the_limit_within_two_intervals_is_sent_at_once() -> None:
    """Ten samples a second, and exports as fast; once it no longer grows, as often as near the limit."""
    brink = Brink(5.0)
    assert _look(brink, 0, 40) is None
    assert _look(brink, 1, 65) == AT_ONCE
    assert _look(brink, 1.1, 67.5) == AT_ONCE
    assert _look(brink, 2, 67.5) is None
    assert _look(brink, 3, 92) == AT_ONCE
    assert _look(brink, 4, 92) == OFTEN


def test_near_the_limit_each_sample_is_sent() -> None:
    """A task that stays there for hours costs five exports in the time of one, and no more samples."""
    brink = Brink(5.0)
    assert [_look(brink, second, 91) for second in range(3)] == [OFTEN] * 3


def test_a_limit_that_is_told_once_holds() -> None:
    """It is not read with every sample."""
    brink = Brink(5.0)
    assert _look(brink, 0, 91) == OFTEN
    assert _look(brink, 1, 91, limit_mib=None) == OFTEN
    brink.forget("a")
    assert _look(brink, 2, 91, limit_mib=None) is None


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0, 1e6)), max_size=20))
def test_without_a_limit_nothing_ever_hurries(samples: list[tuple[float, float]]) -> None:
    """Whatever the clock does."""
    brink = Brink(5.0)
    assert all(_look(brink, second, used, limit_mib=None) is None for second, used in samples)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0, 99)), max_size=20))
def test_whatever_the_clock_does_it_never_raises(samples: list[tuple[float, float]]) -> None:
    """Haste is bounded: it is one of two."""
    brink = Brink(5.0)
    assert {_look(brink, second, used) for second, used in samples} <= {None, OFTEN, AT_ONCE}


def test_a_clock_that_is_set_back_is_no_growth() -> None:
    """What was used before a time that is still to come says nothing of how fast memory grows."""
    brink = Brink(5.0)
    assert _look(brink, 1, 40) is None
    assert _look(brink, 0, 80) is None
    assert _look(brink, 1, 85) is None
    assert _look(brink, 2, 93) == AT_ONCE


def test_a_task_that_nears_its_limit_is_sent_while_it_lives(place: Place, receiver: Receiver) -> None:
    """Long before an export is due, and before anything has ended."""
    settings = place.settings(endpoint=receiver.endpoint, interval_s=0.3, export_interval_s=30)
    body = "hold = b'x' * ({} << 20)\nprint('up', flush=True)\nsys.stdin.readline()\n"
    with real_group("memory", limit_bytes=200 * MIB) as group:
        if group is None:
            pytest.skip("no memory cgroup can be made here")
        begun_s = time.monotonic()
        far = place.start(settings, "far", body.format(1), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert far.stdout
        far.stdout.readline()  # the agent lives now, outside of the small group
        near = place.start(
            settings, "near", body.format(182), through=group.enter(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        receiver.wait(lambda: receiver.of("stepsize.task.memory.usage", "near"))
        assert time.monotonic() - begun_s < 20
        assert not receiver.of("stepsize.task.end")
        assert receiver.of("container.memory.working_set", "near")[-1].value >= 0.8 * 200 * MIB
        for process in (near, far):
            process.communicate(b"\n", timeout=TIMEOUT_S)
