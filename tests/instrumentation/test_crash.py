"""An agent that is killed is started again, and nothing of its tasks is missing."""

from __future__ import annotations

import contextlib
import marshal
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stepsize.instrumentation import client, rendezvous, wire
from stepsize.instrumentation.agent import slots
from stepsize.instrumentation.agent.journal import Journal, Left, LiveAttempt
from stepsize.instrumentation.agent.points import ResourcePoints
from stepsize.instrumentation.agent.progress import Progress
from stepsize.model import Identity
from tests.instrumentation.conftest import is_running, status, wait_until, waiter_of
from tests.instrumentation.receiver import TIMEOUT_S, Receiver, http_receiver

if TYPE_CHECKING:
    from stepsize.settings import Settings
    from tests.instrumentation.conftest import Place

SPIN = "e = time.process_time() + {0}\nwhile time.process_time() < e: pass\n"
WAIT = "print('up', flush=True)\nsys.stdin.readline()\n"


def _kill(settings: Settings, tasks: int = 1) -> tuple[int, int]:
    """Kill the agent once it watches so many tasks; the pids of it and of its successor."""
    first = wait_until(lambda: (found := status(settings)) and found.tasks == tasks and found)
    os.kill(first.pid, signal.SIGKILL)
    second = wait_until(lambda: (found := status(settings)) and found.pid != first.pid and found)
    return first.pid, second.pid


def _say(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin
    process.stdin.write(b"\n")
    process.stdin.flush()


def _started(place: Place, settings: Settings, name: str, body: str) -> subprocess.Popen[bytes]:
    process = place.start(settings, name, body, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    return process


def _samples(settings: Settings) -> int:
    """Samples of the one task that is watched, as its agent says."""
    (instance,) = wait_until(lambda: status(settings)).instances
    summary = client.ask(settings, wire.Summarize(instance), 5.0)
    assert isinstance(summary, wire.Summary)
    return summary.samples


def _noted(place: Place) -> tuple[list[Any], list[Any]]:
    """Attempts, and resources with points, in the journal of the one agent there is: what the next one would find."""
    content, _ = slots.last(list(place.runtime.glob("*.live")))
    if not content:
        return [], []
    _, (_, attempts, points, fresh) = marshal.loads(content)
    batches = [batch for _, batch in fresh]
    for path in place.runtime.glob("*.batch"):
        with contextlib.suppress(FileNotFoundError):  # it is taken by now
            _, (_, batch) = marshal.loads(path.read_bytes())
            batches.append(batch)
    return attempts, [resource for batch in [points, *batches] for resource in batch]


def _noted_progress(place: Place) -> list[Progress]:
    attempts, _ = _noted(place)
    return [Progress(*progress) for *_, progress in attempts]


def _noted_points(place: Place, metric: str) -> int:
    """Points of a metric in the journal."""
    _, resources = _noted(place)
    return sum(len(points) for *_, series in resources for (name, _), points in series.items() if name == metric)


def test_a_kill_in_the_middle_of_a_task_leaves_no_gap(place: Place, receiver: Receiver) -> None:
    """The new agent goes on by itself: samples before and after, none sent twice, sums that never fall, one end."""
    settings = place.settings(endpoint=receiver.endpoint, export_interval_s=5.0)
    process = _started(place, settings, "kill", SPIN.format(0.5) + WAIT + SPIN.format(0.3))
    # Samples that no export has taken along.
    wait_until(lambda: _noted_points(place, "stepsize.task.memory.usage") >= 8)
    _kill(settings)
    wait_until(lambda: status(settings).tasks == 1)
    _say(process)
    process.communicate(timeout=TIMEOUT_S)
    assert receiver.end("kill").attributes["stepsize.outcome"] == "ok"
    usage = [p.time_unix_nano for p in receiver.of("stepsize.task.memory.usage", "kill")]
    assert len(usage) == len(set(usage))
    assert max(b - a for a, b in pairwise(sorted(usage))) <= 5e9  # 2 s, and room for a busy machine to start an agent
    assert len(usage) >= 8
    assert 0.78 <= receiver.cpu_s("kill") <= 1.3
    for mode in ("user", "system"):
        points = sorted(receiver.of("stepsize.task.cpu.time", "kill", cpu_mode=mode), key=lambda p: p.time_unix_nano)
        assert all(a.value <= b.value for a, b in pairwise(points))
    assert len(receiver.of("stepsize.task.end", "kill")) == 1


def test_what_only_the_killed_agent_knew_is_kept(place: Place, settings: Settings, receiver: Receiver) -> None:
    """CPU of a child that nobody waited for, and a peak of one that is gone, are still in the sums and the peak."""
    child = "import time\nblock = bytearray(150_000_000)\n" + SPIN.format(0.4) + "time.sleep(0.5)"
    body = (
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        "while os.path.exists(f'/proc/{child.pid}'): time.sleep(0.02)\n"
        "time.sleep(0.5)\n" + WAIT
    )
    process = _started(place, settings, "known", body)
    seen = _samples(settings)  # with those of the child, which is no more
    wait_until(lambda: [each.samples for each in _noted_progress(place)] >= [seen])
    _kill(settings)
    _say(process)
    process.communicate(timeout=TIMEOUT_S)
    receiver.end("known")
    assert receiver.cpu_s("known") >= 0.39
    assert receiver.last("stepsize.task.memory.peak", "known") >= 150_000_000


def test_a_task_that_ends_while_no_agent_lives_is_complete(
    place: Place, settings: Settings, receiver: Receiver
) -> None:
    """Its last word waits at the socket, which is never closed; without one the attempt ends all the same."""
    told, silent = _started(place, settings, "told", WAIT), _started(place, settings, "silent", WAIT + "os._exit(3)\n")
    first = wait_until(lambda: (found := status(settings)) and found.tasks == 2 and found)
    (waiter,) = waiter_of(first.pid)
    wait_until(lambda: len(_noted_progress(place)) == 2)
    os.kill(waiter, signal.SIGSTOP)
    os.kill(first.pid, signal.SIGKILL)
    for process in (told, silent):
        _say(process)
        process.communicate(timeout=TIMEOUT_S)
    os.kill(waiter, signal.SIGCONT)
    assert receiver.end("told").attributes["stepsize.outcome"] == "ok"
    assert receiver.end("silent").attributes["stepsize.outcome"] == "unknown"
    assert status(settings).pid != first.pid


def test_points_that_nobody_took_are_sent_by_the_next_agent(place: Place) -> None:
    """A collector that is down and an agent that is killed, one after the other: the points of both are there."""
    with http_receiver() as early:
        port = int(early.endpoint.rpartition(":")[2])
    settings = place.settings(endpoint=f"http://127.0.0.1:{port}")
    place.run(settings, "early", "time.sleep(0.5)")
    wait_until(lambda: (found := status(settings)) and found.tasks == 0 and found.unsent_points)
    wait_until(lambda: _noted_points(place, "stepsize.task.end"))
    _kill(settings, tasks=0)
    with http_receiver(port) as late:
        assert late.end("early").attributes["stepsize.outcome"] == "ok"
        times = [p.time_unix_nano for p in late.of("stepsize.task.memory.usage", "early")]
        assert times == sorted(set(times))


def test_an_agent_that_crashes_again_and_again_is_let_go_of(place: Place, settings: Settings) -> None:
    """The shell beside it ends too, and the next client starts another agent."""
    process = _started(place, settings, "again", WAIT)
    first = wait_until(lambda: status(settings))
    (waiter,) = waiter_of(first.pid)
    killed = 0
    while is_running(waiter):
        found = status(settings)
        if found is not None and is_running(waiter):
            os.kill(found.pid, signal.SIGKILL)
            killed += 1
            wait_until(lambda pid=found.pid: not is_running(pid))
        assert killed <= 6
    assert killed == 6
    _say(process)
    process.communicate(timeout=TIMEOUT_S)
    assert wait_until(lambda: status(settings)).pid != first.pid


def test_an_agent_that_ends_of_itself_leaves_nothing_behind(place: Place, receiver: Receiver) -> None:
    """Neither shell, socket nor journal: a log at most, and locks."""
    settings = place.settings(endpoint=receiver.endpoint, agent_idle_s=0.1)
    process = _started(place, settings, "idle", WAIT)
    agent = wait_until(lambda: status(settings))
    (waiter,) = waiter_of(agent.pid)
    _say(process)
    process.communicate(timeout=TIMEOUT_S)
    wait_until(lambda: not is_running(agent.pid) and not is_running(waiter))
    assert {path.suffix for path in place.runtime.iterdir()} <= {".log", ".lock"}
    assert not list(place.runtime.glob("*.*.lock"))


LIVE = LiveAttempt(
    wire.encode(wire.Register(Identity("F", "1", "s", "t"), 7, wire.Reading(5, 0.1, 0.2), 1.0)).rstrip(),
    7,
    123,
    Progress(9, 1.5, 0.5, None, None, 10, "vmhwm", 2.0, 3, 4),
)
POINTS = [ResourcePoints({"a": 1, "b": "x"}, 5, {("m", (("k", "v"),)): [(1, 2), (3, 4.5)]})]


@pytest.fixture
def socket_path(tmp_path: Path) -> Path:
    return tmp_path / "agent-x.sock"


def _abandoned(path: Path) -> None:
    """What a process leaves that is killed: its files, without its lock."""
    pid = os.fork()
    if pid == 0:
        journal = Journal(path, "boot")
        journal.seal(1, POINTS)
        journal.seal(2, POINTS)
        journal.settle(1)
        journal.write([LIVE], POINTS)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)


def test_the_journal_gives_back_what_was_noted_once(socket_path: Path) -> None:
    """Settled batches are not in it; whoever takes it leaves none of it, so that nothing in it can harm twice."""
    _abandoned(socket_path)
    mine = Journal(socket_path, "boot")
    assert mine.take() == Left((LIVE,), (POINTS, POINTS))
    assert mine.take() == Left()
    mine.close()
    assert list(socket_path.parent.iterdir()) == []


def test_after_a_boot_only_the_points_count(socket_path: Path) -> None:
    """Numbers of processes mean nothing any more."""
    _abandoned(socket_path)
    assert Journal(socket_path, "another boot").take() == Left((), (POINTS, POINTS))


def test_the_journal_of_an_agent_that_lives_is_left_alone(socket_path: Path) -> None:
    """One that is about to end sends or spools its points itself."""
    living = Journal(socket_path, "boot")
    living.write([LIVE], POINTS)
    ours = subprocess.run(
        [sys.executable, "-c", f"""
from pathlib import Path
from stepsize.instrumentation.agent import slots
from stepsize.instrumentation.agent.journal import Journal, Left
assert Journal(Path({str(socket_path)!r}), "boot").take() == Left()
"""],
        check=False,
    )  # fmt: skip
    assert ours.returncode == 0
    living.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a process 1 of its own")
def test_the_next_agent_may_have_the_same_pid(socket_path: Path) -> None:
    """As in a container that is started again: what the one before it left is taken up all the same."""
    code = f"""
import os, sys
from pathlib import Path
from stepsize.instrumentation.agent import slots
from stepsize.instrumentation.agent.journal import Journal
from tests.instrumentation.test_crash import LIVE, POINTS
journal = Journal(Path({str(socket_path)!r}), "boot")
print(os.getpid(), len(journal.take().attempts))
journal.write([LIVE], POINTS)
"""
    command = ["unshare", "--pid", "--fork", sys.executable, "-c", code]
    said = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(2)]
    assert said == ["1 0\n", "1 1\n"]


def test_a_damaged_journal_is_none(socket_path: Path) -> None:
    """Nothing of it is taken, and it is gone."""
    _abandoned(socket_path)
    for path in socket_path.parent.glob("agent-x.*.*"):
        if path.suffix != ".lock":
            path.write_bytes(path.read_bytes()[:-4])
    assert Journal(socket_path, "boot").take() == Left()


def test_a_socket_that_was_withdrawn_is_replaced_where_nobody_serves(tmp_path: Path) -> None:
    """An agent that goes on where one was killed listens anew if that had given the socket up, unless another does."""
    path, soon = tmp_path / "agent.sock", time.monotonic() + 10
    handed = rendezvous.listen(path)
    assert rendezvous.adopt(path, handed, soon) is handed
    rendezvous.withdraw(path, handed)
    made = rendezvous.adopt(path, handed, soon)
    assert made is not None
    assert made is not handed
    assert rendezvous.adopt(path, handed, soon) is None
    for listener in (handed, made):
        listener.close()


def _killed(path: Path, *numbers: int) -> None:
    """Leave what a journal says that sealed a batch a look, and was told of the last of these numbers as settled."""
    pid = os.fork()
    if pid == 0:
        journal = Journal(path, "boot")
        for number in (1, 2, 3):
            journal.seal(number, [ResourcePoints({"n": number}, 5, {("m", ()): [(1, 2)]})])
            journal.write([LIVE], [])
        for number in numbers:
            journal.settle(number)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)


@pytest.mark.parametrize("settled", [0, 1, 2, 3])
def test_a_batch_is_left_from_when_it_was_noted_until_it_is_settled(socket_path: Path, settled: int) -> None:
    """Beside the attempts or in a file of its own, as old as it is: what was taken is not sent again, the rest is."""
    _killed(socket_path, settled)
    left = Journal(socket_path, "boot").take()
    assert [batch[0].resource["n"] for batch in left.batches] == list(range(settled + 1, 4))
    assert left.attempts == (LIVE,)


def test_whoever_is_killed_while_writing_leaves_what_it_wrote_before(tmp_path: Path) -> None:
    """A content that is not whole is none: the one before it counts, with what was put beside that one."""
    paths = [tmp_path / "one", tmp_path / "other"]
    written = slots.Slots(paths)
    written.write(b"first")
    written.mark(7)
    assert slots.last(paths) == (b"first", 7)
    written.write(b"second")
    assert slots.last(paths) == (b"second", 0)
    written.close()
    latest = next(path for path in paths if b"second" in path.read_bytes())
    latest.write_bytes(latest.read_bytes().replace(b"second", b"sec\0\0\0"))
    assert slots.last(paths) == (b"first", 7)


def test_slots_outlive_a_tidied_directory_and_give_back_room(tmp_path: Path) -> None:
    """Files that somebody removed are made again; a short content leaves no file as long as a long one before it."""
    paths = [tmp_path / "one", tmp_path / "other"]
    written = slots.Slots(paths)
    for _ in range(2):
        written.write(bytes(2 << 20))
    for _ in range(2):
        written.write(b"short")
    assert all(path.stat().st_size < 100 for path in paths)
    for path in paths:
        path.unlink()
    written.write(b"again")
    assert slots.last(paths) == (b"again", 0)
    written.close()
