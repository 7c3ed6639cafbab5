"""What a batch says of attempts and hosts, kept by column until it is folded.

What comes in: batches of points. What goes out: the points that the roll-up is interested in, summed up by series:
how many, their sum, lowest, highest, first and last; and of metrics whose samples matter one by one, the samples.
Never does I/O, never looks at a clock.

Summing up costs about as much for a series with one point as for one with many, so points are gathered over several
batches first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from stepsize import model
from stepsize.collector.decode.arrow import owners
from stepsize.collector.decode.codes import encoded, joined
from stepsize.collector.rollup.bounds import MOST, believed_times, is_believed
from stepsize.collector.rollup.fold import FOLDED
from stepsize.collector.rollup.identify import ATTEMPT_PREFIXES, may_tell
from stepsize.collector.rollup.samples import Samples, samples_by_series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stepsize.collector.decode.batch import Batch
    from stepsize.collector.decode.vocabulary import Attributes, Metric, Vocabulary
    from stepsize.collector.limits import ClockBounds

HOST_METRICS = frozenset({model.SYSTEM_CPU_LOGICAL_COUNT.name, model.SYSTEM_MEMORY_LIMIT.name})
_ONE_BY_ONE = frozenset(
    {
        model.TASK_CPU_USAGE.name,
        model.TASK_NETWORK_IO_RATE.name,
        model.TASK_END.name,
        model.CONTAINER_MEMORY_LIMIT.name,
        *HOST_METRICS,
    }
)
"""Metrics whose samples matter one by one, as do those that are sent by device."""
_BY_DEVICE = frozenset({model.TASK_GPU_UTILIZATION.name, model.TASK_GPU_MEMORY_USAGE.name})
_KEPT = ("resource", "attributes", "metric", "time", "start", "received", "value")
_SERIES = ("owner", "metric", "attributes", "since")
"""Columns that tell series apart."""
_SUMMED = (
    *((name, "min") for name in _SERIES),
    ("time", "min"),
    ("time", "max"),
    ("received", "max"),
    ("started", "min"),
    ("value", "count"),
    ("value", "sum"),
    ("value", "min"),
    ("value", "max"),
)
_KEYS = frozenset(f"{name}_min" for name in _SERIES)


class Figures(NamedTuple):
    """What the points of a series add up to that have a value which can be true.

    ``samples`` are there where they matter one by one and there is a point.
    """

    metric: Metric
    attributes: Attributes
    since_ns: int
    points: int
    total: float
    lowest: float
    highest: float
    samples: Samples | None


class Owner(NamedTuple):
    """What was gathered of one owner: a resource, with attributes of its points where they say whose they are.

    Attributes:
        resource, attributes: numbers of the vocabulary; -1 for no attributes.
        tells: whether there are points of an attempt, and not of a host alone; the times are those of the former.
        first_ns, last_ns, arrived_ns: earliest and latest time, latest arrival.
        started_ns: since when its task's sums count, 0 where that is not known.
        figures: its series.
    """

    resource: int
    attributes: int
    tells: bool
    first_ns: int
    last_ns: int
    arrived_ns: int
    started_ns: int
    figures: list[Figures]


class Gathered:
    """Points of any number of batches, all by one vocabulary."""

    def __init__(self, clock: ClockBounds) -> None:
        self._clock = clock
        self._parts: list[pa.Table] = []
        self.vocabulary: Vocabulary | None = None

    @property
    def count(self) -> int:
        """How many points there are."""
        return sum(part.num_rows for part in self._parts)

    def add(self, batch: Batch) -> None:
        """Keep what of ``batch`` the roll-up is interested in; its vocabulary is that of the batches before."""
        numbers = batch.numbers()
        chosen = numbers.filter(_of_metrics(numbers["metric"], batch.vocabulary, _is_wanted))
        if not chosen.num_rows:
            return
        self.vocabulary = batch.vocabulary
        value = pc.coalesce(chosen["double"], chosen["integer"].cast(pa.float64(), safe=False))
        self._parts.append(chosen.append_column("value", value).select(_KEPT))

    def take(self) -> list[Owner]:
        """What was gathered, by owner in the order in which they came; nothing is gathered any more."""
        parts, self._parts = self._parts, []
        vocabulary, self.vocabulary = self.vocabulary, None
        if vocabulary is None:
            return []
        points = pa.concat_tables(parts).combine_chunks()
        del parts  # twice a million points is what it takes at most
        whose = owners(
            encoded(points["resource"].combine_chunks()),
            encoded(points["attributes"].combine_chunks()),
            lambda number: may_tell(vocabulary.attributes[number].values),
        )
        points = _prepared(points, vocabulary, whose.rows, self._clock)
        series = points.group_by("series", use_threads=False).aggregate([*_SUMMED])
        series = series.rename_columns(
            [name.removesuffix("_min") if name in _KEYS else name for name in series.schema.names]
        )
        made = _owners(series, whose.values, vocabulary)
        samples = _samples(points, vocabulary)
        for owner, figures in _figures(series, vocabulary, samples):
            made[owner].figures.append(figures)
        return made


def _is_wanted(metric: Metric) -> bool:
    return metric.name.startswith(ATTEMPT_PREFIXES) or metric.name in HOST_METRICS


def _of_metrics(numbers: pa.ChunkedArray, vocabulary: Vocabulary, holds: Callable[[Metric], bool]) -> pa.ChunkedArray:
    """For each row whether ``holds`` is true of its metric."""
    return pa.array([holds(metric) for metric in vocabulary.metrics], pa.bool_()).take(numbers)


def _prepared(points: pa.Table, vocabulary: Vocabulary, owner: pa.Array, clock: ClockBounds) -> pa.Table:
    """Points with believed times; values that cannot be true are NULL."""
    metric, received, start = points["metric"], points["received"], points["start"]
    most = pa.array([MOST.get(one.name, -1.0) for one in vocabulary.metrics], pa.float64()).take(metric)
    value = points["value"]
    is_true = pc.and_(pc.greater_equal(value, 0.0), pc.less_equal(value, most))
    is_cumulative = _of_metrics(metric, vocabulary, lambda one: one.kind == "sum" and one.temporality != "delta")
    is_ours = _of_metrics(metric, vocabulary, lambda one: one.kind == "sum" and one.name.startswith("stepsize.task."))
    believed = pc.and_(pc.and_(is_ours, pc.greater(start, 0)), is_believed(start, received, clock))
    series = {
        "owner": owner,
        "metric": metric.combine_chunks(),
        "attributes": points["attributes"].combine_chunks(),
        "since": pc.if_else(is_cumulative, start, 0).combine_chunks(),
    }
    return pa.table(
        {
            "series": joined(*series.values()),
            **series,
            "time": believed_times(points["time"], received, clock),
            "received": received,
            "started": pc.if_else(believed, start, None),
            "value": pc.if_else(is_true, value, None),
        }
    )


def _owners(series: pa.Table, pairs: list[tuple[int, int]], vocabulary: Vocabulary) -> list[Owner]:
    telling = _of_metrics(series["metric"], vocabulary, lambda one: one.name.startswith(ATTEMPT_PREFIXES))
    found = series.filter(telling).group_by("owner", use_threads=False)
    times = found.aggregate([("time_min", "min"), ("time_max", "max"), ("received_max", "max"), ("started_min", "min")])
    owners = [Owner(resource, labels, False, 0, 0, 0, 0, []) for resource, labels in pairs]
    for owner, first, last, arrived, started in zip(
        *(times[name].to_pylist() for name in times.column_names), strict=True
    ):
        owners[owner] = owners[owner]._replace(
            tells=True, first_ns=first, last_ns=last, arrived_ns=arrived, started_ns=started or 0
        )
    return owners


def _samples(points: pa.Table, vocabulary: Vocabulary) -> dict[int, Samples]:
    """The samples of series whose samples matter one by one, by the series' code."""
    labels = pa.array(["hw.id" in one.values for one in vocabulary.attributes], pa.bool_()).take(points["attributes"])
    by_device = pc.and_(_of_metrics(points["metric"], vocabulary, lambda one: one.name in _BY_DEVICE), labels)
    matters = pc.or_(_of_metrics(points["metric"], vocabulary, lambda one: one.name in _ONE_BY_ONE), by_device)
    chosen = points.filter(pc.and_(matters, points["value"].is_valid()))
    of_cores = [number for number, one in enumerate(vocabulary.metrics) if one.name == model.TASK_CPU_USAGE.name]
    return samples_by_series(chosen, of_cores)


def _figures(series: pa.Table, vocabulary: Vocabulary, samples: dict[int, Samples]) -> Iterator[tuple[int, Figures]]:
    folded = series.filter(_of_metrics(series["metric"], vocabulary, lambda one: one.name in FOLDED))
    names = ("series", *_SERIES, "value_count", "value_sum", "value_min", "value_max")
    metrics, labels = vocabulary.metrics, vocabulary.attributes
    for code, owner, metric, attributes, since, count, total, lowest, highest in zip(
        *(folded[name].to_pylist() for name in names), strict=True
    ):
        yield (
            owner,
            Figures(metrics[metric], labels[attributes], since, count, total, lowest, highest, samples.get(code)),
        )
