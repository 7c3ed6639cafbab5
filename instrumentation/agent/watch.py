"""Watches one registered process: opens what is needed to see it, and makes its attempt.

What comes in: a registration, the sender's pid, a pidfd. What goes out: a `Watched`. Reads /proc; never raises for a
process that is gone or hidden.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from stepsize.errors import DataError
from stepsize.instrumentation import procfs, wire
from stepsize.instrumentation.agent import ending
from stepsize.instrumentation.agent.attempt import Attempt
from stepsize.instrumentation.agent.journal import LiveAttempt
from stepsize.instrumentation.agent.probes.alone import ProcessAlone
from stepsize.instrumentation.agent.probes.contained import ContainedTree
from stepsize.instrumentation.agent.probes.container import ContainerProbe
from stepsize.instrumentation.agent.probes.dedicated import Tenancy
from stepsize.instrumentation.agent.probes.network import NetworkProbe
from stepsize.instrumentation.agent.probes.tree import ProcessTree
from stepsize.instrumentation.wire import Measured
from stepsize.model import Outcome

if TYPE_CHECKING:
    from stepsize.instrumentation.agent.ending import Ending
    from stepsize.instrumentation.agent.host import Host
    from stepsize.instrumentation.agent.probes.observation import Probe, TreeProbe
    from stepsize.instrumentation.wire import End, Register
    from stepsize.model import Identity

_NEVER = -1
"""The start of no process."""
_EARLY_S = (0.1, 0.2, 0.4)
"""Samples of an attempt's first second: many attempts are over by the end of it."""


@dataclass(slots=True)
class Watched:
    """An attempt and what tells of its process.

    Attributes:
        attempt: the attempt.
        register: what its client said at first.
        pidfd: readable once the process has ended; ``None`` where the system has none.
        start: start of the process in clock ticks since boot; ``None`` where it was gone already.
        begun_s: monotonic time at which it was first looked at.
        due_s: monotonic time of the next sample.
        tree: the process tree, where it is read from /proc.
        ended: what is known once the process is gone, while its launcher's word is waited for.
        ended_unix_nano: when the process was seen to have ended.
        give_up_s: monotonic time until which the launcher's word is waited for.
        said: what the process said of its end before it was gone, as far as it knew.
    """

    attempt: Attempt
    register: Register
    pidfd: int | None
    start: int | None
    begun_s: float
    due_s: float
    tree: ProcessTree | None = None
    ended: Ending | None = None
    ended_unix_nano: int = 0
    give_up_s: float = 0.0
    said: End | None = None
    _registration: tuple[Identity, bytes] | None = None

    def noted(self) -> LiveAttempt:
        """What another agent needs to know to go on in this one's place."""
        identity = self.attempt.identity
        if self._registration is None or self._registration[0] is not identity:
            self._registration = identity, wire.encode(self.register._replace(identity=identity))
        return LiveAttempt(self._registration[1], self.attempt.pid, self.start, self.attempt.progress())

    def has_ended(self, proc: str) -> bool:
        """Whether the process is gone, waited for or not."""
        if self.pidfd is not None:
            return ending.is_gone(self.pidfd)
        if not sys.platform.startswith("linux"):
            return not _is_running(self.attempt.pid)
        stat = procfs.stat(proc, self.attempt.pid)
        return stat is None or stat.state in b"ZX" or (self.start is not None and stat.start != self.start)

    def evidence(self, proc: str) -> Ending:
        """How the process ended, as far as anything tells."""
        last = ending.zombie(self.attempt.pid, self.start, proc)
        if last is not None and self.tree is not None:
            self.tree.see_zombie(last)
        return ending.from_status(ending.wait_status(last, self.pidfd), self.attempt.oom_kills())

    def conclusion(self) -> Ending:
        """How the process ended: by evidence, else by what it had said itself."""
        if self.said is not None and (self.ended is None or self.ended.outcome is Outcome.UNKNOWN):
            return ending.from_client(self.said, self.attempt.oom_kills())
        return self.ended or ending.Ending(Outcome.UNKNOWN)

    def advance(self, now_s: float) -> None:
        """Set when the next sample is due. What was missed, by a suspended machine for one, is not made up for.

        Attempts of one interval are due together, so that one look at the host serves them all.
        """
        self.due_s = next_due_s(now_s, self.attempt.interval_s)
        passed_s = now_s - self.begun_s
        if passed_s < _EARLY_S[-1]:
            self.due_s = min(self.due_s, self.begun_s + next(early for early in _EARLY_S if early > passed_s))

    def close(self) -> None:
        """Let go of the process."""
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None


def next_due_s(now_s: float, interval_s: float) -> float:
    """The next moment at which whatever has this interval is due."""
    return (now_s // interval_s + 1) * interval_s


def watch(register: Register, pid: int, pidfd: int | None, host: Host) -> Watched:
    """Begin to watch the process of a registration."""
    proc = host.proc
    stat = procfs.stat(proc, pid)
    # The pidfd is looked at after the number: while its process has not ended, the number cannot be another's.
    alive = stat is not None and not (pidfd is not None and ending.is_gone(pidfd))
    begun_s = time.monotonic()
    tree: TreeProbe | None = None
    processes: ProcessTree | None = None
    container: ContainerProbe | None = None
    others: tuple[Probe, ...] = ()
    if register.measured == Measured.HOST:
        pass
    elif host.portable:
        tree = _portable(pid)
    elif alive:
        since = _ticks_since_boot(register.baseline.time_unix_nano)
        stood_bytes = register.baseline.memory_peak_bytes if register.within else None
        if register.measured == Measured.PROCESS:
            tree = ProcessAlone(pid, proc, stood_bytes)
        else:
            launcher = stat.parent if register.waited_for and stat is not None else None
            tree = processes = ProcessTree(pid, since, host, register.identity.instance_id, stood_bytes, launcher)
            container = _container(host, pid)
            if container is not None and not register.within:
                launched = register.waited_for
                tenancy = partial(
                    Tenancy, root=pid, ours=host.ours, is_attempt=host.is_root, launched=launched, proc=proc
                )
                tree = ContainedTree(processes, container, tenancy)
            scratch = host.scratches.of(pid, register.baseline.time_unix_nano)
            others = (NetworkProbe(pid, host.networks), *(() if scratch is None else (scratch,)))
    return Watched(
        attempt=Attempt(register, pid, tree, container, others),
        register=register,
        pidfd=pidfd,
        start=stat.start if alive and stat is not None else None,
        begun_s=begun_s,
        due_s=begun_s,
        tree=processes,
    )


def watch_again(live: LiveAttempt, host: Host) -> Watched:
    """Go on watching what an agent watched that was killed; a process that has gone meanwhile is known to be.

    Raises:
        DataError: what that agent noted cannot be read.
    """
    register = wire.decode(live.registration)
    if not isinstance(register, wire.Register):
        raise DataError("not a registration")
    pidfd = _reopen(live, host.proc)
    if pidfd is not None or not sys.platform.startswith("linux"):
        watched = watch(register, live.pid, pidfd, host)
    else:
        now_s = time.monotonic()
        attempt = Attempt(register, live.pid, None, None)
        watched = Watched(attempt, register, None, _NEVER if live.start is None else live.start, now_s, now_s)
    watched.attempt.resume(live.progress)
    return watched


def _reopen(live: LiveAttempt, proc: str) -> int | None:
    """The process's pidfd, if it is still the one that was watched."""
    try:
        pidfd = os.pidfd_open(live.pid)
    except (AttributeError, OSError):
        return None
    stat = procfs.stat(proc, live.pid)
    if stat is None or stat.start != live.start:
        os.close(pidfd)
        return None
    return pidfd


def _container(host: Host, pid: int) -> ContainerProbe | None:
    container = host.containers.of(pid)
    return None if container is None else ContainerProbe(container, pid, host.proc, host.containers)


def _ticks_since_boot(unix_nano: int) -> int:
    """A moment of the wall clock on the clock that process starts are told in."""
    ago_s = (time.time_ns() - unix_nano) / 1e9
    return int((time.clock_gettime(time.CLOCK_BOOTTIME) - ago_s) * procfs.TICKS_PER_S)


def _portable(pid: int) -> TreeProbe | None:
    from stepsize.instrumentation.agent.probes.portable import PortableTree  # noqa: PLC0415 - psutil costs 30 ms

    return PortableTree(pid)


def _is_running(pid: int) -> bool:
    from stepsize.instrumentation.agent.probes.portable import is_running  # noqa: PLC0415 - as above

    return is_running(pid)
