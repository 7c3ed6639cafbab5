"""Where the host ends with the task, the task's end waits until its points are sent; elsewhere it never does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stepsize.instrumentation.lifetime import ENDING_HOSTS, PATIENCE_S, end_wait_s
from stepsize.settings import Settings

if TYPE_CHECKING:
    from tests.instrumentation.conftest import Place
    from tests.instrumentation.receiver import Receiver


@pytest.mark.parametrize("variable", [name for name, _ in ENDING_HOSTS])
def test_a_host_that_ends_with_the_task_is_known_by_its_environment(variable: str) -> None:
    """Each row of the table alone; a variable that is set to no is not set."""
    assert end_wait_s(Settings.load({}), {variable: "x"}) == PATIENCE_S
    assert end_wait_s(Settings.load({}), {variable: "false"}) == 0
    assert end_wait_s(Settings.load({}), {}) == 0


def test_the_setting_goes_before_the_table() -> None:
    """`STEPSIZE_END_WAIT` says so itself, 0 included."""
    assert end_wait_s(Settings.load({"STEPSIZE_END_WAIT": "0"}), {"CI": "true"}) == 0
    assert end_wait_s(Settings.load({"STEPSIZE_END_WAIT": "1.5"}), {}) == 1.5


def test_points_have_arrived_when_the_task_has_ended(place: Place, receiver: Receiver) -> None:
    """Nothing need live on after the task: its end, otherwise sent once in 20 seconds, is there already."""
    settings = place.settings(endpoint=receiver.endpoint, export_interval_s=20.0)
    place.run(settings, "pod", "", env={"STEPSIZE_END_WAIT": "15"})  # however busy this machine is
    assert [point.attributes["stepsize.outcome"] for point in receiver.of("stepsize.task.end", "pod")] == ["ok"]


@pytest.mark.parametrize(("environment", "shortest_s", "longest_s"), [({"CI": "true"}, 1.9, 4.0), ({}, 0.0, 1.5)])
def test_a_collector_that_hangs_costs_no_more_than_the_bound(
    place: Place, receiver: Receiver, environment: dict[str, str], shortest_s: float, longest_s: float
) -> None:
    """Two seconds where the host ends with the task, nothing to speak of elsewhere."""
    settings = place.settings(endpoint=receiver.endpoint)
    receiver.answering.clear()
    timed = """
        began = time.monotonic()
        task.end(Outcome.OK, 0)
        print(time.monotonic() - began)
        """
    done = place.run(settings, "hang", timed, env=environment, end=False)
    assert shortest_s <= float(done.stdout) < longest_s


def test_attempts_within_another_wait_once(place: Place, receiver: Receiver) -> None:
    """What a process does within its attempt is sent with it: only the last end in a process waits."""
    settings = place.settings(endpoint=receiver.endpoint)
    receiver.answering.clear()
    nested = """
        began = time.monotonic()
        for number in range(5):
            client.register(Identity("Flow", "1", "inner", str(number)), settings).end(Outcome.OK)
        print(time.monotonic() - began)
        """
    done = place.run(settings, "outer", nested, env={"SLURM_JOB_ID": "1", "STEPSIZE_END_WAIT": "0.5"}, end=False)
    assert float(done.stdout) < 0.5
