"""``stepsize.track``: blocks and functions, whatever becomes of them, and the handle that answers."""

from __future__ import annotations

import asyncio
import os
import platform
import shlex
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

import stepsize
from stepsize.errors import UnavailableError, UsageError
from tests.api.conftest import Program, column, work
from tests.instrumentation.conftest import status, wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


def test_a_block_answers_while_it_runs_and_afterwards(program: Program) -> None:
    """Samples come while the block runs; its last word and the collector's row agree with what it was."""
    with stepsize.track(flow="Flow", run="7", step="fit") as task:
        assert task.running
        assert task.outcome is None
        task.wait_for_samples(3)
        work(0.3)
        during = task.stats()
        assert during.samples >= 3
        assert task.problem is None
    after = task.stats()
    assert (task.running, task.outcome) == (False, stepsize.Outcome.OK)
    assert after.samples > during.samples
    assert after.cpu_seconds is not None
    assert after.cpu_seconds >= 0.3
    end = program.receiver.end(task.identity.task)
    assert end.attributes["stepsize.outcome"] == "ok"
    assert (task.identity.flow, task.identity.run, task.identity.step) == ("Flow", "7", "fit")


def test_every_column_of_the_nearest_peer_is_there(program: Program) -> None:
    """Under its plain and its human name (resource-tracker 0.5.0, ``column_maps.py``)."""
    process = {"pid": "PID", "children": "children", "utime": "CPU time (user)", "stime": "CPU time (system)"}
    process |= {"cpu_usage": "CPU usage", "memory_mib": "memory usage", "disk_read_bytes": "disk read"}
    process |= {"disk_write_bytes": "disk write", "gpu_usage": "GPU usage", "gpu_vram_mib": "VRAM used"}
    process |= {"gpu_utilized": "GPUs in use"}
    system = {"processes": "processes", "utime": "CPU time (user)", "stime": "CPU time (system)"}
    system |= {"cpu_usage": "CPU usage", "memory_free_mib": "free memory", "memory_used_mib": "used memory"}
    system |= {"memory_buffers_mib": "memory buffers", "memory_cached_mib": "memory page/file cached"}
    system |= {"memory_active_mib": "active memory", "memory_inactive_mib": "inactive memory"}
    system |= {"disk_read_bytes": "disk read", "disk_write_bytes": "disk write"}
    system |= {"disk_space_total_gb": "disk space total", "disk_space_used_gb": "disk space used"}
    system |= {"disk_space_free_gb": "disk space free", "net_recv_bytes": "inbound network traffic"}
    system |= {"net_sent_bytes": "outbound network traffic", "gpu_usage": "GPU usage"}
    system |= {"gpu_vram_mib": "VRAM used", "gpu_utilized": "GPUs in use"}
    with stepsize.track() as task:
        task.wait_for_samples(2)
    plain, human = task.metrics(), task.metrics(human_names=True)
    assert {"timestamp"} | {f"process_{name}" for name in process} <= set(plain.column_names)
    assert {f"system_{name}" for name in system} <= set(plain.column_names)
    assert {"Timestamp"} | {f"Process {name}" for name in process.values()} <= set(human.column_names)
    assert {f"System {name}" for name in system.values()} <= set(human.column_names)
    assert {"timestamp", *process} <= set(task.metrics("process").column_names)
    assert {"timestamp", *system} <= set(task.metrics("system").column_names)
    assert column(plain, "process_pid") == [os.getpid()] * plain.num_rows
    for name in ("memory_used_mib", "memory_free_mib", "cpus", "processes", "disk_space_total_gb"):
        assert min(column(plain, f"system_{name}")) > 0
    assert column(plain, "process_gpu_usage") == []  # what cannot be read is absent, never zero


@pytest.mark.parametrize(
    ("raised", "outcome"),
    [
        (ValueError("mine"), stepsize.Outcome.FAILED),
        (SystemExit(3), stepsize.Outcome.FAILED),
        (SystemExit(0), stepsize.Outcome.OK),
        (KeyboardInterrupt(), stepsize.Outcome.KILLED),
        (asyncio.CancelledError(), stepsize.Outcome.KILLED),
    ],
    ids=repr,
)
def test_what_a_block_raises_is_raised(program: Program, raised: BaseException, outcome: stepsize.Outcome) -> None:
    """Untouched, and it says how the attempt ended."""
    with pytest.raises(type(raised)) as caught, stepsize.track(step="raises") as task:
        raise raised
    assert caught.value is raised
    assert task.outcome is outcome
    assert program.receiver.end(task.identity.task).attributes["stepsize.outcome"] == outcome.value


def test_functions_of_every_kind_are_tracked_call_by_call(program: Program) -> None:
    """A function, a coroutine, a generator, an async generator: each call is an attempt under the function's name."""

    @stepsize.track
    def plain(value: int) -> int:
        """Adds one."""
        return value + 1

    @stepsize.track(flow="Named")
    async def coroutine(value: int) -> int:
        await asyncio.sleep(0)
        return value + 2

    @stepsize.track
    def generator(count: int) -> Iterator[Any]:
        got = yield count
        yield got
        return

    @stepsize.track
    async def async_generator(count: int) -> AsyncIterator[int]:
        for value in range(count):
            yield value

    async def collected() -> list[int]:
        return [value async for value in async_generator(3)]

    assert (plain(1), plain.__name__, plain.__doc__) == (2, "plain", "Adds one.")
    first = plain.latest  # type: ignore[attr-defined]  # a decorated function keeps its own type
    assert plain(2) == 3
    assert plain.latest.identity.task != first.identity.task  # type: ignore[attr-defined]  # a decorated function keeps its own type
    assert asyncio.run(coroutine(1)) == 3
    values = generator(5)
    assert next(values) == 5
    assert stepsize.current() is None  # between two values it is not the generator that runs
    assert values.send("sent") == "sent"  # type: ignore[attr-defined]  # a decorated function keeps its own type
    assert list(values) == []
    assert asyncio.run(collected()) == [0, 1, 2]
    for function in (plain, coroutine, generator, async_generator):
        handle = function.latest  # type: ignore[attr-defined]  # a decorated function keeps its own type
        assert (handle.identity.step, handle.outcome) == (function.__name__, stepsize.Outcome.OK)
    assert coroutine.latest.identity.flow == "Named"  # type: ignore[attr-defined]  # a decorated function keeps its own type


def test_a_function_that_raises_has_failed(program: Program) -> None:
    """And its exception is the caller's."""

    @stepsize.track
    def fails() -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        fails()
    assert fails.latest.outcome is stepsize.Outcome.FAILED  # type: ignore[attr-defined]  # a decorated function keeps its own type


def test_a_block_within_a_block_is_a_step_of_the_same_run(program: Program) -> None:
    """Left-out names are those of the attempt around; the innermost handle is the current one."""
    with stepsize.track(flow="Flow", run="9", step="outer") as outer:
        with stepsize.track(step="inner") as inner:
            assert stepsize.current() is inner
        assert stepsize.current() is outer
        assert outer.running
    assert stepsize.current() is None
    assert (inner.identity.flow, inner.identity.run, inner.identity.step) == ("Flow", "9", "inner")
    assert inner.identity.task != outer.identity.task
    assert program.receiver.end(outer.identity.task).attributes["stepsize.outcome"] == "ok"


def test_a_block_within_a_block_takes_no_orphans_from_it(program: Program) -> None:
    """What a shell leaves behind is known by its session, which both blocks share as one process."""
    script = f"{shlex.quote(sys.executable)} -c 'import sys; sys.stdin.read()' <&3 &"
    code = (
        "import os, stepsize, subprocess, sys\n"
        "read, write = os.pipe(); os.dup2(read, 3)\n"
        "with stepsize.track(step='outer', task='outer') as outer, stepsize.track(step='inner') as inner:\n"
        "    outer.wait_for_samples(1, 20)\n"
        f"    subprocess.run(['/bin/sh', '-c', {script!r}], pass_fds=[3], check=True)\n"
        "    before = outer.samples\n"
        "    outer.wait_for_samples(before + 5, 20)\n"
        "    os.close(write)\n"
        "print(outer.stats()['process_children'].maximum)\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code],
        env=program.environment(),
        start_new_session=True,
        capture_output=True,
        text=True,
        check=False,
        timeout=40,
    )
    assert (finished.stdout.strip(), finished.stderr) == ("1.0", "")
    assert program.receiver.end("outer").attributes["stepsize.outcome"] == "ok"


def test_threads_may_ask_at_the_same_time(program: Program) -> None:
    """While samples come: every table is whole, and no row is counted twice."""
    answers: list[tuple[int, int]] = []
    with stepsize.track(step="asked") as task:
        task.wait_for_samples(1)

        def ask() -> None:
            for _ in range(10):
                table, stats = task.metrics(), task.stats()
                answers.append((table.num_rows, len(set(table["timestamp"].to_pylist()))))
                assert stats["process_memory_mib"].count <= stats.samples

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(answers) == 40
    assert all(rows == different for rows, different in answers)


def test_blocks_without_names_are_of_one_run_of_the_program(program: Program) -> None:
    """One after the other: the same flow and run, a task for each."""
    with stepsize.track() as one:
        pass
    with stepsize.track() as other:
        pass
    assert (one.identity.flow, one.identity.run) == (other.identity.flow, other.identity.run)
    assert one.identity.instance_id != other.identity.instance_id


def test_threads_that_share_one_track_have_an_attempt_each(program: Program) -> None:
    """Entered by several threads at once, each leaves its own: the one that fails, and the one that does not."""
    track, both = stepsize.track(flow="Flow", step="threads"), threading.Barrier(2)
    found: dict[str, stepsize.Tracked] = {}

    def run(name: str) -> None:
        try:
            with track as task:
                found[name] = task
                assert stepsize.current() is task
                both.wait(20)
                if name == "fails":
                    int("none")
        except ValueError:
            pass

    threads = [threading.Thread(target=run, args=(name,)) for name in ("fails", "works")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found["fails"].outcome is stepsize.Outcome.FAILED
    assert found["works"].outcome is stepsize.Outcome.OK


def test_async_blocks_at_once_have_an_attempt_each(program: Program) -> None:
    """Tasks of one loop, each in its own ``async with``."""

    async def run(name: str, mine: asyncio.Event, other: asyncio.Event) -> tuple[str, bool]:
        async with stepsize.track(step=name) as task:
            mine.set()
            await other.wait()
            return task.identity.step, stepsize.current() is task

    async def main() -> list[tuple[str, bool]]:
        one, two = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(run("a", one, two), run("b", two, one))

    assert asyncio.run(main()) == [("a", True), ("b", True)]


def test_another_process_is_tracked(program: Program) -> None:
    """By its pid, from now on: what it had used before is not the attempt's."""
    body = "import sys, time\nd = time.process_time() + 0.4\nwhile time.process_time() < d: pass\nprint(flush=True)\n"
    body += "held = bytearray(80_000_000)\nd = time.process_time() + 0.3\nwhile time.process_time() < d: pass\n"
    body += "print(flush=True); sys.stdin.read()"
    other = subprocess.Popen([sys.executable, "-c", body], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    other.stdout.readline()
    with stepsize.track(step="other", pid=other.pid) as task:
        other.stdout.readline()
        task.wait_for_samples(2)
    other.communicate()
    stats = task.stats()
    assert column(task.metrics("process"), "pid")[0] == other.pid
    assert stats.cpu_seconds == pytest.approx(0.3, abs=0.1)
    assert stats.memory_peak_bytes is not None
    assert stats.memory_peak_bytes > 80_000_000
    assert task.outcome is stepsize.Outcome.OK


def test_how_another_process_ended_within_the_block_is_what_the_agent_saw(program: Program) -> None:
    """Nobody waits for it before the block is left, so that every kernel tells."""
    body = "import sys; print(flush=True); sys.stdin.read(); sys.exit(3)"
    other = subprocess.Popen([sys.executable, "-c", body], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdin is not None
    other.stdout.readline()
    with stepsize.track(step="other", pid=other.pid) as task:
        task.wait_for_samples(1)
        other.stdin.close()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        # A busy machine's agent may take longer than the handle waits for it.
        wait_until(lambda: (agent := status(program.settings())) is not None and not agent.tasks)
    other.wait()
    assert task.outcome is stepsize.Outcome.FAILED


def test_a_process_that_is_not_there_is_a_problem_in_words(program: Program) -> None:
    """The block runs all the same."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with stepsize.track(pid=ended.pid) as task:
        pass
    assert task.problem is not None
    assert str(ended.pid) in task.problem
    assert task.stats().samples == 0


def test_without_children_the_process_alone_counts(program: Program) -> None:
    """What it starts is nobody's."""
    child = "import sys, time\nd = time.process_time() + 0.5\nwhile time.process_time() < d: pass\nsys.stdin.read()"
    with stepsize.track(step="alone", children=False) as task, stepsize.track(step="all") as everything:
        with subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE) as started:
            everything.wait_for_samples(3)
        assert started.returncode == 0
    alone, all_ = task.stats(), everything.stats()
    assert alone.cpu_seconds is not None
    assert all_.cpu_seconds is not None
    assert all_.cpu_seconds - alone.cpu_seconds >= 0.5
    assert alone["process_children"].maximum == 0
    assert (all_["process_children"].maximum or 0) >= 1


def test_the_host_alone_is_looked_at(program: Program) -> None:
    """Its columns are there, no attempt's are, and nobody is told of an attempt."""
    with stepsize.track(step="host", system_only=True) as task:
        task.wait_for_samples(2)
    table = task.metrics()
    assert "system_memory_used_mib" in table.column_names
    assert not [name for name in table.column_names if name.startswith("process_")]
    assert task.samples >= 2
    with stepsize.track(step="after") as later:
        pass
    program.receiver.end(later.identity.task)
    assert not [p for p in program.receiver.points if p.resource.get("stepsize.task.id") == task.identity.task]


def test_memory_that_the_process_held_before_is_not_the_attempt_s(program: Program) -> None:
    """Of two blocks in one process, the second's peak is its own, though VmHWM remembers the first's."""
    with stepsize.track(step="large") as large:
        held = bytearray(200_000_000)
        large.wait_for_samples(2)
        del held
    with stepsize.track(step="small") as small:
        small.wait_for_samples(2)
    before, after = large.stats().memory_peak_bytes, small.stats().memory_peak_bytes
    assert before is not None
    assert after is not None
    assert before - after > 150_000_000


def test_a_handle_knows_where_it_runs(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host as the agent knows it, also from a recording that was saved."""
    monkeypatch.setenv("STEPSIZE_CLOUD", "off")
    with stepsize.track(step="where") as task:
        task.wait_for_samples(2)
        during = task.server()
    assert (during.name, during.architecture) == (platform.node(), platform.machine())
    assert during.cpus == os.cpu_count()
    assert (during.memory_bytes or 0) > 10**8
    assert (during.cloud_vendor, during.instance_type) == (None, None)
    assert stepsize.loads(task.dumps()).server() == task.server()


def test_a_block_that_is_over_at_once_is_complete(program: Program) -> None:
    """Its CPU time is what the process itself told, though no sample may have caught it."""
    with stepsize.track(step="brief") as task:
        work(0.02)
    stats = task.stats()
    assert stats.cpu_seconds is not None
    assert 0.02 <= stats.cpu_seconds < 0.2
    assert stats.duration_s > 0


def test_what_still_runs_at_the_end_is_counted_up_to_it(program: Program) -> None:
    """A child that nobody has waited for: the process itself does not know what it has used."""
    busy = "import sys, time\nd = time.process_time() + 0.4\nwhile time.process_time() < d: pass\nprint(flush=True)\n"
    busy += "sys.stdin.read()"
    with stepsize.track(step="left") as task:
        child = subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        task.wait_for_samples(task.samples + 1)
    child.communicate()
    assert (task.stats().cpu_seconds or 0) >= 0.35  # it is told in clock ticks


def test_a_forked_child_says_nothing_of_its_parent_s_attempt(program: Program) -> None:
    """It inherits the handle, and ends: the attempt goes on."""
    with stepsize.track(step="parent") as task:
        pid = os.fork()
        if pid == 0:
            task.end(stepsize.Outcome.FAILED)
            os._exit(0)
        os.waitpid(pid, 0)
        task.wait_for_samples(1)
        assert task.running
    assert program.receiver.end(task.identity.task).attributes["stepsize.outcome"] == "ok"


def test_an_agent_that_is_killed_is_replaced_and_samples_go_on(program: Program) -> None:
    """A recording that has fallen silent has another agent told of the attempt."""
    with stepsize.track(step="survives") as task:
        task.wait_for_samples(2)
        agent = status(program.settings())
        assert agent is not None
        os.kill(agent.pid, 9)
        before = task.samples
        task.wait_for_samples(before + 2, timeout_s=20)
    assert task.stats().cpu_seconds is not None


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("OTEL_SDK_DISABLED", "true", "OTEL_SDK_DISABLED"),
        ("STEPSIZE_INTERVAL", "soon", "STEPSIZE_INTERVAL"),
        ("STEPSIZE_RUNTIME", "/dev/null", "/dev/null"),
    ],
)
def test_where_nothing_can_be_seen_the_block_runs_and_the_handle_says_why(
    program: Program, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    """No exception, no output; every answer is one that has nothing to say."""
    monkeypatch.setenv(variable, value)
    with stepsize.track(step="nothing") as task:
        result = 1 + 1
    assert result == 2
    assert task.problem is not None
    assert said in task.problem
    assert task.metrics().num_rows == 0
    assert task.stats().samples == 0
    assert task.outcome is stepsize.Outcome.OK
    with pytest.raises(UnavailableError):
        task.wait_for_samples(1)


def test_wrong_use_is_said_where_it_is_written(program: Program) -> None:
    """An interval that is none, a process that nobody looks at, a table or an option that is not there."""
    with pytest.raises(UsageError, match="interval_s"):
        stepsize.track(interval_s=0)
    with pytest.raises(UsageError, match="interval_s"):
        stepsize.track(interval_s="1")
    with pytest.raises(UsageError, match="pid"):
        stepsize.track(system_only=True, pid=1)
    with pytest.raises(TypeError):
        stepsize.track(flows="Flow")  # type: ignore[call-overload]  # unknown names are refused


def test_without_a_block_a_handle_is_ended_by_hand(program: Program) -> None:
    """For notebooks: the first end counts."""
    task = stepsize.track(step="cell").start()
    task.wait_for_samples(1)
    task.end(stepsize.Outcome.FAILED)
    task.end()
    assert task.outcome is stepsize.Outcome.FAILED


def test_a_process_leaves_no_descriptor_behind(program: Program) -> None:
    """Once a handle is gone, so are its files."""

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - one call, one number

    before = descriptors()
    with stepsize.track(step="closed") as task:
        task.wait_for_samples(1)
    del task
    wait_until(lambda: descriptors() <= before)


def test_threads_and_the_quota_are_part_of_what_was_seen(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment said as the block began; the quota as the kernel has it, where there is one."""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with stepsize.track(step="fit") as task:
        monkeypatch.setenv("OMP_NUM_THREADS", "5")
        task.wait_for_samples(1)
    seen = task.seen()
    assert seen.threads["OMP_NUM_THREADS"] == "3"
    sent = program.receiver.end(task.identity.task).resource
    assert sent["process.environment_variable.OMP_NUM_THREADS"] == "3"
    assert seen.cpu_limit is None or seen.cpu_limit > 0
