"""Starts the agent, and what else of ours runs beside a task, so that nothing in the user's program can tell.

What comes in: a listening socket and settings. What goes out: an agent that serves the socket. The agent is never a
child of the user's process (a shell stands between and is gone before this returns), lives in a session of its own,
has /dev/null on its three descriptors, inherits the listening socket as descriptor 3 and nothing else, and works in
``/``, so that neither a module in the user's directory nor the directory itself matters to it. Never forks the user's
interpreter: a program with threads would be warned about it. Standard library only.

Beside the agent stays a shell, of a megabyte at most, that waits for it and holds the listening socket too: an agent
that is killed is started again on it, and whoever spoke meanwhile waits in the socket's queue. An agent that crashes
again and again is let go of: then the next client starts one, as for any socket that nobody listens on.

Secrets stay out of the command line. Settings travel in the environment, as does (``PYTHONPATH``) the directory that
holds the ``stepsize`` package where the interpreter would not find it by itself. The agent runs on the interpreter that
has all of the package where this one has not (`interpreter.for_modules`).
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any

from stepsize import interpreter

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from stepsize.settings import Settings

AGENT_MODULE = "stepsize.instrumentation.agent"
CARD_MODULE = "stepsize.card"
LISTENER_FD = 3
_SHELL = "/bin/sh"
_DESCRIPTORS = "/dev/fd"
_FIRST_FREE_FD = 10  # beyond what the file actions below overwrite
_IN_BACKGROUND = """\
cd /
"$@" &
"""
_KEEP_RUNNING = """\
cd /
{
    crashes=0
    while "$@"; case $? in 1 | 13[2-9]) ;; *) false ;; esac; do
        crashes=$((crashes + 1))
        [ $crashes -le 5 ] || break
        [ $crashes -eq 1 ] || sleep 1
    done
} &
"""
"""1 is a defect's exit code; 132 to 139 are a shell's for SIGILL to SIGSEGV, SIGKILL among them, but for no signal that
asks to end."""


def start(listener: socket.socket, settings: Settings) -> bool:
    """Start an agent that serves ``listener``; whether it was started. Takes about 2 ms.

    Raises:
        OSError: no process could be made.
    """
    arguments = ["-m", AGENT_MODULE, "--fd", str(LISTENER_FD)]
    return _start(arguments, settings, listener.fileno(), _KEEP_RUNNING)


def start_once(arguments: Sequence[str], settings: Settings, handed: int) -> bool:
    """Start another module of ours as the agent is started, but once; it inherits ``handed`` as `LISTENER_FD`.

    Args:
        arguments: of the interpreter, ``-m`` and the module's name first.
        settings: that it is to load.
        handed: a descriptor that tells its end, once nobody else holds it.

    Raises:
        OSError: no process could be made.
    """
    return _start(arguments, settings, handed, _IN_BACKGROUND)


def _start(arguments: Sequence[str], settings: Settings, handed: int, script: str) -> bool:
    import fcntl  # noqa: PLC0415 - absent on Windows, where nothing is started
    import signal  # noqa: PLC0415 - only the first task of a host comes here

    python = interpreter.for_modules(settings.environment(os.environ))
    handed = fcntl.fcntl(handed, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE_FD)
    try:
        pid = _spawn(
            *_detached([python.executable, *arguments], script),
            python.environment,
            file_actions=[
                *((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in _inheritable()),
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, handed, LISTENER_FD),
            ],
            setsigmask=(),
            setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
        )
    finally:
        os.close(handed)
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    except ChildProcessError:
        return True  # somebody else waited for it, or SIGCHLD is ignored


def _inheritable() -> list[int]:
    """Descriptors that a program would inherit: one that the shell kept open would be a pipe that never ends."""
    try:
        descriptors = [int(name) for name in os.listdir(_DESCRIPTORS)]  # noqa: PTH208 - pathlib is not imported here
    except OSError:
        return []  # the agent itself closes its own
    found = []
    for descriptor in descriptors:
        with contextlib.suppress(OSError):  # the one that listed the directory, for one
            if descriptor > 2 and os.get_inheritable(descriptor):
                found.append(descriptor)
    return found


def _spawn(*arguments: Any, **options: Any) -> int:
    """``posix_spawn`` into a session of its own: what is meant for the program's terminal or group is not for us."""
    try:
        return os.posix_spawn(*arguments, setsid=True, **options)
    except NotImplementedError:  # a C library without it; the agent itself still makes a session of its own
        return os.posix_spawn(*arguments, setpgroup=0, **options)


def _detached(command: list[str], script: str) -> tuple[str, list[str]]:
    """Program and arguments that run ``command`` in the background in ``/`` and end at once."""
    if os.access(_SHELL, os.X_OK):
        return _SHELL, [_SHELL, "-c", script, "sh", *command]
    fork = "import os, sys; os.chdir('/'); os.fork() and os._exit(0); os.execv(sys.argv[1], sys.argv[1:])"
    return sys.executable, [sys.executable, "-I", "-S", "-c", fork, *command]


def agent_environment(settings: Settings) -> dict[str, str]:
    """The environment of a process that is to see the same settings and find the same ``stepsize``."""
    return interpreter.environment_for_python(settings.environment(os.environ))
