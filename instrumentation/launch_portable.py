"""Runs a command as a tracked attempt where a system lacks what `launch` stands on: macOS and Windows.

What comes in: a command, an identity, settings. What goes out: the command's exit code, and what it used, as psutil
sees it: sampled from here, in a thread. Where the system has Unix sockets (macOS) the attempt is registered with the
agent too; on Windows there is none yet, and what the command used is said and sent nowhere. Never fails the command
because tracking failed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from stepsize.instrumentation import client, exits, lineage, wire
from stepsize.instrumentation.agent.probes.portable import PortableTree
from stepsize.instrumentation.wire import Summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepsize.instrumentation.agent.probes.observation import TreeSample
    from stepsize.model import Identity
    from stepsize.settings import Settings

_FIRST_S = 0.05
_PASSED_ON = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))


def launch(argv: Sequence[str], identity: Identity, settings: Settings) -> tuple[int, Summary | None]:
    """Run ``argv`` to its end; its exit code (128 + N where signal N ended it) and what it used."""
    client.start_agent(settings)
    begun_unix_nano, before = time.time_ns(), os.times()
    environment = {**os.environ, lineage.MARK: lineage.mark_of(os.getpid(), identity)}
    try:
        process = subprocess.Popen(list(argv), env=environment)
    except FileNotFoundError:
        return _refused(argv, "command not found", exits.NOT_FOUND), None
    except OSError as error:
        return _refused(argv, error.strerror or str(error), exits.NOT_EXECUTABLE), None
    baseline = wire.Reading(begun_unix_nano, 0.0, 0.0)
    registration = client.register(identity, settings, client.Child(process.pid, baseline))
    watch = _Watch(process.pid, settings.interval_s)
    with _signals_go_to(process):
        code = process.wait()
    final = watch.stop(before)
    registration.end_with(exits.end_of(identity, code, final))
    used = Summary(
        duration_s=(final.time_unix_nano - begun_unix_nano) / 1e9,
        cpu_seconds=final.cpu_user_s + final.cpu_system_s,
        memory_peak_bytes=final.memory_peak_bytes,
        memory_source=None if final.memory_peak_bytes is None else "samples",
        disk_read_bytes=final.disk_read_bytes,
        disk_write_bytes=final.disk_write_bytes,
    )
    return exits.of_shells(code), used


class _Watch:
    """Samples a process tree in a thread until it is stopped."""

    def __init__(self, pid: int, interval_s: float) -> None:
        self._tree = PortableTree(pid)
        self._interval_s = interval_s
        self._last: TreeSample | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stepsize-watch", daemon=True)
        self._thread.start()

    def stop(self, before: os.times_result) -> wire.Reading:
        """What the tree has used, by the last sample and by what it handed over to this process since ``before``.

        Nothing of it is left to add: whoever ended was seen by then, or by nobody.
        """
        self._stopped.set()
        self._thread.join()
        last, now = self._last, os.times()  # on Windows the children's are 0
        return wire.Reading(
            time_unix_nano=time.time_ns(),
            cpu_user_s=max(now.children_user - before.children_user, last.cpu_user_s if last else 0.0),
            cpu_system_s=max(now.children_system - before.children_system, last.cpu_system_s if last else 0.0),
            memory_peak_bytes=last.memory_peak_bytes if last else None,
            disk_read_bytes=last.disk_read_bytes if last else None,
            disk_write_bytes=last.disk_write_bytes if last else None,
            with_orphans=True,
        )

    def _run(self) -> None:
        pause_s = _FIRST_S
        while True:
            with contextlib.suppress(Exception):  # psutil's errors, and those of systems it does not know
                sample = self._tree.sample()
                if sample is not None:
                    self._last = sample
            if self._stopped.wait(pause_s):
                return
            pause_s = min(self._interval_s, pause_s * 2)


@contextlib.contextmanager
def _signals_go_to(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Pass on what this process is asked to end by; a terminal's interrupt has reached the command as well."""
    before = {number: signal.signal(number, lambda received, _: process.send_signal(received)) for number in _PASSED_ON}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _refused(argv: Sequence[str], reason: str, code: int) -> int:
    sys.stderr.write(f"stepsize: {argv[0]}: {reason}\n")
    return code
