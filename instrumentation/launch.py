"""Runs a command as a tracked attempt: what ``stepsize run`` stands on.

What comes in: a command, an identity, settings. What goes out: the command's exit code, and what it used. The command
is a child in the same process group, with the same terminal, standard streams, directory and signal dispositions, so
that it behaves as if it had been run directly. What it leaves without a parent comes to this process, which waits for
it and counts it (`orphans`) as long as the command runs; what goes on after that goes on without it. Whoever kills this
process by SIGKILL kills the command, as would be if it had been run directly. The command is registered the moment it
has been executed, with what its process had used by then, so that nothing of the launcher, whose copy it began as, is
taken for its own; a command that could not be executed is no attempt and leaves no trace. Never fails the command
because tracking failed. Forks: call it where no other thread runs.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from stepsize.errors import StepsizeError
from stepsize.instrumentation import client, exits, lineage, orphans, prctl, procfs, readings, wire
from stepsize.instrumentation.wire import Summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.model import Identity
    from stepsize.settings import Settings

_NOT_EXECUTED = b"not executed"
_SUMMARY_S = 1.0
_OF_TERMINALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGQUIT", "SIGHUP", "SIGCONT", "SIGWINCH")
    if hasattr(signal, name)  # Windows has one of them
)
_FORWARDED = (  # what stops a process is not among them: a stopped job is stopped with its launcher
    *_OF_TERMINALS,
    *(
        getattr(signal, name)
        for name in ("SIGTERM", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGXCPU", "SIGIO", "SIGPWR")
        if hasattr(signal, name)
    ),
    *(range(signal.SIGRTMIN, signal.SIGRTMAX + 1) if hasattr(signal, "SIGRTMIN") else ()),
)
_COPY_GROWTH_BYTES = 4 << 20
"""What the child may still grow by between its reading and its execution: four times what was seen."""
_SI_KERNEL = 0x80  # asm-generic/siginfo.h: a terminal's signal, which the whole process group has got
_RESTORED = tuple(  # Python ignores these; a command expects the default
    getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ") if hasattr(signal, name)
)


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that has ended.

    Attributes:
        exit_code: its own, 128 + N where signal N ended it, 127 where it was not found, 126 not executable.
        summary: what it used; ``None`` where it was never executed.
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
    if not _can_fork_and_wait():
        from stepsize.instrumentation import launch_portable  # noqa: PLC0415 - psutil costs 30 ms

        return Completed(*launch_portable.launch(argv, identity, settings))
    client.start_agent(settings)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*_FORWARDED, signal.SIGCHLD})
    # Whoever started us may have ignored it, as some supervisors do: no child would then ever be seen to end.
    of_children = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with_orphans = orphans.adopt(True)  # this process alone: its child does not inherit it
    try:
        reports, report = os.pipe()
        launcher = os.getpid()
        pid = os.fork()
        if pid == 0:
            _execute(argv, identity, launcher, report, before, ignores_children=of_children is signal.SIG_IGN)
        os.close(report)
        baseline = _began(reports)
        registration = None
        if baseline is not None:
            registration = client.register(identity, settings, client.Child(pid, baseline))
        ended = _wait(pid, with_orphans=with_orphans)
    finally:
        orphans.adopt(False)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL if of_children is None else of_children)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    code = os.waitstatus_to_exitcode(ended.status)
    exit_code = exits.of_shells(code)
    if baseline is None or registration is None:
        return Completed(exit_code, None)
    registration.end_with(exits.end_of(identity, code, ended.final))
    return Completed(exit_code, _summary(identity, settings) or _own_summary(baseline, ended.final))


def _can_fork_and_wait() -> bool:
    """Whether this system has what the launcher stands on: Windows has none of it, macOS no ``sigwaitinfo``."""
    return all(hasattr(os, name) for name in ("fork", "waitid", "wait4")) and hasattr(signal, "sigwaitinfo")


def _began(reports: int) -> wire.Reading | None:
    """What the child had used when it became the command; ``None`` where it never did.

    Executing a program closes the child's end of the pipe, which it inherited as close-on-exec.
    """
    with os.fdopen(reports, "rb") as pipe:
        said = pipe.read().splitlines()
    if len(said) != 1 or said[0] == _NOT_EXECUTED:
        return None
    own = wire.Reading(**json.loads(said[0]))
    return own._replace(memory_peak_bytes=None, children_peak_bytes=(own.memory_peak_bytes or 0) + _COPY_GROWTH_BYTES)


def _execute(
    argv: Sequence[str],
    identity: Identity,
    launcher: int,
    report: int,
    mask: set[signal.Signals] | set[int],
    *,
    ignores_children: bool,
) -> NoReturn:
    """In the child: say what it has used by now, then become the command; if that fails, say so in a second line."""
    code = exits.NOT_EXECUTABLE
    try:
        for number in _RESTORED:
            signal.signal(number, signal.SIG_DFL)
        if ignores_children:
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        prctl.die_with(launcher)
        with contextlib.suppress(Exception):  # then it is not tracked, but run all the same
            os.environ[lineage.MARK] = lineage.mark_of(os.getpid(), identity)
            os.write(report, json.dumps(readings.own_reading()._asdict()).encode() + b"\n")
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.execvp(argv[0], list(argv))  # noqa: S606 - running the user's command is what this is for
    except FileNotFoundError:
        code = exits.NOT_FOUND
        _say(f"stepsize: {argv[0]}: command not found")
    except OSError as error:
        if error.errno == errno.ENOEXEC:  # a script without a first line, which shells run themselves
            _execute_script(argv)
        _say(f"stepsize: {argv[0]}: {error.strerror}")
    finally:
        os.write(report, _NOT_EXECUTED + b"\n")
        os._exit(code)


def _execute_script(argv: Sequence[str]) -> None:
    import shutil  # noqa: PLC0415 - hardly ever

    os.execv("/bin/sh", ["/bin/sh", shutil.which(argv[0]) or argv[0], *argv[1:]])  # noqa: S606 - as above


def _say(line: str) -> None:
    os.write(2, f"{line}\n".encode())


def _wait(pid: int, *, with_orphans: bool) -> _Ended:
    """Wait for the child, and pass on to it what this process is sent alone.

    What a terminal sends, the whole process group has got: the child would get it twice. What a program sends to the
    group cannot be told from what it sends to this process alone, and comes twice.
    """
    left = orphans.Orphans(pid)
    while True:
        info = signal.sigwaitinfo({*_FORWARDED, signal.SIGCHLD})
        if info.si_signo != signal.SIGCHLD:
            if info.si_code != _SI_KERNEL or info.si_signo not in _OF_TERMINALS:
                os.kill(pid, info.si_signo)  # not reaped yet, so the number is still its own
            continue
        left.collect()
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            continue  # stopped or continued, or somebody else's end
        # A zombie still tells what it read and wrote.
        read_bytes, write_bytes = procfs.disk_bytes("/proc", pid) or (None, None)
        _, status, usage = os.wait4(pid, 0)
        left.collect()  # of those that it left behind, who has ended by now
        used = left.used
        final = wire.Reading(
            time_unix_nano=time.time_ns(),
            cpu_user_s=usage.ru_utime + used.user_s,
            cpu_system_s=usage.ru_stime + used.system_s,
            children_peak_bytes=max(readings.maxrss_bytes(usage.ru_maxrss), used.peak_bytes),
            disk_read_bytes=None if read_bytes is None else read_bytes + used.read_bytes,
            disk_write_bytes=None if write_bytes is None else write_bytes + used.write_bytes,
            with_orphans=with_orphans,
        )
        return _Ended(status, final)


def _summary(identity: Identity, settings: Settings) -> Summary | None:
    """What the agent, which saw it all, says the attempt used."""
    try:
        answer = client.ask(settings, wire.Summarize(identity.instance_id), _SUMMARY_S)
    except (OSError, StepsizeError):
        return None
    return answer if isinstance(answer, Summary) else None


def _own_summary(base: wire.Reading, final: wire.Reading) -> Summary:
    """What ``wait4`` says. Its peak counts the copy of this process that the child began as: up to it, no evidence."""
    peak = final.children_peak_bytes
    known = peak is not None and peak > (base.children_peak_bytes or 0)
    return Summary(
        duration_s=(final.time_unix_nano - base.time_unix_nano) / 1e9,
        cpu_seconds=final.cpu_user_s + final.cpu_system_s - base.cpu_user_s - base.cpu_system_s,
        memory_peak_bytes=peak if known else None,
        memory_source="rusage" if known else None,
        disk_read_bytes=_since(base.disk_read_bytes, final.disk_read_bytes),
        disk_write_bytes=_since(base.disk_write_bytes, final.disk_write_bytes),
    )


def _since(before: int | None, after: int | None) -> int | None:
    return None if after is None else after - (before or 0)
