"""What is known of one attempt so far: a partial state that points are folded into, in any order.

What comes in: values with their times. What goes out: the state, as JSON and back. Never does I/O, never looks at a
clock: times are the sender's, arrivals are handed in.

An attempt that is silent can be put to rest (:meth:`Attempt.rest`): of ten thousands that wait for hours only what is
asked of all of them lies in memory as it is.

Every part of the state is a maximum, a sum or a count, so that folding batch by batch equals folding all at once. Only
rates need the sample before: a sample of ``stepsize.task.cpu.usage`` holds for the time since the one before it, at
most :data:`MAX_GAP_NS`; one that arrives out of order holds for the usual interval.
"""

from __future__ import annotations

import marshal
import math
import zlib
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple

from stepsize.model import Attr, cpu_bucket

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepsize.collector.rollup.samples import Samples

FROM_SAMPLES = "samples"
"""Source of a peak of memory that is no true one, but the highest sample."""
ALL_DEVICES = "|*"
"""After a metric's name: the level over all devices by moment, of what was sent by device."""
MAX_GAP_NS = 120 * 10**9
USUAL_INTERVAL_NS = 10**9
START_SLACK_NS = 2 * 10**9
_WHOSE = (Attr.PROJECT, Attr.BRANCH, Attr.USER)
ENVIRONMENT = ("deployment.environment.name", "service.namespace", "k8s.cluster.name")
"""Attributes of a resource that name its environment."""
_MAX_INSTANCES = 16


class AttemptKey(NamedTuple):
    """What all points of an attempt say of it. Attempts of deployments whose run numbers repeat may share it."""

    flow: str
    run: str
    step: str
    task: str
    attempt: int


@dataclass(slots=True)
class Rate:
    """A gauge that says how much a second, integrated over the time between its samples."""

    total: float = 0.0
    last_ns: int = 0
    interval_ns: int = USUAL_INTERVAL_NS

    def weigh(self, samples: Iterable[tuple[int, float]], since_ns: int) -> list[tuple[float, float]]:
        """(value, seconds that it holds for) of samples sorted by time; 0 for one that was seen already.

        ``since_ns`` is when the attempt started: the first sample holds since then.
        """
        weighed = []
        last_ns, interval_ns = self.last_ns, self.interval_ns
        for time_ns, value in samples:
            before_ns = last_ns or since_ns or time_ns
            if time_ns > before_ns:
                gap_ns = min(time_ns - before_ns, MAX_GAP_NS)
                if last_ns:
                    interval_ns = gap_ns
                last_ns = time_ns
                weighed.append((value, gap_ns / 1e9))
            elif time_ns == last_ns:
                weighed.append((value, 0.0))
            else:
                last_ns = max(last_ns, time_ns)
                weighed.append((value, interval_ns / 1e9))
        self.last_ns, self.interval_ns = last_ns, interval_ns
        return weighed

    def begin(self, samples: Samples, since_ns: int) -> tuple[float, float] | None:
        """As :meth:`weigh` for the first of ``samples``, and be past the last; None where they come out of order.

        The others then hold for the time since the one before them, which the samples say.
        """
        if samples.first[0] <= self.last_ns:
            return None
        ((value, seconds),) = self.weigh([samples.first], since_ns)
        self.last_ns, self.interval_ns = samples.last[0], samples.interval_ns or self.interval_ns
        return value, seconds


@dataclass(slots=True)
class Level:
    """A gauge of a level: its mean and highest sample."""

    total: float = 0.0
    count: int = 0
    highest: float = 0.0

    def add(self, total: float, count: int, highest: float) -> None:
        """Fold samples in: their sum, how many there are, and the highest."""
        self.total += total
        self.highest = highest if not self.count else max(self.highest, highest)
        self.count += count

    @property
    def mean(self) -> float | None:
        """Mean of the samples."""
        return self.total / self.count if self.count else None


@dataclass(slots=True)
class Counter:
    """A cumulative sum since one start time: its lowest and highest value."""

    lowest: float
    highest: float


class Host(NamedTuple):
    """What is known of an attempt's host; "" and None where nothing is."""

    name: str
    cpus: int | None
    memory_bytes: int | None


class _Packed(NamedTuple):
    """The state of an attempt at rest, and its host."""

    content: bytes
    host: Host


@dataclass(slots=True, eq=False)
class Attempt:
    """The state of one attempt, compared by identity. Times in nanoseconds since 1970, 0 where not known.

    Of one at rest there are ``key``, ``arrived_ns``, ``outcome`` and ``host`` alone.

    Attributes:
        told: project, branch, user and environment, as far as they are known, by the attribute's name.
        instances: the latest ``service.instance.id`` of those who told of it, our agents' aside.
        first_ns, last_ns: earliest and latest evidence by the sender's clock.
        arrived_ns: when the last of its points arrived, by ours.
        ended_ns: when it ended by its own word, ``stepsize.task.end``.
        outcome: None while it runs.
        presumed: whether the outcome is concluded from silence, so that a further point takes it back.
        described: columns that its resource gives: item, request, host, cloud and so on.
        counters: ``metric|attribute|start`` → the sum's values.
        levels: ``metric``, ``metric|device`` or ``metric|*`` (`ALL_DEVICES`) → the gauge's mean and highest.
        rates: metric and direction → bytes.
        cpu: cores in use, integrated to core seconds.
        cpu_histogram: bucket of cores (`model.cpu_bucket`) → seconds.
        memory_peak, memory_source: highest memory, and the source of it: "" where its sender does not say, None where
            nothing was measured.
    """

    key: AttemptKey
    told: dict[str, str] = field(default_factory=dict)
    instances: list[str] = field(default_factory=list)
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
    packed: _Packed | None = None

    @property
    def host(self) -> Host:
        """Where it runs."""
        return self.packed.host if self.packed is not None else _host(self.described)

    def rest(self) -> None:
        """Take little room until :meth:`wake`."""
        if self.packed is None:
            self.packed = _Packed(zlib.compress(marshal.dumps(self.to_json()), 1), self.host)
            for name in _AT_REST:
                delattr(self, name)  # so that whoever forgets to wake it is told

    def wake(self) -> None:
        """Be there as a whole."""
        if self.packed is not None:
            whole = Attempt.from_json(marshal.loads(zlib.decompress(self.packed.content)))  # noqa: S302 - our own bytes
            for name in _AT_REST:
                setattr(self, name, getattr(whole, name))
            self.packed = None

    def tell(self, told: Iterable[tuple[str, str]], instance: str) -> None:
        """Who it is, as far as one sender says."""
        self.told.update(told)
        if instance and instance not in self.instances:
            self.instances = [*self.instances, instance][-_MAX_INSTANCES:]

    def seen(self, first_ns: int, last_ns: int) -> None:
        """Evidence between two times; 0 is none."""
        if first_ns > 0:
            self.first_ns = min(self.first_ns or first_ns, first_ns)
        self.last_ns = max(self.last_ns, last_ns)

    def add_counter(self, name: str, lowest: float, highest: float) -> None:
        """Lowest and highest value of a cumulative sum; ``name`` tells its attributes and start time apart."""
        known = self.counters.get(name)
        if known is None:
            self.counters[name] = Counter(lowest, highest)
        else:
            known.lowest, known.highest = min(known.lowest, lowest), max(known.highest, highest)

    def add_delta(self, name: str, total: float) -> None:
        """What a sum that says what was added since the one before has added up to."""
        known = self.counters.setdefault(name, Counter(0.0, 0.0))
        known.highest += total

    def counted(self, metric: str, which: str = "") -> float | None:
        """What the sums of ``metric`` have counted during the attempt, or None where there is none.

        A sum that started with the attempt has counted its highest value; one that is older than the attempt (a
        container's), or whose start is not known or cannot be true, what it gained since it was first seen
        (opentelemetry.io/docs/specs/otel/metrics/data-model, "Cumulative streams: handling unknown start time").
        ``which`` chooses by the end of the attributes.
        """
        found = []
        earliest_ns, latest_ns = self.first_ns - START_SLACK_NS, self.last_ns + START_SLACK_NS
        for name, counter in self.counters.items():
            series, _, start = name.rpartition("|")
            if series.partition("|")[0] != metric or not series.endswith(which):
                continue
            ours = max(1, earliest_ns) <= int(start) <= latest_ns
            found.append(counter.highest if ours else counter.highest - counter.lowest)
        return math.fsum(found) if found else None

    def add_level(self, name: str, total: float, count: int, highest: float) -> None:
        """Samples of a gauge: their sum, how many there are, and the highest."""
        level = self.levels.get(name)
        if level is None:
            level = self.levels[name] = Level()
        level.add(total, count, highest)

    def add_rate(self, name: str, samples: Samples) -> None:
        """Samples of a rate, by second."""
        rate = self.rates.get(name)
        if rate is None:
            rate = self.rates[name] = Rate()
        first = rate.begin(samples, self.first_ns)
        if first is not None:
            rate.total += first[0] * first[1] + samples.later_total
            return
        for value, seconds in rate.weigh(samples.each(), self.first_ns):
            rate.total += value * seconds

    def add_cpu(self, samples: Samples) -> None:
        """Samples of cores in use, with their time by bucket."""
        cpu, histogram = self.cpu, self.cpu_histogram
        first = cpu.begin(samples, self.first_ns)
        if first is not None:
            weighed, later_s = [first], samples.later_s
            cpu.total += samples.later_total
        else:
            weighed, later_s = cpu.weigh(samples.each(), self.first_ns), ()
        for cores, seconds in weighed:
            cpu.total += cores * seconds
            bucket = cpu_bucket(cores)
            histogram[bucket] = histogram.get(bucket, 0.0) + seconds
        for bucket, seconds in later_s:
            histogram[bucket] = histogram.get(bucket, 0.0) + seconds

    def add_memory_peak(self, value: float, source: str) -> None:
        """A peak of memory, and where it comes from; of equal ones a true peak counts before a sample."""
        truer = value == self.memory_peak and self.memory_source == FROM_SAMPLES
        if value > self.memory_peak or truer or self.memory_source is None:
            self.memory_peak, self.memory_source = value, source

    def _deployment(self) -> tuple[str, str, str, str]:
        """Project, branch, user and environment, "" where not known: parts of the stored key, which views read."""
        project, branch, user = (self.told.get(name, "") for name in _WHOSE)
        return project, branch, user, "/".join(self.told.get(name, "") for name in ENVIRONMENT).strip("/")

    def to_json(self) -> dict[str, Any]:
        """The state as JSON values."""
        return {
            **{name: getattr(self, name) for name in _PLAIN},
            "key": [*self.key, *self._deployment()],
            "counters": {name: _plain(counter) for name, counter in self.counters.items()},
            "levels": {name: _plain(level) for name, level in self.levels.items()},
            "rates": {name: _plain(rate) for name, rate in self.rates.items()},
            "cpu": _plain(self.cpu),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Attempt:
        """The state back from :meth:`to_json`."""
        attempt = cls(_key(values))
        for name in _PLAIN:
            if name != "key" and name in values:  # a state that an older collector wrote lacks some
                setattr(attempt, name, values[name])
        if "told" not in values:
            whose = zip(_WHOSE, values["key"][len(AttemptKey._fields) :], strict=False)
            attempt.told = {name: value for name, value in whose if value}
        attempt.counters = {name: Counter(**value) for name, value in values["counters"].items()}
        attempt.levels = {name: Level(**value) for name, value in values["levels"].items()}
        attempt.rates = {name: Rate(**value) for name, value in values["rates"].items()}
        attempt.cpu = Rate(**values["cpu"])
        attempt.cpu_histogram = {int(bucket): seconds for bucket, seconds in values["cpu_histogram"].items()}
        return attempt

    @classmethod
    def at_rest(cls, values: dict[str, Any]) -> Attempt:
        """As :meth:`from_json`, at rest."""
        attempt = cls(_key(values))
        attempt.arrived_ns, attempt.outcome = values["arrived_ns"], values["outcome"]
        attempt.packed = _Packed(zlib.compress(marshal.dumps(values), 1), _host(values["described"]))
        for name in _AT_REST:
            delattr(attempt, name)
        return attempt


_NESTED = ("counters", "levels", "rates", "cpu")
_PLAIN = tuple(row.name for row in fields(Attempt) if row.name not in (*_NESTED, "packed"))
_AT_REST = tuple(row.name for row in fields(Attempt) if row.name not in ("key", "arrived_ns", "outcome", "packed"))
"""What an attempt at rest has packed."""


def _key(values: dict[str, Any]) -> AttemptKey:
    return AttemptKey(*values["key"][: len(AttemptKey._fields)])


def _host(described: dict[str, Any]) -> Host:
    return Host(described.get("host", ""), described.get("host_cpus"), described.get("host_memory_bytes"))


def _plain(part: Counter | Level | Rate) -> dict[str, Any]:
    return {name: getattr(part, name) for name in part.__slots__}
