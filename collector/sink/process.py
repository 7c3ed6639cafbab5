"""The sink as a process of its own, child of the collector: ``python -m stepsize.collector.sink.process JSON``.

What comes in on standard input, one line each: ``durable SEGMENT OFFSET`` (the log can be read up to there) and
``flush``. What goes out on standard output: ``ready`` once the lake is there, ``stored SEGMENT OFFSET`` after a commit
that shows the points up to there, ``committed SEGMENT OFFSET`` after one that shows `tasks` up to there too, the same
after ``at`` where a sink begins (the one before may have ended before it said so), ``seal`` where what the log holds
has to be deleted soon (rows were erased), or ``error MESSAGE`` before an exit with 1. At the end of standard input it
folds what the log still holds, for :data:`_DRAIN_S` at most, and exits with 0: a collector that was killed leaves
little behind that waits for the next one. Where that one is there already, its own sink goes on. Any failure ends the
process; the collector starts another one, which goes on from the last commit.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import sys
import time
from typing import TYPE_CHECKING

from stepsize.collector.processes.child import Place, leave_signals_to_the_collector, say
from stepsize.collector.sink.memory import prepare_memory
from stepsize.collector.sink.settings import SinkSettings, keep_limits
from stepsize.collector.sink.sink import Sink
from stepsize.collector.state import SINK_LOCK_FILE
from stepsize.collector.upkeep.erase import obey
from stepsize.collector.upkeep.requests import open_requests
from stepsize.collector.wal.reader import bytes_between, segments
from stepsize.errors import StepsizeError
from stepsize.store.lake import Lake
from stepsize.store.manifest import WalPosition, announce
from stepsize.store.writer import LakeWriter, writer_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepsize.collector.limits import SinkLimits

END = WalPosition(segment=2**62)
"""A position after everything."""

_LOCK_TIMEOUT_S = 60.0
_DRAIN_S = 20.0
_TICK_S = 5.0
_STEP_NS = 2 * 10**9
"""What a clock gains or loses on the monotonic one in less than a minute, it was set by (slewing is 500 ppm)."""
_MAX_INTERVAL_S = 4.0
_COST_FACTOR = 4.0
"""Commits take at most a fifth of the time: after a slow one the next waits longer, up to `_MAX_INTERVAL_S`."""
_FULL_BYTES = 16 << 20
"""So much is not waited with: what a commit costs besides its points hardly counts any more."""
_MAX_ROLL_UP_INTERVAL_S = 60.0
_ROLL_UP_COST_FACTOR = 9.0
"""Rolling up takes a tenth of the time at most: with ten thousand tasks that run, `tasks` is some seconds older."""


@contextlib.contextmanager
def open_sink(settings: SinkSettings) -> Iterator[Sink]:
    """A sink on the settings' lake; whoever calls holds its writer's lock.

    Raises:
        LakeError: the data directory cannot be used.
    """
    announce(settings.data, settings.writer)  # who erases asks this one too, though it has not committed yet
    sink = Sink(LakeWriter(settings.data, settings.writer), settings.state, settings.limits, time.time_ns())
    try:
        yield sink
    finally:
        sink.close()


def main() -> None:
    """Entry point of the process."""
    leave_signals_to_the_collector()
    prepare_memory()
    settings = SinkSettings.from_json(sys.argv[1])
    place = Place(settings.state / SINK_LOCK_FILE)
    try:
        with contextlib.ExitStack() as end:
            end.enter_context(place.held(_LOCK_TIMEOUT_S))
            keep_limits(settings)
            Lake(settings.data).create()
            end.enter_context(writer_lock(settings.data, settings.writer).held(_LOCK_TIMEOUT_S))
            _serve(settings, place)
    except StepsizeError as error:
        say("error", str(error))
        sys.exit(1)
    except OSError as error:  # a full disk, most of all: the log keeps everything until there is room again
        say("error", f"cannot write to {error.filename or settings.data}: {error.strerror}")
        sys.exit(1)


class _Clock:
    """When the next commit, roll-up and look at silent attempts are due, by the monotonic clock."""

    def __init__(self, limits: SinkLimits) -> None:
        self._least_s = self._interval_s = limits.commit.interval_s
        self._tick_every_s = min(_TICK_S, limits.rollup.silence_s / 4, limits.rollup.linger_s / 4)
        self._roll_up_s = self.tick_s = time.monotonic()
        self._commit_s = math.inf
        self._ahead_ns = time.time_ns() - time.monotonic_ns()

    def wait_s(self) -> float:
        """How long nothing is due."""
        return max(0.0, min(self.tick_s, self._commit_s) - time.monotonic())

    def expect(self, *, waiting_bytes: int, tasks: bool) -> None:
        """There are requests to commit, of so many bytes, or points to roll up."""
        if waiting_bytes >= _FULL_BYTES:
            self._commit_s = 0.0
        elif waiting_bytes:
            self._commit_s = min(self._commit_s, time.monotonic() + self._interval_s)
        elif tasks:
            self._commit_s = min(self._commit_s, self._roll_up_s)

    def flush(self) -> None:
        """Everything is due."""
        self._commit_s = self._roll_up_s = 0.0

    def is_commit_due(self) -> bool:
        """Whether to commit now."""
        return time.monotonic() >= self._commit_s

    def is_roll_up_due(self) -> bool:
        """Whether to roll up with the next commit."""
        return time.monotonic() >= self._roll_up_s

    def committed(self, cost_s: float) -> None:
        """A commit is done that took ``cost_s`` without rolling up."""
        self._commit_s = math.inf
        self._interval_s = max(self._least_s, min(_MAX_INTERVAL_S, _COST_FACTOR * cost_s))

    def rolled_up(self, cost_s: float) -> None:
        """`tasks` is up to date, which took ``cost_s``."""
        self._roll_up_s = time.monotonic() + min(_MAX_ROLL_UP_INTERVAL_S, _ROLL_UP_COST_FACTOR * cost_s)

    def was_set(self, now_ns: int) -> bool:
        """Whether the time ``now_ns`` shows that our clock was put forward or back since the last call."""
        ahead_ns, before_ns = now_ns - time.monotonic_ns(), self._ahead_ns
        self._ahead_ns = ahead_ns
        return abs(ahead_ns - before_ns) > _STEP_NS

    def ticked(self) -> None:
        """Silent attempts were looked at."""
        self.tick_s = time.monotonic() + self._tick_every_s


def _serve(settings: SinkSettings, place: Place) -> None:
    """Be the sink until standard input ends; one that is asked to erase makes place for another when it has."""
    clock = _Clock(settings.limits)
    lines = _input(clock)
    durable = WalPosition()
    said_ready = False
    failed: set[str] = set()
    while True:
        with open_sink(settings) as sink:
            if not said_ready:
                say("ready")
                said_ready = True
            say("at", _progress(sink))
            durable = max(durable, sink.position)
            asked = _fold_until_asked(sink, settings, clock, lines, durable, failed)
            if asked is None:
                _drain(sink, settings, place)
                return
        # Nothing of the rows to erase is in memory now: not in the roll-up, not in what was decoded last.
        obey(settings.data, settings.state, settings.writer, failed)
        say("seal")
        durable = asked


def _fold_until_asked(
    sink: Sink,
    settings: SinkSettings,
    clock: _Clock,
    input_lines: Iterator[list[str]],
    durable: WalPosition,
    failed: set[str],
) -> WalPosition | None:
    """Fold and commit until there is something to erase: up to where the log is durable; None at the end of input."""
    for lines in input_lines:
        for word, *numbers in map(str.split, lines):
            if word == "durable":
                durable = max(durable, WalPosition(*map(int, numbers)))
            elif word == "flush":
                clock.flush()
        clock.expect(waiting_bytes=_waiting_bytes(sink, settings, durable), tasks=sink.folded < sink.position)
        if clock.is_commit_due():
            _commit(sink, clock, durable)
        if time.monotonic() >= clock.tick_s:
            rolls_up, before = clock.is_roll_up_due(), sink.folded
            sink.tick(_now_ns(sink, clock), roll_up=rolls_up)
            if rolls_up:
                clock.rolled_up(sink.folding_s)
            if sink.folded != before:
                _report(sink)
            clock.ticked()
            if open_requests(settings.data, settings.writer, failed):
                sink.fold(durable, _now_ns(sink, clock))
                return durable
    return None


def _drain(sink: Sink, settings: SinkSettings, place: Place) -> None:
    """Fold what the log still holds, for a while, or until the sink of another collector waits to go on with it."""
    until_s = time.monotonic() + _DRAIN_S
    for number in segments(settings.state):
        if time.monotonic() >= until_s or place.is_wanted():
            return
        sink.fold(WalPosition(number + 1), time.time_ns(), roll_up=False)
    sink.fold(END, time.time_ns())


def _waiting_bytes(sink: Sink, settings: SinkSettings, durable: WalPosition) -> int:
    """How much there is to commit, as far as it matters; a byte at least, even where nothing is left to be read."""
    if durable <= sink.position:
        return 0
    return max(1, bytes_between(settings.state, sink.position, durable, _FULL_BYTES))


def _now_ns(sink: Sink, clock: _Clock) -> int:
    """The time by our clock; the sink hears of it first where somebody has set it."""
    now_ns = time.time_ns()
    if clock.was_set(now_ns):
        sink.clock_was_set(now_ns)
    return now_ns


def _commit(sink: Sink, clock: _Clock, durable: WalPosition) -> None:
    rolls_up, started_s = clock.is_roll_up_due(), time.monotonic()
    sink.fold(durable, _now_ns(sink, clock), roll_up=rolls_up)
    clock.committed(time.monotonic() - started_s - (sink.folding_s if rolls_up else 0.0))
    if rolls_up:
        clock.rolled_up(sink.folding_s)
    _report(sink)


def _report(sink: Sink) -> None:
    say(_progress(sink))


def _progress(sink: Sink) -> str:
    is_level = sink.folded == sink.position
    return f"{'committed' if is_level else 'stored'} {sink.position.segment} {sink.position.offset}"


def _input(clock: _Clock) -> Iterator[list[str]]:
    """Lines of standard input as they come, none where something is due first; ends with it."""
    descriptor = sys.stdin.fileno()
    rest = b""
    while True:
        readable, _, _ = select.select([descriptor], [], [], clock.wait_s())
        if not readable:
            yield []
            continue
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        yield [line.decode("ascii") for line in lines]


if __name__ == "__main__":
    main()
