"""What sampling and sending cost the host: ``python benchmarks/agent_cost.py [--rounds 3 --seconds 30]``.

Measures, in one run: the CPU time per sample of the agent, and of the tracker processes of resource-tracker 0.5.0, with
trees of 1, 20 and 200 processes; the agent's CPU time per second with 100 tasks of one process each; the memory of
both with 1 and 20 tasks; and what registering costs a task. Both track the same trees at one sample a second, one
after the other, round by round, so that a drift of the machine meets both. Their starts are left out. Memory is that of
both beside Metaflow, where they are used: the PSS of the agent and of the trackers, and for the client in each task the
private pages that one registered process has more than one that is not, times the number of tasks. Prints Markdown,
each figure beside its target. Loopback only; the agent sends over HTTP to `stepsize collect`.

A tree is a root and its children, each an interpreter of its own; the root and every tenth child work for 20 ms of
each second, the others sleep. CPU time is the kernel's CPU clock of each process (clock_getcpuclockid(3)), of all
tracker processes of the peer; the part that is sampling is that of the agent's main thread (``schedstat``).
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import peers
from benchmarks.environment import kept
from stepsize import discovery
from stepsize.identity import Identity
from stepsize.instrumentation import client, procfs, rendezvous, wire
from stepsize.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TREES = (1, 20, 200)
TASKS = 100
PARALLEL = 20
REGISTRATIONS = 20
SAMPLING_TARGET = {1: 0.1, 20: 0.1, 200: 0.1}
"""Of resource-tracker's CPU time, what sampling may take at most."""
SENDING_TARGET = {1: 0.25, 20: 0.2, 200: 0.1}
"""The same with everything that is sent included."""
TASKS_TARGET_MS = (3.0, 25.0)
"""CPU time per second of sampling, and with sending, of `TASKS` tasks."""

_WORKER = """
import sys, time, select
share = 0.02 if sys.argv[1] == "busy" else 0.0
while not select.select([sys.stdin], [], [], 1 - share)[0]:
    end = time.process_time() + share
    while time.process_time() < end:
        pass
"""
_ROOT = """
import subprocess, sys
children = [
    subprocess.Popen([sys.executable, "-S", "-c", sys.argv[1], "idle" if i % 10 else "busy"], stdin=0)
    for i in range(int(sys.argv[2]) - 1)
]
print("ready", flush=True)
sys.argv[1] = "busy"
exec(compile({worker!r}, "worker", "exec"))
"""
_PEER = """
import sys
if sys.argv[2:]:
    import metaflow
from resource_tracker import ResourceTracker
tracker = ResourceTracker(pid=int(sys.argv[1]), discover_server=False, discover_cloud=False)
tracker.start()
print("ready", flush=True)
sys.stdin.read()
tracker.stop()
"""
_REGISTERING = """
import sys, time
import metaflow
before = time.process_time_ns()
from stepsize.instrumentation import client
from stepsize.identity import Identity
from stepsize.settings import Settings
imported = time.process_time_ns()
client.register(Identity("Flow", "1", "step", sys.argv[1]), Settings.load())
after = time.process_time_ns()
print(imported - before, after - imported)
"""


def main() -> None:
    """Run everything and print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each is looked at in each round")
    arguments = parser.parse_args()
    print(
        f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, "
        f"{arguments.rounds} rounds of {arguments.seconds:g} s\n"
    )
    with ExitStack() as stack:
        place = stack.enter_context(_place())
        _print_trees(place, arguments.rounds, arguments.seconds)
        _print_tasks(place, arguments.rounds, arguments.seconds)
        _print_memory(place, arguments.seconds)
        _print_registering(place)


@dataclass(frozen=True)
class Place:
    """Where a run keeps what it needs: a directory, and the collector's address."""

    directory: Path
    endpoint: str

    def settings(self) -> Settings:
        """Settings of an agent that sends to the collector over HTTP."""
        return Settings.load(
            {}, data=self.directory / "lake", runtime=self.directory / "run", endpoint=self.endpoint, agent_idle_s=2.0
        )

    def environment(self) -> dict[str, str]:
        """Environment of everything that is started here."""
        home = {"HOME": str(self.directory), "METAFLOW_HOME": str(self.directory / "metaflow"), "METAFLOW_USER": "b"}
        return self.settings().environment(kept()) | home


@dataclass
class Cost:
    """CPU milliseconds per second (which is per sample), one entry a round."""

    sampling: list[float] = field(default_factory=list)
    total: list[float] = field(default_factory=list)


def _print_trees(place: Place, rounds: int, seconds: float) -> None:
    print("| tree | who | CPU ms per sample, median (quartiles) | ratio | target |\n| --- | --- | --- | --- | --- |")
    for size in TREES:
        ours, theirs = Cost(), Cost()
        for _ in range(rounds):
            with _tree(size) as root:
                _measure_peer(theirs, root, seconds)
                with _agent(place, [root]) as agent:
                    _measure_agent(ours, agent, seconds)
        base = statistics.median(theirs.total)
        print(f"| {size} | resource-tracker | {_spread(theirs.total)} | 1 | |")
        for name, values, target in (
            ("sampling alone", ours.sampling, SAMPLING_TARGET[size]),
            ("sending included", ours.total, SENDING_TARGET[size]),
        ):
            print(f"| {size} | stepsize, {name} | {_spread(values)} | {_ratio(values, base)} | {target:g} |")
        sys.stdout.flush()


def _print_tasks(place: Place, rounds: int, seconds: float) -> None:
    ours = Cost()
    with ExitStack() as stack:
        roots = [stack.enter_context(_tree(1)) for _ in range(TASKS)]
        for _ in range(rounds):
            with _agent(place, roots) as agent:
                _measure_agent(ours, agent, seconds)
    print(f"\n| {TASKS} tasks of one process | CPU ms per second, median (quartiles) | target |\n| --- | --- | --- |")
    for name, values, target in zip(
        ("sampling alone", "sending included"), (ours.sampling, ours.total), TASKS_TARGET_MS, strict=True
    ):
        print(f"| {name} | {_spread(values)} | {target:g} |")
    sys.stdout.flush()


def _print_memory(place: Place, seconds: float) -> None:
    print("\n| tasks | who | MiB: PSS; of clients, private pages of one times the tasks | ratio | target |")
    print("| --- | --- | --- | --- | --- |")
    for count, target in ((1, 1.0), (PARALLEL, 0.1)):
        with ExitStack() as stack:
            roots = [stack.enter_context(_tree(1)) for _ in range(count)]
            with _peer(roots, in_metaflow=True) as trackers:
                time.sleep(min(seconds, 5.0))
                theirs = sum(_pss_mib(pid) for pid in trackers)
            with _agent(place, roots) as agent:
                time.sleep(min(seconds, 15.0))
                agents = _pss_mib(agent)
        clients = count * _client_mib(place)
        ours = agents + clients
        print(f"| {count} | resource-tracker's trackers | {theirs:.1f} | 1 | |")
        parts = f"agent {agents:.1f}, clients {clients:.1f}"
        print(f"| {count} | stepsize ({parts}) | {ours:.1f} | {ours / theirs:.3f} | {target:g} |")
        sys.stdout.flush()


def _print_registering(place: Place) -> None:
    importing, registering = [], []
    with _tree(1) as root, _agent(place, [root]):
        for number in range(REGISTRATIONS):
            command = [sys.executable, "-c", _REGISTERING, str(number)]
            run = subprocess.run(command, env=place.environment(), check=True, capture_output=True, text=True)
            first, second = (int(word) / 1e6 for word in run.stdout.split())
            importing.append(first)
            registering.append(second)
    both = [one + other for one, other in zip(importing, registering, strict=True)]
    print("\n| registering, beside Metaflow | CPU ms of the task, median (quartiles) | target |\n| --- | --- | --- |")
    print(f"| importing the client | {_spread(importing)} | |\n| registering | {_spread(registering)} | |")
    print(f"| both | {_spread(both)} | 2 |")


@contextmanager
def _place() -> Iterator[Place]:
    """A directory and a collector in it, which takes OTLP over HTTP."""
    with tempfile.TemporaryDirectory(prefix="ss-", ignore_cleanup_errors=True) as name, ExitStack() as stack:
        directory = Path(name)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        configuration = directory / "collector.yaml"
        configuration.write_text(
            f"receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{port}'}}}}}}}}\n"
            f"exporters: {{parquet: {{directory: '{directory / 'lake'}'}}}}\n"
            "service: {pipelines: {metrics: {receivers: [otlp], exporters: [parquet]}}}\n"
        )
        command = [sys.executable, "-m", "stepsize", "collect", "--config", str(configuration)]
        collector = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(collector.wait)
        stack.callback(collector.terminate)
        _wait(lambda: _answers(port))
        yield Place(directory, f"http://127.0.0.1:{port}")


@contextmanager
def _tree(size: int) -> Iterator[int]:
    """A tree of so many processes; its root's pid."""
    command = [sys.executable, "-S", "-c", _ROOT.format(worker=_WORKER), _WORKER, str(size)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as root:
        assert root.stdout is not None
        root.stdout.readline()
        time.sleep(0.02 * size)  # the interpreters start
        try:
            yield root.pid
        finally:
            os.killpg(root.pid, signal.SIGKILL)


@contextmanager
def _peer(roots: list[int], *, in_metaflow: bool = False) -> Iterator[list[int]]:
    """resource-tracker on these trees, one each as its users have it; the pids of its trackers.

    They are forked off the process that asks for them, and hold what that had imported: ``in_metaflow``, Metaflow too.
    """
    python = peers.interpreter("resource-tracker, Metaflow" if in_metaflow else "resource-tracker")
    with ExitStack() as stack:
        hosts = []
        for root in roots:
            command = [str(python), "-c", _PEER, str(root), *(["metaflow"] if in_metaflow else [])]
            host = stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            )
            hosts.append(host)
        for host in hosts:
            assert host.stdout is not None
            host.stdout.readline()
        time.sleep(3)  # they begin at a full second, and the first sample is their start
        yield [pid for host in hosts for pid in _children(host.pid)]


@contextmanager
def _agent(place: Place, roots: list[int]) -> Iterator[int]:
    """An agent that watches these trees; its pid. It is past its start and its first seconds' samples."""
    settings = discovery.pinned(place.settings())
    if not client.start_agent(settings):
        raise RuntimeError("no agent can be started")
    now = wire.Reading(time.time_ns(), 0.0, 0.0)
    for number, root in enumerate(roots):
        identity = Identity("Flow", str(now.time_unix_nano), "step", str(number))
        _register(settings, wire.Register(identity, root, now, settings.interval_s))
    status: list[wire.AgentStatus] = []

    def all_watched() -> bool:
        answer = client.ask(settings, wire.Status(), 60.0)
        if isinstance(answer, wire.AgentStatus) and answer.tasks == len(roots):
            status.append(answer)
        return bool(status)

    _wait(all_watched)
    time.sleep(12)  # two exports: what they import is part of the start
    try:
        yield status[0].pid
    finally:
        os.kill(status[0].pid, signal.SIGTERM)
        _wait(lambda: not Path("/proc", str(status[0].pid)).exists())


def _register(settings: Settings, message: wire.Register) -> None:
    """Say of a tree's root what its own client would say."""
    connection = rendezvous.connect(discovery.agent_socket(settings), time.monotonic() + 60.0)
    if connection is None:
        raise RuntimeError("the agent has gone")
    pidfd = os.pidfd_open(message.pid)
    with connection:
        socket.send_fds(connection, [wire.encode(message)], [pidfd])
    os.close(pidfd)


def _measure_peer(cost: Cost, root: int, seconds: float) -> None:
    with _peer([root]) as pids:
        before, start = sum(map(_cpu_ms, pids)), time.monotonic()
        time.sleep(seconds)
        cost.total.append((sum(map(_cpu_ms, pids)) - before) / (time.monotonic() - start))


def _measure_agent(cost: Cost, agent: int, seconds: float) -> None:
    before, sampling, start = _cpu_ms(agent), _main_thread_ms(agent), time.monotonic()
    time.sleep(seconds)
    after, sampled, elapsed = _cpu_ms(agent), _main_thread_ms(agent), time.monotonic() - start
    cost.total.append((after - before) / elapsed)
    cost.sampling.append((sampled - sampling) / elapsed)


def _cpu_ms(pid: int) -> float:
    """CPU time of a process and of the helpers that it waited for: its clock has the number that glibc gives it."""
    stat = procfs.stat("/proc", pid)
    helpers = 0 if stat is None else stat.children_user + stat.children_system
    return time.clock_gettime_ns((~pid << 3) | 2) / 1e6 + helpers * 1e3 / procfs.TICKS_PER_S


def _main_thread_ms(pid: int) -> float:
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e6


def _pss_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _client_mib(place: Place) -> float:
    """Private pages that a registered task has more than one that is not, beside Metaflow."""
    tail = "\nprint('ready', flush=True)\nsys.stdin.read()"
    held = []
    for body in ("import sys\nimport metaflow", _REGISTERING):
        command = [sys.executable, "-c", body + tail, "memory"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=place.environment()) as task:
            assert task.stdout is not None
            assert task.stdin is not None
            while task.stdout.readline() != b"ready\n":
                pass
            rollup = Path(f"/proc/{task.pid}/smaps_rollup").read_text()
            private = [int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_")]
            held.append(sum(private) / 1024)
            task.stdin.close()
    return max(0.0, held[1] - held[0])


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait(condition: Callable[[], bool], patience_s: float = 60.0) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(condition)
        time.sleep(0.05)


def _spread(values: list[float]) -> str:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return f"{middle:.3f} ({low:.3f} … {high:.3f})"


def _ratio(values: list[float], base: float) -> str:
    return f"{statistics.median(values) / base:.3f}"


if __name__ == "__main__":
    main()
