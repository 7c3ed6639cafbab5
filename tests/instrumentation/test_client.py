"""The client, from inside programs that must not notice it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stepsize import discovery
from stepsize.instrumentation import client, readings
from stepsize.model import Identity, Outcome
from tests.instrumentation.conftest import is_running, status, wait_until
from tests.instrumentation.receiver import TIMEOUT_S, http_receiver

if TYPE_CHECKING:
    from stepsize.settings import Settings
    from tests.instrumentation.conftest import Place
    from tests.instrumentation.receiver import Receiver

DOWN = "http://127.0.0.1:9"  # the discard port, where nobody listens
ANYONE = Identity("Flow", "1", "step", "0")


def test_tasks_that_start_at_once_share_one_agent(place: Place, settings: Settings, receiver: Receiver) -> None:
    """Twenty processes that register in the same moment are all served, by a single agent.

    They say it until they end: a client that a busy machine keeps from its turn for 50 ms has given up its first try.
    """
    gate = place.home / "gate"
    body = (
        "print(os.getpid(), flush=True)\n"
        f"while not os.path.exists({str(place.home / 'end')!r}): task.renew(); time.sleep(0.02)"
    )
    header = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.002)\n"
    script = place.home / "race.py"
    script.write_text(
        header
        + "import sys\nfrom stepsize.instrumentation import client\nfrom stepsize.model import Identity, Outcome\n"
        + "from stepsize.settings import Settings\n"
        + "task = client.register(Identity('Flow', '1', 'step', sys.argv[1]), Settings.load())\n"
        + body
        + "\ntask.end(Outcome.OK, 0)\n"
    )
    environment = place.environment(settings)
    tasks = [
        subprocess.Popen([sys.executable, str(script), str(n)], env=environment, stdout=subprocess.PIPE)
        for n in range(20)
    ]
    gate.touch()
    for task in tasks:
        assert task.stdout is not None
        task.stdout.readline()
    agents = {pid for pid in _agents(settings) if is_running(pid)}
    assert len(agents) == 1
    wait_until(lambda: (found := status(settings)) and found.tasks == 20)
    (place.home / "end").touch()
    for n, task in enumerate(tasks):
        task.communicate(timeout=TIMEOUT_S)
        assert receiver.end(str(n)).attributes["stepsize.outcome"] == "ok"


def test_how_many_threads_libraries_are_to_start_is_told(place: Place, settings: Settings, receiver: Receiver) -> None:
    """As the convention names variables of the environment; a value that is no count stays where it is."""
    said = {"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "hunter2"}
    assert place.run(settings, "0", "", env=said).returncode == 0
    prefix = "process.environment_variable."
    told = {name: value for name, value in receiver.end("0").resource.items() if name.startswith(prefix)}
    assert told == {f"{prefix}OMP_NUM_THREADS": "4"}


def test_the_environment_of_another_process_is_not_this_one(
    settings: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a process that is merely looked at nothing is told that was set for who looks."""
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    with subprocess.Popen(["sleep", "600"]) as other:
        baseline = readings.reading_of(other.pid)
        task = client.register(ANYONE, settings, client.Child(other.pid, baseline, waited_for=False))
        assert "process.environment_variable.OMP_NUM_THREADS" not in task.identity.resource
        other.kill()
    assert receiver.end("0").resource["stepsize.task.id"] == "0"


def _agents(settings: Settings) -> list[int]:
    """Pids of agents that were started for this place: its runtime directory is in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue
        if (
            b"python" in command.split(b"\0")[0]
            and b"instrumentation.agent" in command
            and str(settings.runtime).encode() in environment
        ):
            found.append(int(folder.name))
    return found


def test_a_program_cannot_tell_that_it_is_tracked(place: Place, settings: Settings) -> None:
    """No child to wait for, no descriptor, thread, handler, variable, output, import beyond the standard library."""
    body = """
    import threading
    try:
        print("child", os.wait())
    except ChildProcessError:
        pass
    task.annotate(rows=1)
    task.end(Outcome.OK)
    assert len(os.listdir("/proc/self/fd")) == before, os.listdir("/proc/self/fd")
    assert threading.active_count() == 1
    assert len(os.listdir("/proc/self/task")) == 1
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == handlers
    assert os.environ == environment
    assert not {"requests", "grpc", "opentelemetry", "psutil", "duckdb", "pyarrow"} & set(sys.modules)
    """
    script = place.home / "tell.py"
    script.write_text(
        "import os, signal, sys\n"
        "before = len(os.listdir('/proc/self/fd'))\n"
        "handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}\n"
        "environment = dict(os.environ)\n"
        "from stepsize.instrumentation import client\n"
        "from stepsize.model import Identity, Outcome\n"
        "from stepsize.settings import Settings\n"
        "task = client.register(Identity('Flow', '1', 'step', '0'), Settings.load())\n" + textwrap.dedent(body)
    )
    environment = place.environment(settings)
    done = subprocess.run([sys.executable, "-W", "error", script], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_whoever_waits_for_a_killed_task_is_not_kept_waiting(place: Place, settings: Settings) -> None:
    """The agent holds neither the task's output nor any other descriptor of it, so its pipes close with it."""
    body = (
        "os.set_inheritable(int(sys.argv[1]) if len(sys.argv) > 1 else 1, True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    started = time.monotonic()
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    process = place.start(
        settings, "killed", body, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=(writer,)
    )
    os.close(writer)
    process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == -signal.SIGKILL
    assert os.read(reader, 1) == b""  # the end of a pipe that nobody holds any more
    os.close(reader)
    assert status(settings) is not None
    assert time.monotonic() - started < 10


def test_an_endpoint_that_is_down_is_neither_heard_nor_felt(place: Place) -> None:
    """The task prints nothing, succeeds, and spends next to no time in the client."""
    settings = place.settings(endpoint=DOWN)
    body = """
    started = time.monotonic()
    again = client.register(Identity("Flow", "1", "step", "again"), settings)
    again.end(Outcome.OK)
    assert time.monotonic() - started < 0.05
    """
    done = place.run(settings, "down", body)
    assert (done.returncode, done.stdout) == (0, b"")


def test_no_place_for_sockets_is_neither_heard_nor_felt(place: Place) -> None:
    """A runtime directory that cannot be made switches tracking off, and that is all."""
    (place.home / "file").touch()
    settings = place.settings()
    environment = {"STEPSIZE_RUNTIME": str(place.home / "file" / "below")}
    program = """
    from stepsize.instrumentation import client
    from stepsize.model import Identity, Outcome
    from stepsize.settings import Settings
    settings = Settings.load()
    assert not client.start_agent(settings)
    task = client.register(Identity("Flow", "1", "step", "0"), settings)
    task.annotate(rows=1)
    task.end(Outcome.OK)
    assert not client.flush(settings, 1)
    """
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=place.environment(settings) | environment,
        capture_output=True,
        check=False,
    )
    assert (process.returncode, process.stdout, process.stderr) == (0, b"", b"")


def test_an_agent_that_hangs_costs_at_most_50_ms_a_call(place: Place, settings: Settings) -> None:
    """A stopped agent's socket takes connections until it is full; then a call tries for 50 ms and gives up.

    Of the time for which the machine was busy otherwise nothing is the client's: half of the calls, and the CPU time
    of all, say what it costs.
    """
    assert client.start_agent(settings)
    agent = status(settings)
    assert agent is not None
    os.kill(agent.pid, signal.SIGSTOP)
    try:
        body = """
        import resource, statistics
        from stepsize import discovery
        from stepsize.instrumentation import rendezvous
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        held, waits = [], []
        path = discovery.agent_socket(settings)
        try:
            while True: held.append(rendezvous.connect(path, time.monotonic()))
        except TimeoutError: pass
        attempt = client.register(Identity("Flow", "1", "step", "1"), settings)
        cpu_before_s = time.process_time()
        for n in range(20):
            started = time.monotonic()
            attempt.annotate(n=n)
            waits.append(time.monotonic() - started)
        assert 0.04 < statistics.median(waits) < 0.06, waits
        assert time.process_time() - cpu_before_s < 20 * 0.05
        """
        assert place.run(settings, "hang", body).returncode == 0
    finally:
        os.kill(agent.pid, signal.SIGCONT)


def test_a_forked_child_does_not_speak_for_its_parent(place: Place, settings: Settings, receiver: Receiver) -> None:
    """A child that ends with the registration in its memory does not end the attempt."""
    body = """
    if os.fork() == 0:
        task.end(Outcome.FAILED, 9)
        os._exit(0)
    os.wait()
    """
    place.run(settings, "fork", body)
    assert receiver.end("fork").attributes == {"stepsize.outcome": "ok", "process.exit.code": 0}


def test_modules_in_the_users_directory_do_not_reach_the_agent(
    place: Place, settings: Settings, receiver: Receiver
) -> None:
    """A ``json.py`` and a ``stepsize.py`` where the program is run from are not what the agent imports."""
    folder = place.home / "cwd"
    folder.mkdir()
    for name in ("json.py", "stepsize.py", "socket.py"):
        (folder / name).write_text("raise SystemExit('the wrong module')")
    assert place.run(settings, "cwd", "", cwd=folder).returncode == 0
    receiver.end("cwd")


def test_an_agent_that_was_killed_is_replaced_and_the_attempt_complete(
    place: Place, settings: Settings, receiver: Receiver
) -> None:
    """What the agent knew is in the client's last word: CPU since the registration, peak, outcome."""
    spin = "e = time.process_time() + 0.3\nwhile time.process_time() < e: pass\n"
    go = place.home / "go"
    body = f"print('up', flush=True)\n{spin}while not os.path.exists({str(go)!r}): time.sleep(0.01)"
    process = place.start(settings, "crash", body, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    first = wait_until(lambda: (found := status(settings)) and found.tasks == 1 and found)
    os.kill(first.pid, signal.SIGKILL)
    wait_until(lambda: not is_running(first.pid))
    go.touch()
    process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
    end = receiver.end("crash")
    assert end.attributes["stepsize.outcome"] == "ok"
    assert receiver.cpu_s("crash") >= 0.29
    assert receiver.last("stepsize.task.memory.peak", "crash") > 1 << 20
    second = status(settings)
    assert second is not None
    assert second.pid != first.pid


def test_a_socket_that_nobody_listens_on_is_replaced(place: Place, settings: Settings) -> None:
    """The file that a crashed agent left does not keep the next one from starting."""
    path = discovery.agent_socket(settings)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert client.start_agent(settings)
    assert status(settings) is not None


def test_an_agent_with_nothing_to_do_ends_and_leaves_no_socket(place: Place, receiver: Receiver) -> None:
    """After its idle time the agent is gone; the next task has a new one."""
    settings = place.settings(endpoint=receiver.endpoint, agent_idle_s=0.2)
    place.run(settings, "first", "")
    receiver.end("first")
    wait_until(lambda: not discovery.agent_socket(settings).exists())
    wait_until(lambda: not any(is_running(pid) for pid in _agents(settings)))
    place.run(settings, "second", "")
    receiver.end("second")


def test_an_agent_whose_directory_was_removed_ends_all_the_same(place: Place, receiver: Receiver) -> None:
    """Nobody can find it any more, so it does not stay."""
    settings = place.settings(endpoint=receiver.endpoint, agent_idle_s=0.2)
    place.run(settings, "last", "")
    agents = _agents(settings)
    shutil.rmtree(place.runtime)
    receiver.end("last")
    wait_until(lambda: not any(is_running(pid) for pid in agents))


def test_clients_that_come_while_the_agent_goes_lose_nothing(place: Place, receiver: Receiver) -> None:
    """An agent that ends after a tenth of a second, again and again, serves every task that comes meanwhile."""
    settings = place.settings(endpoint=receiver.endpoint, agent_idle_s=0.05, export_interval_s=0.1)
    body = """
    for n in range(40):
        client.register(Identity("Flow", "1", "step", f"t{n}"), settings).end(Outcome.OK)
        time.sleep(0.049)
    """
    place.run(settings, "outer", body, env={"STEPSIZE_INTERVAL": "10"}, end=False)
    for n in range(40):
        receiver.end(f"t{n}")


def test_flush_returns_when_everything_was_acknowledged(place: Place, receiver: Receiver) -> None:
    """After a flush the collector has what was sampled up to it, of tasks that still run too."""
    settings = place.settings(endpoint=receiver.endpoint, export_interval_s=600, interval_s=600)
    process = place.start(settings, "live", "print('up', flush=True); sys.stdin.read()", stdin=-1, stdout=-1)
    assert process.stdout is not None
    process.stdout.readline()
    assert client.flush(settings, 10.0)
    assert receiver.of("stepsize.task.memory.usage", "live")
    process.communicate(timeout=TIMEOUT_S)


def test_flush_without_an_agent_is_done(place: Place) -> None:
    """Where no agent lives there is nothing to wait for, and none is started."""
    settings = place.settings(endpoint=DOWN)
    assert client.flush(settings, 1.0)
    assert status(settings) is None


def test_flush_says_when_nobody_took_the_points(place: Place) -> None:
    """A collector that is down makes a flush fail, within its time."""
    settings = place.settings(endpoint=DOWN)
    place.run(settings, "lost", "")
    started = time.monotonic()
    assert not client.flush(settings, 0.5)
    assert time.monotonic() - started < 5


def test_flush_says_when_points_were_refused(place: Place, receiver: Receiver) -> None:
    """What a collector refused for good is lost, in the flush itself as before it; the flush after that is well."""
    settings = place.settings(endpoint=receiver.endpoint, export_interval_s=600)
    receiver.status = 400
    place.run(settings, "refused", "")
    wait_until(lambda: (found := status(settings)) and found.dropped_points and not found.unsent_points)
    assert not client.flush(settings, 10.0)
    process = place.start(settings, "live", "print('up', flush=True); sys.stdin.read()", stdin=-1, stdout=-1)
    assert process.stdout is not None
    process.stdout.readline()
    assert not client.flush(settings, 10.0)
    receiver.status = 200
    assert client.flush(settings, 10.0)
    assert receiver.of("stepsize.task.memory.usage", "live")
    process.communicate(timeout=TIMEOUT_S)


def test_switched_off_means_off(place: Place) -> None:
    """`OTEL_SDK_DISABLED` keeps the client from starting, saying or making anything."""
    settings = place.settings(sdk_disabled=True)
    registration = client.register(ANYONE, settings)
    registration.annotate(rows=1)
    registration.end(Outcome.OK)
    assert not client.start_agent(settings)
    assert client.flush(settings, 1.0)
    assert not list(place.runtime.iterdir())


def test_points_wait_for_a_collector_that_comes_late(place: Place) -> None:
    """What was measured while the endpoint was down arrives once it is up, in order and once."""
    with http_receiver() as early:
        port = int(early.endpoint.rpartition(":")[2])
    settings = place.settings(endpoint=f"http://127.0.0.1:{port}")
    place.run(settings, "early", "time.sleep(0.5)")
    assert not client.flush(settings, 0.3)
    with http_receiver(port) as late:
        late.end("early")
        usage = [p.time_unix_nano for p in late.of("stepsize.task.memory.usage", "early")]
        assert usage == sorted(set(usage))
        assert client.flush(settings, 10)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_another_user_is_turned_away(place: Place, settings: Settings) -> None:
    """Whoever gets past the directory's mode is still asked who they are; root's agent answers root alone."""
    assert client.start_agent(settings)
    path = discovery.agent_socket(settings)
    place.runtime.chmod(0o755)
    path.chmod(0o777)
    code = (
        "import os, socket, sys; os.setgid(65534); os.setuid(65534)\n"
        "s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(sys.argv[1])\n"
        'try: s.sendall(b\'{"type":"Status"}\\n\'); answer = s.recv(10)\n'
        "except (BrokenPipeError, ConnectionResetError): answer = b''\n"
        "sys.exit(answer != b'')\n"
    )
    assert subprocess.run([sys.executable, "-I", "-c", code, str(path)], check=False).returncode == 0
    place.runtime.chmod(0o700)
    assert status(settings) is not None


def test_an_agent_that_is_asked_to_end_sends_what_it_has(place: Place, receiver: Receiver) -> None:
    """SIGTERM, as a host that shuts down sends it: the points are delivered, and a later agent goes on."""
    settings = place.settings(endpoint=receiver.endpoint, export_interval_s=600)
    body = "print('up', flush=True); sys.stdin.read()"
    process = place.start(settings, "term", body, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    agent = wait_until(lambda: (found := status(settings)) and found.unsent_points and found)
    os.kill(agent.pid, signal.SIGTERM)
    wait_until(lambda: not is_running(agent.pid))
    assert receiver.of("stepsize.task.memory.usage", "term")
    process.communicate(timeout=TIMEOUT_S)
    assert receiver.end("term").attributes["stepsize.outcome"] == "ok"


class _TooLate(Exception):  # noqa: N818 - as programs name theirs
    pass


class _Alarm:
    """A program's handler, which need not be a function."""

    def __call__(self, *_: object) -> None:
        raise _TooLate


def test_an_alarm_of_the_programs_that_goes_off_in_our_code_is_not_swallowed(settings: Settings) -> None:
    """The program bounds its step by it; a socket that takes no more connections keeps us busy until it does."""
    path = discovery.agent_socket(settings)
    waiting: list[socket.socket] = []
    before = signal.signal(signal.SIGALRM, _Alarm())
    try:
        with socket.socket(socket.AF_UNIX) as full:
            full.bind(str(path))
            full.listen(0)
            for _ in range(2):
                waiting.append(socket.socket(socket.AF_UNIX))
                waiting[-1].setblocking(False)
                waiting[-1].connect_ex(str(path))
            assert not client.annotate(settings, "x", {})  # what goes wrong with us is
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            with pytest.raises(_TooLate):
                client.annotate(settings, "x", {})
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        for each in waiting:
            each.close()


def test_a_task_imports_no_dataclass_and_no_table() -> None:
    """Each class made by `dataclass` would cost every tracked task ten times what its named tuple does."""
    script = """
import sys
import stepsize.instrumentation.client, stepsize.settings
from stepsize.identity import Identity, Outcome
print([name for name in ("dataclasses", "stepsize.model", "stepsize.instrumentation.wire") if name in sys.modules])
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
