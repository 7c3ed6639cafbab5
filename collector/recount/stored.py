"""Stored points as the expression begins with them: those of attempts, with times and values that can be true.

What comes in: the table of stored points, as it lies in Parquet. What goes out: expressions. Evaluates nothing, never
does I/O. What is believed is what `rollup.bounds` believes, and the names are those of the model.

Numbers in the expression are whole: Spark reads ``0.5`` as a decimal, and goes on with decimals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
import ibis.expr.datatypes as dt

from stepsize import model
from stepsize.collector.rollup.bounds import MOST
from stepsize.collector.rollup.fold import FOLDED
from stepsize.collector.rollup.identify import ATTEMPT_PREFIXES

if TYPE_CHECKING:
    from stepsize.collector.limits import ClockBounds

POINTS = "stored_points"
COLUMNS = {
    "metric": "string",
    "kind": "string",
    "temporality": "string",
    "flow": "string",
    "run": "string",
    "step": "string",
    "task": "string",
    "attempt": "int32",
    "host": "string",
    "attributes": "string",
    "resource": "string",
    "time_unix_nano": "int64",
    "start_time_unix_nano": "int64",
    "received_at_unix_nano": "int64",
    "value_double": "float64",
    "value_int": "int64",
}
"""What the expression reads of a stored point, by its type in the engines."""

NAMES = ("flow", "run", "step", "task", "attempt")
"""What every point of an attempt says of it."""
MEMBER = ("name", "quoted", "value")
HOST_METRICS = (model.SYSTEM_CPU_LOGICAL_COUNT.name, model.SYSTEM_MEMORY_LIMIT.name)


@ibis.udf.scalar.builtin(name="get_json_object")  # type: ignore[untyped-decorator] # ibis has no types
def _get_json_object(text: str, path: str) -> str:  # type: ignore[empty-body] # the engines have one
    """A member of a JSON object as text; Spark has it, and other engines are given it under this name."""


@ibis.udf.scalar.builtin(
    name="json_members", signature=((dt.string, dt.string), dt.Array(dt.Struct(dict.fromkeys(MEMBER, dt.string))))
)
def _json_members(text, prefix):  # type: ignore[no-untyped-def] # the signature is above
    """Members of a JSON object whose names begin with a prefix; engines are given it under this name."""


def members(text: ibis.Value, prefix: str) -> ibis.Value:
    """What JSON ``text`` of attributes says under names with a ``prefix``: an array of structs.

    Each has the ``name`` behind the prefix, the same ``quoted`` as JSON has it, and the ``value`` as JSON. The engines'
    parsers find them: attributes may be long and nested, on which Java's regular expressions overflow their stack.
    """
    return _json_members(text, prefix)


def said(text: ibis.Value, attribute: str) -> ibis.Value:
    """What JSON ``text`` of attributes says under ``attribute``, as text; NULL where it says nothing."""
    return _get_json_object(text, f"$['{attribute}']")


def stored_points() -> ibis.Table:
    """The table that an engine is asked to have under the name `POINTS`."""
    return ibis.table(COLUMNS, name=POINTS)


def points_of_attempts(points: ibis.Table, clock: ClockBounds) -> ibis.Table:
    """Points that tell of an attempt: `NAMES`, ``since`` (of a sum that counts on), ``started``, ``time``, ``value``.

    Times are nanoseconds since 1970, those of the arrival where the sender's clock is wrong. ``value`` is NULL where it
    cannot be true, and of metrics that no rule folds.
    """
    tells = ibis.or_(*(points.metric.startswith(prefix) for prefix in ATTEMPT_PREFIXES))
    named = ibis.and_(*(points[name].notnull() for name in NAMES[:-1]))
    counts_on = (points.kind == "sum") & (points.temporality.fill_null("") != "delta")
    is_ours = (points.kind == "sum") & points.metric.startswith("stepsize.task.")
    start = points.start_time_unix_nano.fill_null(0)
    believed = is_ours & (start > 0) & _is_believed(start, points.received_at_unix_nano, clock)
    return points.filter(tells, named).select(
        **{name: points[name] for name in NAMES[:-1]},
        attempt=ibis.greatest(points.attempt.fill_null(0), 0).cast("int32"),
        metric=points.metric,
        is_delta=points.temporality.fill_null("") == "delta",
        attributes=points.attributes.fill_null("{}"),
        resource=points.resource.fill_null("{}"),
        since=ibis.ifelse(counts_on, start, 0).cast("int64"),
        started=ibis.ifelse(believed, start, ibis.null("int64")),
        time=_believed_time(points, clock),
        received=points.received_at_unix_nano,
        value=_value(points),
    )


def points_of_hosts(points: ibis.Table, clock: ClockBounds) -> ibis.Table:
    """What hosts say of themselves: ``host``, ``metric``, ``time``, ``value``."""
    told = points.filter(points.metric.isin(HOST_METRICS), points.host.notnull())
    told = told.select(told.host, told.metric, time=_believed_time(told, clock), value=_value(told))
    return told.filter(told.value.notnull())


def _believed_time(points: ibis.Table, clock: ClockBounds) -> ibis.Value:
    time, received = points.time_unix_nano, points.received_at_unix_nano
    return ibis.ifelse(_is_believed(time, received, clock), time, received)


def _is_believed(time: ibis.Value, received: ibis.Value, clock: ClockBounds) -> ibis.Value:
    ahead_ns = time - received
    return (ahead_ns >= -round(clock.past_s * 1e9)) & (ahead_ns <= round(clock.future_s * 1e9))


def _value(points: ibis.Table) -> ibis.Value:
    value = ibis.coalesce(points.value_double, points.value_int.cast("float64"))
    most = points.metric.cases(*((name, int(MOST[name])) for name in sorted(FOLDED)), else_=-1)
    return ibis.ifelse((value >= 0) & (value <= most), value, ibis.null("float64"))
