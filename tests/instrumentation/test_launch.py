"""`launch` and ``stepsize run``: a command behaves as if it had been run directly, and is tracked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stepsize.instrumentation import client
from tests.instrumentation.conftest import is_running, status, wait_until
from tests.instrumentation.receiver import TIMEOUT_S

if TYPE_CHECKING:
    from stepsize.settings import Settings
    from tests.instrumentation.conftest import Place
    from tests.instrumentation.receiver import Receiver

MIB = 1 << 20


def _start(place: Place, settings: Settings, *argv: str, options: tuple[str, ...] = (), **popen) -> subprocess.Popen:
    environment = place.environment(settings, OTEL_RESOURCE_ATTRIBUTES="stepsize.task.id=cmd", **popen.pop("env", {}))
    command = [sys.executable, "-m", "stepsize", "run", *options, "--", *argv]
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **popen
    )


def _run(place: Place, settings: Settings, *argv: str, stdin: bytes = b"", **options) -> subprocess.CompletedProcess:
    process = _start(place, settings, *argv, **options)
    output, errors = process.communicate(stdin, timeout=TIMEOUT_S)
    return subprocess.CompletedProcess(argv, process.returncode, output, errors)


def test_a_command_has_its_streams_and_its_exit_code(place: Place, settings: Settings, receiver: Receiver) -> None:
    """Input, output and exit code are the command's; what it used is said on standard error once it has ended."""
    done = _run(place, settings, "sh", "-c", "cat; exit 7", stdin=b"hello")
    assert (done.returncode, done.stdout) == (7, b"hello")
    assert b"stepsize: sh/run used" in done.stderr
    assert receiver.end("cmd").attributes == {"stepsize.outcome": "failed", "process.exit.code": 7}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="no other system has it")
def test_whoever_kills_the_launcher_kills_the_command(place: Place, settings: Settings, receiver: Receiver) -> None:
    """As if it had been run directly: what a supervisor kills does not go on; the attempt was killed."""
    process = _start(place, settings, "sh", "-c", "echo $$; exec sleep 600")
    assert process.stdout is not None
    command = int(process.stdout.readline())
    receiver.wait(lambda: receiver.of("stepsize.task.memory.usage", "cmd"))  # the agent knows it
    process.kill()
    wait_until(lambda: not is_running(command))
    process.communicate(timeout=TIMEOUT_S)
    assert receiver.end("cmd").attributes["stepsize.outcome"] in ("killed", "unknown")  # who waits for it takes its end


def test_what_a_command_used_is_measured(place: Place, settings: Settings, receiver: Receiver) -> None:
    """CPU time from `wait4`, children included, and the peak of what it became, not of the launcher before it."""
    spin = "import time; b = bytearray(200 << 20); e = time.process_time() + .4\nwhile time.process_time() < e: pass"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spin!r}])"
    done = _run(place, settings, sys.executable, "-c", child, options=("--flow", "F", "--run", "R", "--step", "S"))
    end = receiver.end("cmd")
    assert done.returncode == 0
    assert end.resource["stepsize.flow.name"] == "F"
    assert end.resource["stepsize.run.id"] == "R"
    assert end.resource["stepsize.step.name"] == "S"
    assert receiver.cpu_s("cmd") == pytest.approx(0.5, abs=0.2)
    assert 200 * MIB <= receiver.last("stepsize.task.memory.peak", "cmd") <= 260 * MIB
    assert b"F/S used" in done.stderr


def test_a_signal_that_ended_the_command_is_128_and_its_number(
    place: Place, settings: Settings, receiver: Receiver
) -> None:
    """As shells have it; the attempt was killed."""
    assert _run(place, settings, "sh", "-c", "kill -9 $$").returncode == 137
    assert receiver.end("cmd").attributes == {"stepsize.outcome": "killed", "process.exit.signal": 9}


@pytest.mark.parametrize(
    ("name", "code"), [("no-such-command", 127), ("./nosuch.sh", 127), ("/proc/self/stat", 126), ("/", 126)]
)
def test_a_command_that_cannot_be_run_ends_as_in_a_shell(
    place: Place, settings: Settings, receiver: Receiver, name: str, code: int
) -> None:
    """127 where it is not found, 126 where it cannot be executed, one line that says so, and no attempt of ours."""
    done = _run(place, settings, name)
    assert done.returncode == code
    assert done.stderr.startswith(f"stepsize: {name}: ".encode())
    assert done.stderr.count(b"\n") == 1
    assert client.flush(settings, TIMEOUT_S)
    assert not [p for p in receiver.points if "stepsize.task.id" in p.resource]


@pytest.mark.parametrize("warm", [False, True])
def test_nothing_of_the_launcher_is_counted(
    place: Place, settings: Settings, receiver: Receiver, *, warm: bool
) -> None:
    """A command begins as a copy of a Python process, of which neither memory nor CPU time is the command's."""
    if warm:  # an agent that is up may look at the command while it lives
        assert client.start_agent(settings)
        wait_until(lambda: status(settings))
    assert _run(place, settings, "sh", "-c", ":").returncode == 0
    end = receiver.end("cmd")
    assert all(p.value < 6 * MIB for p in receiver.of("stepsize.task.memory.peak", "cmd"))
    (start,) = {p.start_unix_nano for p in receiver.of("stepsize.task.cpu.time", "cmd")}
    assert receiver.cpu_s("cmd") <= (end.time_unix_nano - start) / 1e9
    assert all(0 < p.value <= 1 for p in receiver.of("stepsize.task.cpu.usage", "cmd"))


def test_a_script_without_a_first_line_is_run_by_the_shell(place: Place, settings: Settings) -> None:
    """What shells do with it."""
    script = place.home / "script"
    script.write_text('echo "ran $1"\n')
    script.chmod(0o755)
    assert _run(place, settings, str(script), "it").stdout == b"ran it\n"


@pytest.mark.parametrize(
    "number",
    [
        *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1),
        *(signal.SIGALRM, signal.SIGCONT, signal.SIGWINCH, signal.SIGXCPU, signal.SIGRTMIN + 3),
    ],
)
def test_signals_are_the_commands(place: Place, settings: Settings, number: signal.Signals) -> None:
    """A signal that `stepsize run` alone is sent reaches the command, which decides what becomes of it."""
    code = f"import signal, sys; signal.signal({int(number)}, lambda *_: sys.exit(5)); print('up', flush=True)\n"
    process = _start(place, settings, sys.executable, "-c", code + "while True: signal.pause()")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(number)
    process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 5


def test_an_alarm_that_was_set_before_is_the_commands(place: Place, settings: Settings) -> None:
    """`alarm` and then `exec` is how some put a limit on a command: it ends by it, as it would without us."""
    script = "import os, signal, sys; signal.setitimer(signal.ITIMER_REAL, 1); os.execv(sys.executable, sys.argv[1:])"
    command = [sys.executable, "-m", "stepsize", "run", "-q", "--", "sleep", "60"]
    environment = place.environment(settings)
    done = subprocess.run([sys.executable, "-c", script, *command], env=environment, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 128 + signal.SIGALRM


def test_a_terminal_interrupts_the_command_once(place: Place, settings: Settings) -> None:
    """Ctrl-C on a terminal reaches the whole process group; the command gets it once, and has the terminal."""
    code = (
        "import os, signal, sys, time\n"
        "hits = []\n"
        "signal.signal(signal.SIGINT, lambda *_: hits.append(1))\n"
        "assert os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()\n"
        "print('up', flush=True)\n"
        "while not hits: time.sleep(0.01)\n"
        "time.sleep(0.3)\n"
        "print('hits', len(hits), flush=True)\n"
    )
    leader, follower = os.openpty()
    command = [sys.executable, "-m", "stepsize", "run", "-q", "--", sys.executable, "-c", code]
    take_terminal = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", take_terminal, *command],
        env=place.environment(settings),
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    said = b""
    while b"up" not in said:
        said += os.read(leader, 1024)
    os.write(leader, b"\x03")
    try:
        while True:
            said += os.read(leader, 1024)
    except OSError:
        os.close(leader)  # its other end is closed
    assert process.wait(TIMEOUT_S) == 0
    assert b"hits 1" in said


def test_a_command_whose_name_is_no_text_runs_and_is_tracked(
    place: Place, settings: Settings, receiver: Receiver, tmp_path: Path
) -> None:
    """A file's name is bytes: one in Latin-1 is a command like any other, here and where the agent reads its name."""
    script = tmp_path / os.fsdecode(b"caf\xe9")
    script.write_text("#!/bin/sh\nexit 7\n", encoding="ascii")
    script.chmod(0o700)
    done = _run(place, settings, str(script))
    assert done.returncode == 7
    assert receiver.end("cmd").resource["stepsize.flow.name"] == "caf?"


def test_a_command_in_a_directory_that_is_gone_runs(place: Place, settings: Settings, tmp_path: Path) -> None:
    """What can be done without a working directory, the command does."""
    gone = tmp_path / "gone"
    gone.mkdir()
    source = Path(__file__).parents[2] / "src"
    script = f"cd {gone} && rmdir {gone} && exec {sys.executable} -m stepsize run -- /bin/sh -c 'exit 7'"
    environment = place.environment(settings, PYTHONPATH=str(source))
    done = subprocess.run(["/bin/sh", "-c", script], env=environment, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 7


def test_signals_that_python_ignores_are_restored(place: Place, settings: Settings) -> None:
    """A command that writes into a closed pipe is ended by SIGPIPE, as if run directly; no signal is blocked."""
    done = _run(place, settings, "sh", "-c", "grep -E 'Sig(Blk|Ign)' /proc/self/status")
    masks = dict(line.split(b":\t") for line in done.stdout.splitlines())
    assert int(masks[b"SigBlk"], 16) == 0
    assert int(masks[b"SigIgn"], 16) & (1 << (signal.SIGPIPE - 1)) == 0


def test_a_parent_that_ignores_children_does_not_keep_the_command(place: Place, settings: Settings) -> None:
    """Some supervisors start jobs with SIGCHLD ignored: the command inherits that, and its end is seen all the same."""
    code = "import signal; print(signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN); exit(4)"
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    command = [sys.executable, "-m", "stepsize", "run", "-q", "--", sys.executable, "-c", code]
    done = subprocess.run(
        [sys.executable, "-c", ignoring, *command],
        env=place.environment(settings),
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (4, b"True\n"), done.stderr


def test_tracking_that_cannot_work_does_not_touch_the_command(place: Place) -> None:
    """Without a place for sockets the command runs; what `wait4` knows is said, and that it is nowhere else."""
    (place.home / "file").touch()
    settings = place.settings()
    done = _run(place, settings, "sh", "-c", "exit 4", env={"STEPSIZE_RUNTIME": str(place.home / "file" / "x")})
    assert done.returncode == 4
    assert b"stepsize: sh/run used" in done.stderr
    assert b"not recorded: cannot use" in done.stderr
    assert all(line.startswith(b"stepsize: ") for line in done.stderr.splitlines())
    assert not list(place.runtime.iterdir())


def test_switched_off_the_command_runs_alone(place: Place) -> None:
    """With `OTEL_SDK_DISABLED` nothing is started and nothing said."""
    settings = place.settings(sdk_disabled=True)
    done = _run(place, settings, "echo", "hi")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"hi\n", b"")
    assert not list(place.runtime.iterdir())


def test_advice_that_fails_does_not_touch_the_command(place: Place) -> None:
    """A data directory that is none keeps `stepsize run` from saying what to ask for, and that is all."""
    (place.home / "data").write_text("a file")
    done = _run(place, place.settings(), "sh", "-c", "exit 4")
    assert done.returncode == 4
    assert b"stepsize: sh/run used" in done.stderr
    assert b"Traceback" not in done.stderr


FORK_TWICE = """
import os, sys, time
def spin(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end: pass
for _ in range(3):
    if os.fork() == 0:
        if os.fork() == 0:
            os.setsid()
            time.sleep(0.05)
            spin(0.2)
            open(sys.argv[1], "a").write("x")
        os._exit(0)
    os.wait()
while not os.path.exists(sys.argv[1]) or os.path.getsize(sys.argv[1]) < 3: time.sleep(0.01)
time.sleep(0.05)
"""


@pytest.mark.parametrize("interval_s", [0.2, 30.0])
def test_what_a_command_leaves_without_a_parent_is_counted(place: Place, receiver: Receiver, interval_s: float) -> None:
    """Children of children that are gone, in sessions of their own: seen by samples or not, each once."""
    settings = place.settings(endpoint=receiver.endpoint, interval_s=interval_s)
    done = _run(place, settings, sys.executable, "-c", FORK_TWICE, str(place.home / "done"))
    assert done.returncode == 0
    receiver.end("cmd")
    assert receiver.cpu_s("cmd") == pytest.approx(0.65, abs=0.1)


def test_a_daemon_outlives_the_command_and_its_launcher(place: Place, settings: Settings) -> None:
    """The launcher waits for its command alone; what goes on finds another parent, as if it had been run directly."""
    daemon = (
        "import os, sys, time\n"
        "if os.fork(): os._exit(3)\n"
        "os.setsid()\n"
        "open(sys.argv[1] + '.pid', 'w').write(str(os.getpid()))\n"
        "while not os.path.exists(sys.argv[1]): time.sleep(0.01)\n"
        "open(sys.argv[1] + '.parent', 'w').write(str(os.getppid()))\n"
    )
    mark = place.home / "mark"
    with (place.home / "out").open("w") as out:  # a daemon that keeps a pipe open would keep its reader
        process = subprocess.Popen(
            [sys.executable, "-m", "stepsize", "run", "-q", "--", sys.executable, "-c", daemon, str(mark)],
            env=place.environment(settings),
            stdout=out,
            stderr=out,
        )
        assert process.wait(TIMEOUT_S) == 3
    pid = int(wait_until(lambda: (place.home / "mark.pid").exists() and (place.home / "mark.pid").read_text()))
    assert is_running(pid)
    mark.touch()
    parent = int(wait_until(lambda: (place.home / "mark.parent").exists() and (place.home / "mark.parent").read_text()))
    assert parent != process.pid
