"""Other systems than Linux, as far as they can be had here: modules without what those lack, and psutil's probes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.instrumentation.receiver import TIMEOUT_S

if TYPE_CHECKING:
    from tests.instrumentation.conftest import Place
    from tests.instrumentation.receiver import Receiver

MIB = 1 << 20
PRETEND = """
import asyncio, concurrent.futures, ctypes, http.client, importlib, importlib.abc, json, logging.handlers, os, pkgutil
import multiprocessing, platform, selectors, shutil, signal, site, socket, subprocess, sys, tempfile, threading, uuid
import click, duckdb, grpc, jinja2, opentelemetry.exporter.otlp.proto.grpc.metric_exporter
import opentelemetry.exporter.otlp.proto.http.metric_exporter, opentelemetry.sdk.metrics.export, psutil, pyarrow.compute
import pyarrow.dataset, pyarrow.parquet, requests, rich.console, yaml

WINDOWS = {platform!r} == "win32"
HIDDEN = {{"fcntl", "resource", "pwd", "grp", "termios", "uvloop"}} if WINDOWS else set()
MISSING = {{os: ["pidfd_open", "posix_fadvise", "sched_getaffinity", "waitid", "P_PID", "memfd_create"],
           signal: ["sigwaitinfo", "sigtimedwait"], socket: ["SO_PEERCRED", "MSG_CMSG_CLOEXEC"]}}
if WINDOWS:
    MISSING[os] += ["fork", "posix_spawn", "getuid", "geteuid", "sysconf", "wait4", "O_CLOEXEC", "uname", "statvfs",
                    "POSIX_SPAWN_OPEN", "POSIX_SPAWN_DUP2", "setsid", "getpgrp", "kill", "mkfifo"]
    MISSING[signal] += ["pthread_sigmask", "SIGHUP", "SIGQUIT", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGPIPE",
                        "SIGXFSZ", "SIGSTOP", "SIG_BLOCK", "SIG_SETMASK", "valid_signals"]
    MISSING[socket] += ["AF_UNIX", "send_fds", "recv_fds", "socketpair"]

class Hide(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in HIDDEN:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hide())
for name in HIDDEN:
    sys.modules.pop(name, None)
for module, names in MISSING.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
sys.platform = {platform!r}
"""
IMPORT_ALL = """
import stepsize
failed = {}
for module in pkgutil.walk_packages(stepsize.__path__, "stepsize."):
    if module.name.startswith(("stepsize.examples", "stepsize.analyzer.catalog.")) or module.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(module.name)
    except Exception as error:
        failed[module.name] = repr(error)
print(json.dumps(failed))
"""


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_every_module_imports_elsewhere(place: Place, platform: str) -> None:
    """Where fcntl, resource, pidfds, Unix sockets and half of the signals are missing."""
    script = PRETEND.format(platform=platform) + IMPORT_ALL
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=place.environment(place.settings()),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {}


def test_an_agent_measures_through_psutil(place: Place, receiver: Receiver) -> None:
    """Forced by a setting: the task's tree and the host, under the same names as from /proc."""
    settings = place.settings(endpoint=receiver.endpoint, probes="portable")
    body = """
        block = bytearray(150 << 20)
        child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
        end = time.process_time() + 0.5
        while time.process_time() < end: pass
        child.communicate()
    """
    assert place.run(settings, "portable", body).returncode == 0
    assert receiver.end("portable").attributes["stepsize.outcome"] == "ok"
    assert receiver.cpu_s("portable") == pytest.approx(0.6, abs=0.2)
    assert receiver.last("stepsize.task.memory.peak", "portable") > 150 * MIB
    assert max(p.value for p in receiver.of("stepsize.task.process.count", "portable")) == 2
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert receiver.wait(lambda: receiver.of("system.memory.limit"))[0].value == pytest.approx(memory, rel=0.01)
    assert {p.attributes["cpu.mode"] for p in receiver.of("system.cpu.time")} >= {"user", "system", "idle"}


SPIN = "import sys, time; b = bytearray(100 << 20); e = time.process_time() + .4\nwhile time.process_time() < e: pass\n"
RUN = """
from stepsize.cli import main
sys.argv = ["stepsize", "run", *{arguments!r}]
main()
"""


def _stepsize_run(
    place: Place, platform: str, *arguments: str, hidden: str = "", **environ: str
) -> subprocess.Popen[bytes]:
    settings = place.settings(**environ)
    # subprocess itself is Python's, and is not asked to pretend.
    script = PRETEND.format(platform=platform).replace(f"sys.platform = {platform!r}", hidden)
    return subprocess.Popen(
        [sys.executable, "-c", script + RUN.format(arguments=list(arguments))],
        env=place.environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_command_runs_on_a_system_without_unix_sockets(place: Place) -> None:
    """As on Windows: measured by psutil in the launcher, said, and sent nowhere."""
    script = SPIN + "print('hi'); sys.exit(7)"
    process = _stepsize_run(place, "darwin", "--", sys.executable, "-c", script, hidden="del socket.AF_UNIX")
    output, errors = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, output) == (7, b"hi\n"), errors
    said = errors.decode()
    assert "used" in said
    assert "CPU-s" in said
    assert not [line for line in said.splitlines() if not line.startswith("stepsize: ")]


def test_a_command_is_registered_where_there_are_unix_sockets_but_no_sigwaitinfo(
    place: Place, receiver: Receiver
) -> None:
    """As on macOS: the agent samples it, the launcher says how it ended."""
    process = _stepsize_run(
        place, "darwin", "-q", "--task", "mac", "--", sys.executable, "-c", SPIN, endpoint=receiver.endpoint
    )
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, errors
    assert receiver.end("mac").attributes == {"stepsize.outcome": "ok", "process.exit.code": 0}
    assert receiver.cpu_s("mac") == pytest.approx(0.45, abs=0.15)
    assert receiver.last("stepsize.task.memory.peak", "mac") > 100 * MIB


def test_a_signal_reaches_the_command_there_too(place: Place, receiver: Receiver) -> None:
    """The command decides what becomes of it."""
    code = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); print('up', flush=True)\n"
    command = (sys.executable, "-c", code + "while True: signal.pause()")
    process = _stepsize_run(place, "darwin", "-q", "--", *command, endpoint=receiver.endpoint)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 5


@pytest.mark.parametrize(("name", "code"), [("no-such-command", 127), ("/", 126)])
def test_a_command_that_cannot_be_run_ends_as_in_a_shell_there_too(place: Place, name: str, code: int) -> None:
    """One line that says so."""
    process = _stepsize_run(place, "darwin", name)
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == code
    assert errors.startswith(f"stepsize: {name}: ".encode())
    assert errors.count(b"\n") == 1
