"""Runs a command as a tracked attempt: what ``stepsize run`` stands on.

What comes in: a command, an identity, settings. What goes out: the command's exit code, and what it used. The command
is a child in the same process group, with the same terminal, standard streams, directory and signal dispositions, so
that it behaves as if it had been run directly; it is registered before it is executed. Never fails the command because
tracking failed. Forks: call it where no other thread runs.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from stepsize.errors import StepsizeError
from stepsize.instrumentation import client, readings, wire
from stepsize.instrumentation.wire import Summary
from stepsize.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.model import Identity
    from stepsize.settings import Settings

NOT_FOUND = 127
NOT_EXECUTABLE = 126
_SUMMARY_S = 1.0
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_SI_KERNEL = 0x80  # asm-generic/siginfo.h: a terminal's signal, which the whole process group has got
_RESTORED = (signal.SIGPIPE, signal.SIGXFSZ)  # Python ignores these; a command expects the default


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that has ended.

    Attributes:
        exit_code: its own, 128 + N where signal N ended it, 127 where it was not found, 126 not executable.
        summary: what it used.
    """

    exit_code: int
    summary: Summary | None


@dataclass(frozen=True, slots=True)
class _Ended:
    """How the child ended: a wait status and what it had used."""

    status: int
    final: wire.Reading


def launch(argv: Sequence[str], identity: Identity, settings: Settings) -> Completed:
    """Run ``argv`` to its end as the attempt ``identity``.

    Raises:
        ValueError: ``argv`` is empty.
    """
    if not argv:
        raise ValueError("expected a command")
    client.start_agent(settings)
    own_peak = readings.own_reading().memory_peak_bytes
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*_FORWARDED, signal.SIGCHLD})
    try:
        gate_read, gate_write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(gate_write)
            _execute(argv, gate_read, before)
        os.close(gate_read)
        registration = client.register(identity, settings, pid=pid, waited_for=True)
        started = time.time_ns()
        os.close(gate_write)
        ended = _wait(pid)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    registration.end_with(_end(identity, ended))
    summary = _summary(identity, settings) or _own_summary(started, ended.final, own_peak)
    code = os.waitstatus_to_exitcode(ended.status)
    return Completed(128 - code if code < 0 else code, summary)


def _execute(argv: Sequence[str], gate: int, mask: set[signal.Signals] | set[int]) -> NoReturn:
    """In the child: wait until the parent has registered it, then become the command."""
    code = NOT_EXECUTABLE
    try:
        for number in _RESTORED:
            signal.signal(number, signal.SIG_DFL)
        os.read(gate, 1)  # the parent closes its end
        os.close(gate)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.execvp(argv[0], list(argv))  # noqa: S606 - running the user's command is what this is for
    except FileNotFoundError:
        code = NOT_FOUND
        _say(f"stepsize: {argv[0]}: command not found")
    except OSError as error:
        if error.errno == errno.ENOEXEC:  # a script without a first line, which shells run themselves
            _execute_script(argv)
        _say(f"stepsize: {argv[0]}: {error.strerror}")
    finally:
        os._exit(code)


def _execute_script(argv: Sequence[str]) -> None:
    import shutil  # noqa: PLC0415 - hardly ever

    os.execv("/bin/sh", ["/bin/sh", shutil.which(argv[0]) or argv[0], *argv[1:]])  # noqa: S606 - as above


def _say(line: str) -> None:
    os.write(2, f"{line}\n".encode())


def _wait(pid: int) -> _Ended:
    """Wait for the child, and pass on to it what this process is sent alone.

    What a terminal sends, the whole process group has got: the child would get it twice.
    """
    while True:
        info = signal.sigwaitinfo({*_FORWARDED, signal.SIGCHLD})
        if info.si_signo != signal.SIGCHLD:
            if info.si_code != _SI_KERNEL:
                os.kill(pid, info.si_signo)  # not reaped yet, so the number is still its own
            continue
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            continue  # stopped or continued
        disk = readings.reading_of(pid)  # a zombie still tells what it read and wrote
        _, status, usage = os.wait4(pid, 0)
        final = wire.Reading(
            time_unix_nano=time.time_ns(),
            cpu_user_s=usage.ru_utime,
            cpu_system_s=usage.ru_stime,
            children_peak_bytes=usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
            disk_read_bytes=disk.disk_read_bytes,
            disk_write_bytes=disk.disk_write_bytes,
        )
        return _Ended(status, final)


def _end(identity: Identity, ended: _Ended) -> wire.End:
    code = os.waitstatus_to_exitcode(ended.status)
    if code < 0:
        return wire.End(identity.instance_id, Outcome.KILLED, ended.final, exit_signal=-code)
    return wire.End(identity.instance_id, Outcome.FAILED if code else Outcome.OK, ended.final, exit_code=code)


def _summary(identity: Identity, settings: Settings) -> Summary | None:
    """What the agent, which saw it all, says the attempt used."""
    try:
        answer = client.ask(settings, wire.Summarize(identity.instance_id), _SUMMARY_S)
    except (OSError, StepsizeError):
        return None
    return answer if isinstance(answer, Summary) else None


def _own_summary(started_unix_nano: int, final: wire.Reading, own_peak_bytes: int | None) -> Summary:
    """What ``wait4`` says. Its peak counts this process's too, as the child began as a copy: below it, no evidence."""
    peak = final.children_peak_bytes
    known = peak is not None and own_peak_bytes is not None and peak > own_peak_bytes
    return Summary(
        duration_s=(final.time_unix_nano - started_unix_nano) / 1e9,
        cpu_seconds=final.cpu_user_s + final.cpu_system_s,
        memory_peak_bytes=peak if known else None,
        memory_source="rusage" if known else None,
        disk_read_bytes=final.disk_read_bytes,
        disk_write_bytes=final.disk_write_bytes,
    )
