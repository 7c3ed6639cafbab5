"""The agent's loop: messages, samples, ends, exports, and its own end.

What comes in: a listening socket, settings, a sender. What goes out: batches to the sender, answers to clients. One
thread and one selector: nothing in here waits for anybody. It ends by itself once it has had no attempt and nothing
to send for `Settings.agent_idle_s`, or, with points that nobody takes, ten minutes after its last attempt.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from stepsize.errors import StepsizeError
from stepsize.instrumentation import wire
from stepsize.instrumentation.agent import ending, losses, recording
from stepsize.instrumentation.agent.brink import Brink
from stepsize.instrumentation.agent.flushes import Flushes
from stepsize.instrumentation.agent.points import Batch
from stepsize.instrumentation.agent.retirement import Retirement
from stepsize.instrumentation.agent.server import Server
from stepsize.instrumentation.agent.watch import next_due_s, watch, watch_again

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence
    from pathlib import Path

    from stepsize.instrumentation.agent.gpus import Gpus
    from stepsize.instrumentation.agent.host import Host
    from stepsize.instrumentation.agent.journal import Journal, Left
    from stepsize.instrumentation.agent.probes.observation import Observation, Probe
    from stepsize.instrumentation.agent.recorder import Recorder
    from stepsize.instrumentation.agent.sender import Sender
    from stepsize.instrumentation.agent.server import Connection, Received
    from stepsize.instrumentation.agent.watch import Watched
    from stepsize.settings import Settings

UNSENT_PATIENCE_S = 600.0
"""How long an agent without attempts stays for points that nobody takes."""
_AFTER_END_S = 0.3
"""Within this an end is exported, together with other ends of the same moment."""
_LAUNCHER_S = 2.0
"""How long a launcher may take to say how its child ended."""
_LINGER_S = 0.5
"""An agent that might end, but for somebody who is connected, looks again after this."""
_REMEMBERED = 256
"""Attempts that are over, of which is known that they are and what they used."""

_log = logging.getLogger(__name__)


class Agent:
    """One agent.

    Args:
        settings: as loaded from the environment that the client made.
        path: the socket's path.
        listener: the socket, listening.
        host, system, gpus, recorder: what is shared by all attempts.
        sender: makes the sender, given what to call when it got on.
        journal: what is left to whoever goes on should this agent be killed, and what a killed one left.
    """

    def __init__(
        self,
        settings: Settings,
        path: Path,
        listener: socket.socket,
        *,
        host: Host,
        system: Probe,
        gpus: Gpus,
        recorder: Recorder,
        sender: Callable[[Callable[[], None]], Sender],
        journal: Journal,
    ) -> None:
        self._settings = settings
        self._selector = selectors.DefaultSelector()
        self._server = Server(listener, self._selector)
        self._retirement = Retirement(path, self._server)
        self._wake_read, self._wake_write = socket.socketpair()
        for end in (self._wake_read, self._wake_write):
            end.setblocking(False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._host, self._system, self._gpus, self._recorder = host, system, gpus, recorder
        self._sender = sender(self.wake)
        self._flushes = Flushes(self._sender)
        self._asked: list[tuple[Connection, float]] = []
        self._journal = journal
        self._watched: dict[tuple[str, int], Watched] = {}
        self._summaries: OrderedDict[str, wire.Summary] = OrderedDict()
        self._over: OrderedDict[tuple[str, int, int], None] = OrderedDict()
        now = time.monotonic()
        self._system_due_s = now
        self._export_due_s = now + settings.export_interval_s
        self._sealed_s = now
        self._brink = Brink(settings.export_interval_s)
        self._busy_s = self._task_s = now
        self._stopping = False

    def wake(self) -> None:
        """Have the loop look around; may be called from any thread and from signal handlers."""
        with contextlib.suppress(OSError):
            self._wake_write.send(b"\0")

    def stop(self) -> None:
        """End soon: sample, send what can be sent in two seconds, go."""
        self._stopping = True
        self.wake()

    def run(self) -> None:
        """Serve until there is nothing left to do."""
        self._sender.start()
        self._take_up(self._journal.take())
        while not self._stopping:
            ready = {key.fd for key, _ in self._selector.select(self._pause_s())}
            if ready or self._server.is_full:
                with contextlib.suppress(BlockingIOError):
                    self._wake_read.recv(4096)
                for received in self._server.receive():
                    self._handle(received)
            self._see_ends(ready)
            self._flush_if_asked()
            self._sample_due()
            self._record_gpus()
            self._export_if_due()
            self._note_if_due()
            self._flushes.answer()
            if self._is_idle() and self._retirement.retire():
                break
        self._close()

    def _pause_s(self) -> float:
        """Until something is due; ends of processes and messages wake the selector."""
        now = time.monotonic()
        due = self._flushes.deadlines_s
        if self._watched:
            due.append(self._system_due_s)
        due += [each.due_s if each.ended is None else each.give_up_s for each in self._watched.values()]
        if self._recorder.points:
            due.append(self._export_due_s)
        if not self._watched:
            idle_s = self._busy_s + self._settings.agent_idle_s
            leave_s = self._task_s + UNSENT_PATIENCE_S if self._sender.unsent_points else idle_s
            due.append(max(leave_s, now + _LINGER_S))
        return max(0.0, min(due) - now)

    def _handle(self, received: Received) -> None:
        message, connection = received.message, received.connection
        self._busy_s = time.monotonic()
        if isinstance(message, wire.Register):
            self._register(message, connection, list(received.handles))
        elif isinstance(message, wire.Annotate):
            for named in self._named(message.instance_id):
                named.attempt.annotate(dict(message.values))
        elif isinstance(message, wire.End):
            self._end(self._of(connection), message)
        elif isinstance(message, wire.Flush):
            self._asked.append((connection, message.timeout_s))
        elif isinstance(message, wire.Summarize):
            connection.answer(self._summary(message.instance_id))
        elif isinstance(message, wire.Record):
            connection.answer(wire.Answer(self._let_look_on(message.instance_id, received.handles)))
        elif isinstance(message, wire.Status):
            connection.answer(self._status())
        elif isinstance(message, wire.Locate):
            connection.answer(wire.Location(self._recorder.host))

    def _end(self, watched: Watched | None, message: wire.End) -> None:
        if watched is not None and message.tentative:
            watched.said = message
        elif watched is not None:
            self._finish(watched, ending.from_client(message, watched.attempt.oom_kills()), message.final)

    def _register(self, message: wire.Register, connection: Connection, handles: list[int]) -> None:
        pid = message.pid or connection.pid
        key = connection.instance_key = message.identity.instance_id, pid
        known = self._watched.get(key)
        over = (*key, message.baseline.time_unix_nano) in self._over
        files = handles[: recording.FILES] if message.recorded else []
        self._recorder.recordings.open(key[0], message.baseline.time_unix_nano, [] if over else files)
        handles = handles if over else handles[len(files) :]
        pidfd = handles.pop() if handles and known is None and not over else None
        for handle in handles:
            os.close(handle)
        if known is not None:
            known.attempt.annotate(dict(message.identity.annotations))
            return
        if over:
            return
        self._begin(key, watch(message, pid, pidfd, self._host))

    def _let_look_on(self, instance_id: str, files: Sequence[int]) -> bool:
        if self._named(instance_id):
            self._recorder.recordings.open(instance_id, time.time_ns(), files)
            return True
        for handle in files:
            os.close(handle)
        return False

    def _begin(self, key: tuple[str, int], watched: Watched) -> None:
        self._watched[key] = watched
        if watched.pidfd is not None:
            self._selector.register(watched.pidfd, selectors.EVENT_READ)
        self._host.set_roots(each.attempt for each in self._watched.values())
        self._journal.hasten()

    def _take_up(self, left: Left) -> None:
        """Go on where an agent that was killed had come. What clients said meanwhile waits at the socket."""
        for resources in left.batches:
            self._put(Batch(resources, sum(resource.size() for resource in resources)))
        for live in left.attempts:
            try:
                watched = watch_again(live, self._host)
            except StepsizeError as error:
                _log.warning("an attempt is lost: %s", error)
                continue
            self._begin((watched.attempt.instance_id, watched.attempt.pid), watched)
        self._note()

    def _named(self, instance_id: str) -> list[Watched]:
        return [watched for (instance, _), watched in self._watched.items() if instance == instance_id]

    def _of(self, connection: Connection) -> Watched | None:
        return None if connection.instance_key is None else self._watched.get(connection.instance_key)

    def _see_ends(self, ready: Container[int]) -> None:
        """Processes that ended without a last word. Whoever spoke before it ended has been heard by now.

        ``ready`` are the descriptors that had something to tell; a flush that was asked for looks at all.
        """
        now = time.monotonic()
        for watched in list(self._watched.values()):
            if watched.ended is None:
                # Without a pidfd it is looked at when it is sampled.
                is_quiet = now < watched.due_s if watched.pidfd is None else watched.pidfd not in ready
                if is_quiet and not self._asked:
                    continue
                if not watched.has_ended(self._host.proc):
                    continue
                # At once: whoever waits for the process takes the evidence away.
                watched.ended, watched.ended_unix_nano = watched.evidence(self._host.proc), time.time_ns()
                watched.give_up_s = now + (_LAUNCHER_S if watched.attempt.waited_for else 0.0)
                if watched.pidfd is not None:
                    self._selector.unregister(watched.pidfd)
                for received in self._server.receive():
                    self._handle(received)
            if now >= watched.give_up_s and self._is_watched(watched):
                final = None if watched.said is None else watched.said.final
                self._finish(watched, watched.conclusion(), final)

    def _is_watched(self, watched: Watched) -> bool:
        return any(each is watched for each in self._watched.values())

    def _finish(self, watched: Watched, end: ending.Ending, final: wire.Reading | None) -> None:
        attempt = watched.attempt
        when, observations = attempt.finish(end, final, watched.ended_unix_nano or time.time_ns())
        self._recorder.record(attempt, when, observations)
        self._recorder.recordings.close(attempt.instance_id)
        self._brink.forget(attempt.instance_id)
        self._summaries[attempt.instance_id] = attempt.summary()._replace(outcome=end.outcome)
        self._over[attempt.instance_id, attempt.pid, attempt.start_unix_nano] = None
        for remembered in (self._summaries, self._over):
            while len(remembered) > _REMEMBERED:
                remembered.popitem(last=False)
        if watched.pidfd is not None:
            with contextlib.suppress(KeyError):
                self._selector.unregister(watched.pidfd)
        watched.close()
        self._watched = {key: each for key, each in self._watched.items() if each is not watched}
        self._host.set_roots(each.attempt for each in self._watched.values())
        now = self._busy_s = self._task_s = time.monotonic()
        self._export_due_s = min(self._export_due_s, now + _AFTER_END_S)

    def _sample_due(self, *, everything: bool = False) -> None:
        now = time.monotonic()
        due = [each for each in self._watched.values() if each.ended is None and (everything or now >= each.due_s)]
        if due:
            expected = sum(each.tree.expected for each in due if each.tree is not None)
            with self._host.processes.round(expected, one_of_many=not everything):
                for watched in due:
                    when, observations = watched.attempt.sample()
                    self._recorder.record(watched.attempt, when, observations)
                    watched.advance(now)
                    self._hasten(watched, when, observations)
        if self._watched and (everything or now >= self._system_due_s):
            self._recorder.record_host(time.time_ns(), self._system.sample(now))
            self._system_due_s = next_due_s(now, self._settings.interval_s)
        if self._watched:
            self._task_s = now
        if self._watched or self._sender.unsent_points:
            self._busy_s = now

    def _hasten(self, watched: Watched, when: int, observations: Sequence[Observation]) -> None:
        """Look again and send sooner where the kernel may soon kill the task for memory, and this agent with it."""
        attempt = watched.attempt
        haste = self._brink.look(attempt.instance_id, attempt.interval_s, when, observations)
        if haste is not None:
            watched.due_s = min(watched.due_s, time.monotonic() + haste.sample_s)
            self._export_due_s = min(self._export_due_s, self._sealed_s + haste.export_s)

    def _record_gpus(self) -> None:
        live = [each.attempt for each in self._watched.values() if each.ended is None]
        self._gpus.follow(len(live), self.wake)
        points = self._gpus.take(live)
        if points is not None:
            self._recorder.record_host(points.time_unix_nano, points.host)
            for attempt, observations in points.attempts:
                self._recorder.record(attempt, points.time_unix_nano, observations)

    def _export_if_due(self) -> None:
        now = time.monotonic()
        if self._recorder.points and now >= self._export_due_s:
            self._seal()

    def _seal(self) -> None:
        if self._recorder.points:
            sender = self._sender
            own = losses.observations(sender.losses, sender.held_points, sender.spooled_points)
            self._recorder.record_own(time.time_ns(), own)
        batch = self._recorder.seal()
        if batch is not None:
            self._put(batch)
            self._note()
        self._sealed_s = time.monotonic()
        self._export_due_s = self._sealed_s + self._settings.export_interval_s

    def _put(self, batch: Batch) -> None:
        self._journal.seal(self._sender.put(batch), batch.resources)

    def _note_if_due(self) -> None:
        self._journal.settle(self._sender.settled)
        if self._journal.is_due(time.monotonic()):
            self._note()

    def _note(self) -> None:
        self._journal.write((each.noted() for each in self._watched.values()), self._recorder.snapshot())

    def _flush_if_asked(self) -> None:
        """Once the ends are seen: of a process that came and went while this agent began, its end is all there is."""
        if self._asked:
            self._sample_due(everything=True)
            self._seal()
            self._sender.hurry()
            for connection, timeout_s in self._asked:
                self._flushes.add(connection, timeout_s)
            self._asked.clear()

    def _summary(self, instance_id: str) -> wire.Summary | wire.Answer:
        live = self._named(instance_id)
        found = live[0].attempt.summary() if live else self._summaries.get(instance_id)
        return found or wire.Answer(ok=False)

    def _status(self) -> wire.AgentStatus:
        return wire.AgentStatus(
            pid=os.getpid(),
            tasks=len(self._watched),
            unsent_points=self._sender.unsent_points + self._recorder.points,
            dropped_points=self._sender.losses.total,
            instances=tuple(instance for instance, _ in self._watched),
            spooled_points=self._sender.spooled_points,
            losses=self._sender.losses.by_reason(),
        )

    def _is_idle(self) -> bool:
        now = time.monotonic()
        if self._watched or self._flushes.deadlines_s or self._recorder.points or self._server.busy:
            return False
        if self._sender.unsent_points:
            return now - self._task_s >= UNSENT_PATIENCE_S
        return now - self._busy_s >= self._settings.agent_idle_s

    def _close(self) -> None:
        """Send what there is, as far as two seconds go."""
        if self._stopping:
            self._sample_due(everything=True)
            self._retirement.leave()
        self._seal()
        self._sender.hurry()
        deadline = time.monotonic() + 2.0
        while self._stopping and self._sender.held_points and time.monotonic() < deadline:
            self._selector.select(deadline - time.monotonic())
            with contextlib.suppress(BlockingIOError):
                self._wake_read.recv(4096)
        self._sender.stop(1.0)
        self._journal.close()
