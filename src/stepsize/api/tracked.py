"""A live attempt: begun, recorded, ended by the program itself.

What comes in: who it is and what of it is to be measured. What goes out: a `Recorded` that grows. Beginning and ending
never raise, print or wait longer than the client does; where nothing can be measured, `Tracked.problem` says why.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from stepsize import discovery
from stepsize.api.facts import Facts, threads_by_variable
from stepsize.api.recorded import Recorded
from stepsize.api.stream import CAN_BE_WRITTEN_BY_OTHERS, Stream, nameless_file
from stepsize.api.values import checked
from stepsize.errors import StepsizeError, UnavailableError
from stepsize.instrumentation import client, readings, wire
from stepsize.instrumentation.quiet import came_by_signal, quietly
from stepsize.instrumentation.recording import HOST_FIELDS, TASK_FIELDS
from stepsize.model import Outcome

if TYPE_CHECKING:
    from typing import Any

    from stepsize.api.facts import Server
    from stepsize.model import Identity
    from stepsize.settings import Settings

_LAST_RECORD_S = 1.0
"""How long the first answer after the end waits for the agent's last record."""
_SEEN_S = 0.05
_SILENCE_S = 3.0
"""A recording that was silent for so long has lost its agent: another one is told of the attempt."""
_LOCATE_S = 0.5
_POLL_S = 0.005


class Tracked(Recorded):
    """An attempt that this program tracks. Ended by `end`, or with the block or function that it was made for.

    Args:
        identity: which attempt of what.
        settings: as loaded.
        pid: another process than this one.
        children: whether what the process starts counts too.
        system_only: whether only the host is looked at: nothing of the attempt is sent anywhere.
    """

    def __init__(
        self,
        identity: Identity,
        settings: Settings,
        *,
        pid: int | None = None,
        children: bool = True,
        system_only: bool = False,
    ) -> None:
        facts = Facts(identity, os.getpid() if pid is None else pid, system_only=system_only)
        super().__init__(facts, Stream(TASK_FIELDS), Stream(HOST_FIELDS), settings)
        self._other = pid is not None
        self._children = children
        self._owner = os.getpid()
        self._problem: str | None = None
        self._registration: client.Registration | None = None
        self._baseline: wire.Reading | None = None
        self._renewed_s = self._ended_s = 0.0

    @property
    def registration(self) -> client.Registration | None:
        """Under what the agent knows it; ``None`` where it could not be told."""
        return self._registration

    @property
    def problem(self) -> str | None:
        """Why there are no samples, in a line; ``None`` where there are some."""
        if self.samples:
            return None
        if self._problem is not None or self._facts.started_s is None:
            return self._problem or "it has not begun"
        try:
            log = discovery.agent_socket(self._settings).with_suffix(".log")
        except StepsizeError as error:
            return str(error)
        return f"no sample has come yet; if none does, {log} may say why"

    def start(self, problem: str | None = None) -> Tracked:
        """Begin, unless there is a ``problem`` with that; nothing where it has begun already."""
        self._problem = problem or self._problem
        if self._facts.started_s is None:
            self._facts = replace(self._facts, started_s=time.time())
            self._renewed_s = time.monotonic()
            try:
                self._register()
            except Exception as error:
                if came_by_signal(error):
                    raise
                self._problem = f"it could not be registered: {error}"
        return self

    def end(self, outcome: Outcome = Outcome.OK, exit_signal: int | None = None) -> None:
        """End; the first call counts, and a process that was forked off says nothing."""
        if not self.running or os.getpid() != self._owner:
            return
        self._ended_s = time.monotonic()
        final, lives = None, True
        with quietly():
            final = self._reading(last=True)
            lives = not self._other or (final is not None and not readings.has_ended(self.pid))
            if lives and final is not None and self._registration is not None:
                end = wire.End(self.identity.instance_id, outcome, final, exit_signal=exit_signal)
                self._registration.end_with(end)
        if not lives:
            outcome = self._seen_end()
        self._facts = replace(self._facts, outcome=outcome, **self._told(final))

    def annotate(self, **values: Any) -> bool:
        """As `stepsize.annotate`, of this attempt."""
        known = checked(values)
        said = self._registration is not None and bool(known) and self._registration.annotate(**known)
        self._facts = replace(
            self._facts, identity=self.identity._replace(annotations={**self.identity.annotations, **known})
        )
        return said and len(known) == len(values)

    def server(self) -> Server:
        """As `Recorded.server`, by what the agent knows of the host now."""
        self._locate()
        return super().server()

    def wait_for_samples(self, count: int = 1, timeout_s: float = 30.0) -> int:
        """Wait until there are so many samples; how many there are.

        Raises:
            UnavailableError: there were not, within ``timeout_s`` or by the end.
        """
        deadline = time.monotonic() + timeout_s
        while (samples := self.samples) < count:
            if not self.running or time.monotonic() > deadline:
                raise UnavailableError(f"{samples} of {count} samples have come: {self.problem or 'wait longer'}")
            time.sleep(_POLL_S)
        return samples

    def _register(self) -> None:
        if self._settings.sdk_disabled:
            self._problem = self._problem or "tracking is switched off: OTEL_SDK_DISABLED"
            return
        if CAN_BE_WRITTEN_BY_OTHERS:
            with contextlib.suppress(OSError):  # without a recording it is still tracked
                self._task, self._host = Stream(TASK_FIELDS, nameless_file()), Stream(HOST_FIELDS, nameless_file())
        else:
            self._problem = "samples cannot be handed over on this system: it passes no descriptors"
        measured = wire.Measured.TREE if self._children else wire.Measured.PROCESS
        if self._facts.system_only:
            measured = wire.Measured.HOST
        files = (self._task.descriptor, self._host.descriptor)
        watch = client.Watch(measured, tuple(each for each in files if each is not None))
        child = None
        if self._other:
            baseline = self._reading()
            if baseline is None:
                self._problem = f"there is no process {self.pid} that can be looked at"
                return
            child = client.Child(self.pid, baseline, waited_for=False)
        self._registration = client.register(self.identity, self._settings, child, watch)
        self._facts = replace(self._facts, threads=threads_by_variable(self._registration.identity.resource))
        self._baseline = self._registration.baseline
        if self._baseline is not None:
            self._facts = replace(self._facts, started_s=self._baseline.time_unix_nano / 1e9)

    def _reading(self, *, last: bool = False) -> wire.Reading | None:
        if self._other:
            return readings.reading_of(self.pid, with_children=self._children)
        return readings.own_reading(last=last, with_children=self._children)

    def _seen_end(self) -> Outcome:
        """How the agent saw the other process end, which it did a moment ago at the latest."""
        deadline_s = time.monotonic() + _SEEN_S
        with quietly():
            while (left_s := deadline_s - time.monotonic()) > 0:
                answer = client.ask(self._settings, wire.Summarize(self.identity.instance_id), left_s)
                if not isinstance(answer, wire.Summary):
                    break
                if answer.outcome is not None:
                    return answer.outcome
                time.sleep(_SEEN_S / 10)
        return Outcome.UNKNOWN

    def _told(self, final: wire.Reading | None) -> dict[str, Any]:
        """What the process's own readings say of the attempt."""
        base = self._baseline
        if final is None or base is None or self._facts.system_only:
            return {"ended_s": time.time()}
        peak, stood = final.memory_peak_bytes, base.memory_peak_bytes
        return {
            "ended_s": final.time_unix_nano / 1e9,
            "cpu_seconds": final.cpu_user_s + final.cpu_system_s - base.cpu_user_s - base.cpu_system_s,
            # Where the process once stood higher, its peak says nothing of this attempt.
            "memory_peak_bytes": peak if peak is not None and stood is not None and peak > stood else None,
        }

    def _refresh(self) -> None:
        super()._refresh()
        if self.running:
            self._renew_if_silent()
        elif self._task.descriptor is not None:
            deadline = self._ended_s + _LAST_RECORD_S
            while self._task.latest("ended") is None and time.monotonic() < deadline:
                time.sleep(_POLL_S)
                super()._refresh()
            for stream in (self._task, self._host):
                stream.close()
            self._locate()

    def _locate(self) -> None:
        if self._registration is None:
            return
        with contextlib.suppress(OSError, StepsizeError):
            answer = client.ask(self._settings, wire.Locate(), _LOCATE_S)
            if isinstance(answer, wire.Location):
                self._facts = replace(self._facts, host=answer.attributes)

    def _renew_if_silent(self) -> None:
        silence_s = max(_SILENCE_S, 3 * self._settings.interval_s)
        now_s = time.monotonic()
        last_s = max(self._task.last_s, self._host.last_s)
        if now_s - self._renewed_s > silence_s and time.time() - last_s > silence_s:
            self._renewed_s = now_s
            if self._registration is not None:
                self._registration.renew()
