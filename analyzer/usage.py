"""What the lake knows of each step: the evidence that sizing works on.

What comes in: a read-only DuckDB connection with the view ``tasks`` (``stepsize.model.TASK_COLUMNS``) and a
:class:`Query`. What goes out: one frozen :class:`StepEvidence` per history (project, production or not, flow, step),
one after another. Never reads samples, so that its work grows with the number of attempts; never writes; never judges.
"""

from __future__ import annotations

import itertools
import math
import operator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepsize.analyzer.sql import query_text
from stepsize.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    import duckdb
    import pyarrow as pa

_ROWS_AT_ONCE = 10_000
"""Attempts taken from the engine in one go: enough to hide its overhead, few enough to bound memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which history to look at; ``None`` means all of it.

    ``branch`` is a glob (``prod*``), ``since`` an instant with its zone, ``runs`` keeps the newest runs of each flow.
    """

    flow: str | None = None
    step: str | None = None
    since: datetime | None = None
    runs: int | None = None
    branch: str | None = None
    origin: str | None = None

    @property
    def parameters(self) -> dict[str, str | float | None]:
        """What ``seen.sql`` takes."""
        return {
            "flow": self.flow,
            "step": self.step,
            "branch": self.branch,
            "origin": self.origin,
            "since_s": None if self.since is None else self.since.timestamp(),
            "runs": self.runs,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt of a task. ``outcome`` is None while it runs; whatever could not be read is None, never zero.

    ``owner`` is the branch and user of its run: run numbers repeat between deployments. ``annotations`` are a JSON
    object.
    """

    run: str
    task: str
    attempt: int = 0
    owner: str = ""
    outcome: Outcome | None = Outcome.OK
    started_at_s: float | None = None
    duration_s: float | None = None
    cpu_seconds: float | None = None
    cpu_mean: float | None = None
    cpu_max: float | None = None
    throttled_s: float | None = None
    cpu_limit: float | None = None
    thread_limits: str | None = None
    memory_peak_bytes: int | None = None
    memory_source: str | None = None
    memory_limit_bytes: int | None = None
    gpu_count: float | None = None
    gpu_utilization_mean: float | None = None
    gpu_utilization_max: float | None = None
    gpu_memory_peak_bytes: int | None = None
    instance_type: str | None = None
    disk_peak_bytes: int | None = None
    requested_cpu: float | None = None
    requested_memory_bytes: int | None = None
    requested_gpu: float | None = None
    requested_disk_bytes: int | None = None
    requested_timeout_s: float | None = None
    target: str | None = None
    host_cpus: int | None = None
    item: str | None = None
    code_version: str | None = None
    annotations: str | None = None

    @property
    def run_key(self) -> tuple[str, str]:
        """What tells its run from every other one of the history."""
        return self.run, self.owner

    @property
    def task_key(self) -> tuple[str, str, str]:
        """What tells its task from every other one of the step: retries are attempts of one task."""
        return self.run, self.owner, self.task

    @property
    def ended(self) -> bool:
        """Whether the attempt is over."""
        return self.outcome is not None


@dataclass(frozen=True, slots=True)
class CpuBucket:
    """Seconds that a step's attempts spent in one bucket of cores (``stepsize.model.cpu_bucket``)."""

    bucket: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEvidence:
    """Everything seen of one step in one history; the histogram is that of the attempts that ended, added up.

    Attributes:
        ended: the attempts that are over, however they ended.
        succeeded: those that ended well: only these show what a whole task takes.
        newest: the attempt whose request counts as the step's: the newest first one, since retries may ask for more.
    """

    flow: str
    step: str
    project: str | None = None
    production: bool = False
    attempts: tuple[Attempt, ...] = ()
    cpu_histogram: tuple[CpuBucket, ...] = ()
    # What is asked for again and again, made once: of a step of many thousands each costs a look at all of them.
    ended: tuple[Attempt, ...] = field(init=False, repr=False, compare=False)
    succeeded: tuple[Attempt, ...] = field(init=False, repr=False, compare=False)
    newest: Attempt | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Tell the attempts apart."""
        ended = tuple(attempt for attempt in self.attempts if attempt.outcome is not None)
        object.__setattr__(self, "ended", ended)
        object.__setattr__(self, "succeeded", tuple(a for a in ended if a.outcome is Outcome.OK))
        first = [attempt for attempt in self.attempts if attempt.attempt == 0]
        object.__setattr__(self, "newest", max(first or self.attempts, key=_age_key, default=None))


def _age_key(attempt: Attempt) -> tuple[float, str, str, str, int]:
    started = attempt.started_at_s
    return (-math.inf if started is None else started, attempt.run, attempt.owner, attempt.task, attempt.attempt)


def histories(connection: duckdb.DuckDBPyConnection, query: Query) -> Iterator[StepEvidence]:
    """The evidence of every step that ``query`` asks for, in the order of projects, flows and first appearance.

    In memory are the attempts of one step, the names and histograms of all, and what ``connection`` may take to put the
    attempts in order. The connection is in use until the last one is taken: another query on it ends the iteration.
    """
    parameters = query.parameters
    seen = query_text("seen")
    steps = connection.sql(seen + query_text("steps"), params=parameters).to_arrow_table()
    rows = connection.sql(seen + query_text("evidence"), params=parameters).to_arrow_reader(_ROWS_AT_ONCE)
    for number, attempts in itertools.groupby(_attempts(rows), key=operator.itemgetter(0)):
        (step,) = steps.slice(number - 1, 1).to_pylist()
        yield StepEvidence(
            flow=step["flow"],
            step=step["step"],
            project=step["project"],
            production=step["production"],
            attempts=tuple(attempt for _, attempt in attempts),
            cpu_histogram=tuple(CpuBucket(**bucket) for bucket in step["cpu_histogram"]),
        )


def runs_within(
    connection: duckdb.DuckDBPyConnection, query: Query, project: str | None, most: int, *, production: bool
) -> int:
    """How many of the newest runs of a history hold at most ``most`` attempts that ``query`` asks for; one at least."""
    parameters = {**query.parameters, "project": project, "production": production, "most": most}
    (runs,) = connection.execute(query_text("seen") + query_text("runs_within"), parameters).fetchall()[0]
    return runs or 1


def known(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[str, ...]]:
    """Every flow that the lake has seen, with its steps."""
    steps: dict[str, list[str]] = {}
    for flow, step in connection.execute(query_text("known")).fetchall():
        steps.setdefault(flow, []).append(step)
    return {flow: tuple(names) for flow, names in steps.items()}


def _attempts(rows: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, Attempt]]:
    """The number of its step and each attempt, read by column: a million of them take seconds so."""
    for batch in rows:
        columns = {name: batch.column(name).to_pylist() for name in batch.schema.names}
        numbers = columns.pop("number")
        columns["outcome"] = [_OUTCOMES.get(outcome, Outcome.UNKNOWN) for outcome in columns["outcome"]]
        names = tuple(columns)
        for number, *values in zip(numbers, *columns.values(), strict=True):
            yield number, Attempt(**dict(zip(names, values, strict=True)))


_OUTCOMES: dict[str | None, Outcome | None] = {None: None, **{outcome.value: outcome for outcome in Outcome}}
