"""What is known of one attempt so far: a partial state that points are folded into, in any order.

What comes in: values with their times. What goes out: the state, as JSON and back. Never does I/O, never looks at a
clock: times are the sender's, arrivals are handed in.

Every part of the state is a maximum, a sum or a count, so that folding batch by batch equals folding all at once. Only
rates need the sample before: a sample of ``stepsize.task.cpu.usage`` holds for the time since the one before it, at
most :data:`MAX_GAP_NS`; one that arrives out of order holds for the usual interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from stepsize.model import cpu_bucket

MAX_GAP_NS = 120 * 10**9
_USUAL_INTERVAL_NS = 10**9
_START_SLACK_NS = 2 * 10**9


class AttemptKey(NamedTuple):
    """What tells attempts apart; deployments whose run numbers repeat by project, branch, user and environment."""

    flow: str
    run: str
    step: str
    task: str
    attempt: int
    project: str
    branch: str
    user: str
    environment: str


@dataclass(slots=True)
class Rate:
    """A gauge that says how much a second, integrated over the time between its samples."""

    total: float = 0.0
    last_ns: int = 0
    interval_ns: int = _USUAL_INTERVAL_NS

    def weight_s(self, time_ns: int, since_ns: int) -> float:
        """Seconds that the sample at ``time_ns`` holds for; 0 for one that was seen already.

        ``since_ns`` is when the attempt started: the first sample holds since then.
        """
        before_ns = self.last_ns or since_ns or time_ns
        if time_ns > before_ns:
            if self.last_ns:
                self.interval_ns = min(time_ns - before_ns, MAX_GAP_NS)
            self.last_ns = time_ns
            return min(time_ns - before_ns, MAX_GAP_NS) / 1e9
        if time_ns == self.last_ns:
            return 0.0
        self.last_ns = max(self.last_ns, time_ns)
        return self.interval_ns / 1e9


@dataclass(slots=True)
class Level:
    """A gauge of a level: its mean and highest sample."""

    total: float = 0.0
    count: int = 0
    highest: float = 0.0

    def add(self, values: list[float]) -> None:
        """Fold samples in."""
        self.total += sum(values)
        self.highest = max(values) if not self.count else max(self.highest, *values)
        self.count += len(values)

    @property
    def mean(self) -> float | None:
        """Mean of the samples."""
        return self.total / self.count if self.count else None


@dataclass(slots=True)
class Counter:
    """A cumulative sum since one start time: its lowest and highest value."""

    lowest: float
    highest: float


@dataclass(slots=True)
class Attempt:
    """The state of one attempt. Times in nanoseconds since 1970, 0 where not known.

    Attributes:
        first_ns, last_ns: earliest and latest evidence by the sender's clock.
        arrived_ns: when the last of its points arrived, by ours.
        ended_ns: when it ended by its own word, ``stepsize.task.end``.
        outcome: None while it runs.
        presumed: whether the outcome is concluded from silence, so that a further point takes it back.
        described: columns that its resource gives: item, request, host, cloud and so on.
        counters: ``metric|attribute|start`` → the sum's values.
        levels: ``metric`` or ``metric|device`` → the gauge's mean and highest.
        rates: metric and direction → bytes.
        cpu: cores in use, integrated to core seconds.
        cpu_histogram: bucket of cores (`model.cpu_bucket`) → seconds.
    """

    key: AttemptKey
    first_ns: int = 0
    last_ns: int = 0
    arrived_ns: int = 0
    ended_ns: int = 0
    outcome: str | None = None
    presumed: bool = False
    exit_code: int | None = None
    exit_signal: int | None = None
    described: dict[str, Any] = field(default_factory=dict)
    counters: dict[str, Counter] = field(default_factory=dict)
    levels: dict[str, Level] = field(default_factory=dict)
    rates: dict[str, Rate] = field(default_factory=dict)
    cpu: Rate = field(default_factory=Rate)
    cpu_histogram: dict[int, float] = field(default_factory=dict)
    memory_peak: float = 0.0
    memory_source: str | None = None
    memory_limit: float | None = None

    def seen(self, first_ns: int, last_ns: int) -> None:
        """Evidence between two times; 0 is none."""
        if first_ns > 0:
            self.first_ns = min(self.first_ns or first_ns, first_ns)
        self.last_ns = max(self.last_ns, last_ns)

    def add_counter(self, name: str, values: list[float]) -> None:
        """Values of a cumulative sum; ``name`` tells its attributes and start time apart."""
        lowest, highest = min(values), max(values)
        known = self.counters.get(name)
        if known is None:
            self.counters[name] = Counter(lowest, highest)
        else:
            known.lowest, known.highest = min(known.lowest, lowest), max(known.highest, highest)

    def add_delta(self, name: str, values: list[float]) -> None:
        """Values of a sum that says what was added since the one before."""
        known = self.counters.setdefault(name, Counter(0.0, 0.0))
        known.highest += math.fsum(values)

    def counted(self, metric: str, which: str = "") -> float | None:
        """What the sums of ``metric`` have counted during the attempt, or None where there is none.

        A sum that started with the attempt has counted its highest value; one that is older than the attempt (a
        container's) what it gained since the attempt was first seen. ``which`` chooses by the end of the attributes.
        """
        found = []
        for name, counter in self.counters.items():
            series, _, start = name.rpartition("|")
            if series.partition("|")[0] != metric or not series.endswith(which):
                continue
            older = metric.startswith("container.") and int(start) < self.first_ns - _START_SLACK_NS
            found.append(counter.highest - counter.lowest if older else counter.highest)
        return math.fsum(found) if found else None

    def add_level(self, name: str, values: list[float]) -> None:
        """Samples of a gauge."""
        self.levels.setdefault(name, Level()).add(values)

    def add_rate(self, name: str, samples: list[tuple[int, float]]) -> None:
        """Samples of a rate, (time in nanoseconds, value a second), sorted by time."""
        rate = self.rates.setdefault(name, Rate())
        for time_ns, value in samples:
            rate.total += value * rate.weight_s(time_ns, self.first_ns)

    def add_cpu(self, samples: list[tuple[int, float]]) -> None:
        """Samples of cores in use, (time in nanoseconds, cores), sorted by time."""
        cpu, histogram = self.cpu, self.cpu_histogram
        for time_ns, cores in samples:
            seconds = cpu.weight_s(time_ns, self.first_ns)
            cpu.total += cores * seconds
            bucket = cpu_bucket(cores)
            histogram[bucket] = histogram.get(bucket, 0.0) + seconds

    def add_memory_peak(self, value: float, source: str) -> None:
        """A peak of memory, and where it comes from."""
        if value > self.memory_peak or self.memory_source is None:
            self.memory_peak, self.memory_source = value, source

    def to_json(self) -> dict[str, Any]:
        """The state as JSON values."""
        return {
            **{name: getattr(self, name) for name in _PLAIN},
            "counters": {name: _plain(counter) for name, counter in self.counters.items()},
            "levels": {name: _plain(level) for name, level in self.levels.items()},
            "rates": {name: _plain(rate) for name, rate in self.rates.items()},
            "cpu": _plain(self.cpu),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Attempt:
        """The state back from :meth:`to_json`."""
        attempt = cls(AttemptKey(*values["key"]), **{name: values[name] for name in _PLAIN if name != "key"})
        attempt.counters = {name: Counter(**value) for name, value in values["counters"].items()}
        attempt.levels = {name: Level(**value) for name, value in values["levels"].items()}
        attempt.rates = {name: Rate(**value) for name, value in values["rates"].items()}
        attempt.cpu = Rate(**values["cpu"])
        attempt.cpu_histogram = {int(bucket): seconds for bucket, seconds in values["cpu_histogram"].items()}
        return attempt


_NESTED = ("counters", "levels", "rates", "cpu")
_PLAIN = tuple(row.name for row in fields(Attempt) if row.name not in _NESTED)


def _plain(part: Counter | Level | Rate) -> dict[str, Any]:
    return {name: getattr(part, name) for name in part.__slots__}
