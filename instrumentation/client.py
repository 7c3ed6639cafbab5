"""Says which process is which attempt, from inside the user's program.

What comes in: an :class:`Identity` and settings. What goes out: messages on the agent's socket (see `wire`). Where no
agent answers, the client binds and listens on the socket itself, under a lock file, hands the listening socket to the
agent that it starts and connects at once: the kernel queues what it says until the agent is up.

Never raises, prints, blocks, starts a thread, touches a signal handler or leaves a descriptor open: each message is a
connection of its own, and each carries all that an agent that has just been started needs to know. Whatever fails
costs at most 50 ms and is forgotten, but for what a signal handler of the program's raises meanwhile (`quiet`); where
the host ends with the task (`lifetime`), its end alone waits longer, until the points are sent. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING

from stepsize import discovery
from stepsize.identity import thread_settings
from stepsize.instrumentation import messages, readings, registered, rendezvous
from stepsize.instrumentation.quiet import came_by_signal, quietly
from stepsize.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from stepsize.identity import AttributeValue, Identity, Outcome
    from stepsize.instrumentation import wire
    from stepsize.settings import Settings

_PATIENCE_S = 0.05
"""The most that any one call of a client may wait for anybody."""


def start_agent(settings: Settings) -> bool:
    """Make sure that an agent runs for these settings; whether one does. Never raises, takes a few ms."""
    with quietly():
        if not settings.sdk_disabled:
            pinned = discovery.pinned(settings)
            _connect(pinned, discovery.agent_socket(pinned), time.monotonic() + _PATIENCE_S).close()
            return True
    return False


class Child(NamedTuple):
    """Another process than this one, which the caller started and will wait for, or merely looks at.

    Attributes:
        pid: its pid.
        baseline: what it had used when it became the attempt; ``children_peak_bytes`` is what ``ru_maxrss`` will never
            say less than, as the child began as a copy of the caller.
        waited_for: whether the caller promises its end, for which the agent then waits a moment once it is gone.
    """

    pid: int
    baseline: messages.Reading
    waited_for: bool = True


class Watch(NamedTuple):
    """How an attempt is looked at that is a part of its process's life.

    Attributes:
        measured: what of it.
        files: descriptors of the files of a recording, the attempt's and the host's; the caller's to close.
    """

    measured: str = messages.Measured.TREE
    files: tuple[int, ...] = ()


def register(
    identity: Identity, settings: Settings, child: Child | None = None, watch: Watch | None = None
) -> Registration:
    """Say that this process is the attempt, or ``child``. Never raises, prints or blocks.

    Its end is told by `Registration.end`, for a child by `Registration.end_with`. Without a ``watch``, the process is
    the attempt from its beginning to its end, as far as memory goes.
    """
    described = _described(identity)
    if child is None or child.waited_for:  # the environment of a process that is merely looked at is another one
        described = _with_threads(described)
    registration = Registration(described, settings, child, watch)
    registration._open()  # noqa: SLF001 - the two are one
    return registration


def annotate(settings: Settings, instance_id: str, values: Mapping[str, AttributeValue]) -> bool:
    """Say something of an attempt that another process registered; whether an agent heard it. Never raises."""
    with quietly():
        connection = rendezvous.connect(discovery.agent_socket(settings), time.monotonic() + _PATIENCE_S)
        if connection is not None:
            with connection:
                connection.sendall(messages.encode(messages.Annotate(instance_id, values)))
            return True
    return False


def flush(settings: Settings, timeout_s: float) -> bool:
    """Have the agent sample and send everything; whether all was acknowledged in time, or no agent lives.

    Points that were refused or dropped since the flush before were not.
    """
    from stepsize.instrumentation import wire  # noqa: PLC0415 - hardly any task asks for it

    if settings.sdk_disabled:
        return True
    try:
        answer = ask(settings, wire.Flush(timeout_s), timeout_s + _PATIENCE_S)
    except Exception as error:
        if came_by_signal(error):
            raise
        return False
    return answer is None or (isinstance(answer, wire.Answer) and answer.ok)


def ask(settings: Settings, request: wire.Message, timeout_s: float, files: Sequence[int] = ()) -> wire.Message | None:
    """The agent's answer to a request, or ``None`` where no agent lives. For launchers and commands.

    ``files`` are descriptors that go with it, the caller's to close.

    Raises:
        OSError: the agent went away or did not answer in time.
        StepsizeError: there is no place for sockets, or the answer is not one.
    """
    from stepsize.instrumentation import wire  # noqa: PLC0415 - for launchers and commands

    deadline = time.monotonic() + timeout_s
    connection = rendezvous.connect(discovery.agent_socket(settings), deadline)
    if connection is None:
        return None
    with connection:
        connection.settimeout(timeout_s)
        _send_with(connection, messages.encode(request), files)
        answer = bytearray()
        while not answer.endswith(b"\n"):
            connection.settimeout(max(rendezvous.RETRY_S, deadline - time.monotonic()))
            part = connection.recv(65536)
            if not part:
                raise ConnectionResetError("the agent ended before it answered")
            answer += part
    return wire.decode(bytes(answer))


class Registration:
    """One attempt, as far as its process tells of it. Safe when nothing works; every method may be called again.

    A process that was forked off with it in its memory says nothing: the attempt is its parent's.
    """

    __slots__ = ("_child", "_ended", "_identity", "_owner", "_register", "_settings", "_socket", "_watch")

    def __init__(
        self, identity: Identity, settings: Settings, child: Child | None = None, watch: Watch | None = None
    ) -> None:
        self._identity = identity
        self._settings = settings
        self._socket: Path | None = None
        with quietly():  # what the program does to its environment later changes nothing for us
            self._settings = discovery.pinned(settings)
            self._socket = discovery.agent_socket(self._settings)
        self._child = child
        self._watch = watch
        self._owner = os.getpid()
        self._register: messages.Register | None = None
        self._ended = settings.sdk_disabled

    @property
    def identity(self) -> Identity:
        """Which attempt it is, with what has been said of it."""
        return self._identity

    @property
    def baseline(self) -> messages.Reading | None:
        """What the process had used when it became the attempt; ``None`` where nothing was said at all."""
        return self._register.baseline if self._register else None

    def annotate(self, **values: AttributeValue) -> bool:
        """Say something of the attempt (``rows=1_200_000``); later values replace earlier ones of the same name.

        Returns:
            Whether an agent heard it. A process that was forked off may say it too.
        """
        with quietly():
            if self._mine:
                self._identity = self._identity._replace(annotations={**self._identity.annotations, **values})
                self._send(messages.Annotate(self._identity.instance_id, values))
                return True
            return not self._ended and annotate(self._settings, self._identity.instance_id, values)
        return False

    def renew(self) -> None:
        """Say it again, to an agent that has been started since."""
        with quietly():
            if self._mine:
                self._send()

    def end(self, outcome: Outcome, exit_code: int | None = None) -> None:
        """Say how the attempt, which is this process, ended and what it has used. The first call counts."""
        with quietly():
            if self._mine:
                final = readings.own_reading(last=True, with_children=self._with_children)
                self.end_with(messages.End(self._identity.instance_id, outcome, final, exit_code))

    def end_with(self, end: messages.End) -> None:
        """As `end`, with readings that the caller took (``stepsize run`` has them from ``wait4``)."""
        with quietly():
            if self._mine:
                self._ended = True
                registered.remove(self)
                self._mark(lives=False)
                self._send(end)
                from stepsize.instrumentation import lifetime  # noqa: PLC0415 - only the end needs it

                wait_s = lifetime.end_wait_s(self._settings, os.environ)
                if wait_s > 0 and registered.oldest() is None:  # else the attempt around this one will wait for both
                    flush(self._settings, wait_s)

    @property
    def _with_children(self) -> bool:
        return self._watch is None or self._watch.measured != messages.Measured.PROCESS

    @property
    def _mine(self) -> bool:
        return not self._ended and os.getpid() == self._owner

    def _open(self) -> None:
        if self._ended:
            return
        if self._child is None:
            registered.add(self)
            self._mark(lives=True)
        with contextlib.ExitStack() as stack:
            connection = None
            with quietly():
                # First: an agent that has to be started costs CPU, which the baseline then leaves out.
                connection = stack.enter_context(self._connection())
            with quietly():
                self._register = self._registration()
                if connection is not None:
                    self._deliver(connection)

    def _mark(self, *, lives: bool) -> None:
        """Have the Python programs that this one starts know that they are in its tree: they would register too."""
        if self._settings.autostart and self._child is None:
            from stepsize.instrumentation import lineage  # noqa: PLC0415 - only where programs register themselves

            with quietly():
                (lineage.enter if lives else lineage.leave)(os.environ, self._identity)

    def _registration(self) -> messages.Register:
        interval_s = self._settings.interval_s
        child, watch = self._child, self._watch
        if child is None:
            own = readings.own_reading(with_children=self._with_children)
            message = messages.Register(self._identity, 0, own, interval_s)
        else:
            message = messages.Register(
                self._identity, child.pid, child.baseline, interval_s, waited_for=child.waited_for
            )
        if watch is None:
            return message
        return message._replace(measured=watch.measured, within=True, recorded=bool(watch.files))

    def _send(self, *others: wire.Message) -> None:
        with self._connection() as connection:
            self._deliver(connection, *others)

    def _connection(self) -> socket.socket:
        return _connect(self._settings, self._socket, time.monotonic() + _PATIENCE_S)

    def _deliver(self, connection: socket.socket, *others: wire.Message) -> None:
        """Send the registration, then ``others``; the pidfd travels with the first byte."""
        first = (self._register or self._registration())._replace(identity=self._identity)
        content = b"".join(messages.encode(message) for message in (first, *others))
        files = () if self._watch is None else self._watch.files
        with _pidfd(self._owner if self._child is None else self._child.pid) as pidfd:
            _send_with(connection, content, [*files, *pidfd])


def _send_with(connection: socket.socket, content: bytes, handles: Sequence[int]) -> None:
    """Send all of it; the descriptors travel with the first byte."""
    sent = socket.send_fds(connection, [content], handles) if handles else connection.send(content)
    if sent < len(content):
        connection.sendall(content[sent:])


def _described(identity: Identity) -> Identity:
    """With what the environment says of this process alone: one agent serves many."""
    if not (os.environ.get("OTEL_RESOURCE_ATTRIBUTES") or os.environ.get("OTEL_SERVICE_NAME")):
        return identity
    with quietly():
        from stepsize.instrumentation.identity import with_resource_attributes  # noqa: PLC0415 - hardly ever needed

        return with_resource_attributes(identity, os.environ)
    return identity


def _with_threads(identity: Identity) -> Identity:
    """With how many threads the environment has libraries start."""
    with quietly():
        threads = thread_settings(os.environ)
        if threads:
            return identity._replace(resource={**threads, **identity.resource})
    return identity


@contextlib.contextmanager
def _pidfd(pid: int) -> Iterator[list[int]]:
    """The process's pidfd in a list; an empty one where the system has none."""
    try:
        descriptor = os.pidfd_open(pid)
    except (AttributeError, OSError):
        yield []
        return
    try:
        yield [descriptor]
    finally:
        os.close(descriptor)


def _connect(settings: Settings, found: Path | None, deadline: float) -> socket.socket:
    """A connection to the agent, which is started where none answers; ``found`` is where its socket was, if known.

    Raises:
        OSError, UnavailableError: there was none to be had in time.
        LakeError: there is no place for sockets.
    """
    connection = None if found is None else rendezvous.connect(found, deadline)
    if connection is not None:
        return connection
    path = discovery.agent_socket(settings)  # its directory may be gone by now: this makes it again
    from stepsize.errors import UnavailableError  # noqa: PLC0415 - only the first task of a host needs these
    from stepsize.instrumentation import spawn  # noqa: PLC0415 - as above

    with rendezvous.locked(path, deadline):
        connection = rendezvous.connect(path, deadline)
        if connection is not None:
            return connection
        listener = rendezvous.listen(path)
    # Out of the lock: others can connect already. Should this process die here, the listener dies with it, and
    # whoever is refused next replaces the socket.
    with listener:
        if not spawn.start(listener, settings):
            raise UnavailableError(f"cannot start {spawn.AGENT_MODULE}")
        connection = rendezvous.connect(path, deadline + _PATIENCE_S)
    if connection is None:
        raise UnavailableError(f"nobody listens on {path}")
    return connection
