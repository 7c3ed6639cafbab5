"""Points that are in the lake twice: an export that was sent again in other batches, or to another collector.

What comes in: points in their order. What goes out: the same points, each once. Never does I/O, and never drops a point
that differs from every other in any stored column but one: ``received_at`` is when a copy came, not what it says. Of
equal points the one that came first stays.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from stepsize.store.order import RECEIVED, TIME, identities, order_of, ranks

ELSEWHERE = "elsewhere"
"""Column of rows that another writer keeps: a point of ours that equals one of them goes, and so do they all."""


def without_duplicates(rows: pa.Table, table: str) -> pa.Table:
    """``rows`` of a table of points, which are in their order, without those that repeat another."""
    repeated = _repeated(rows, table)
    if ELSEWHERE in rows.schema.names:
        ours = pc.invert(rows[ELSEWHERE].combine_chunks())
        keep = ours if repeated is None else pc.and_(ours, pc.invert(repeated))
        return rows.filter(keep).drop_columns([ELSEWHERE])
    return rows if repeated is None else rows.filter(pc.invert(repeated))


def _repeated(rows: pa.Table, table: str) -> pa.Array | None:
    """Which rows to drop; None where there are none, which costs next to nothing to find out."""
    if rows.num_rows < 2:
        return None
    series = ranks(rows, order_of(table)[:-1])
    time = rows[TIME].combine_chunks()
    as_before = pc.and_(_equals_before(series), _equals_before(time))
    if not pc.any(as_before).as_py():
        return None
    false = pa.array([False])
    suspect = pc.or_(pa.concat_arrays([false, as_before]), pa.concat_arrays([as_before, false]))
    places = pc.indices_nonzero(suspect)
    repeats = places.filter(_later_copies(rows.take(places)))
    if not len(repeats):
        return None
    every = pc.indices_nonzero(pa.repeat(pa.scalar(value=True), rows.num_rows))
    return pc.is_in(every, value_set=repeats)


def _equals_before(column: pa.Array) -> pa.Array:
    return pc.equal(column[1:], column[:-1])


def _later_copies(rows: pa.Table) -> pa.Array:
    """Which rows equal another one that stays."""
    aside = (RECEIVED, ELSEWHERE)
    number = identities(rows, [name for name in rows.schema.names if name not in aside])
    ours = rows[ELSEWHERE] if ELSEWHERE in rows.schema.names else pa.repeat(pa.scalar(value=False), rows.num_rows)
    keys = pa.table([number, pc.invert(ours).cast(pa.int8()), rows[RECEIVED]], names=["point", "ours", RECEIVED])
    by = [("point", "ascending"), ("ours", "ascending"), (RECEIVED, "ascending")]
    order = pc.sort_indices(keys, sort_keys=by)
    in_turn = number.take(order)
    later = pa.concat_arrays([pa.array([False]), _equals_before(in_turn)])
    return later.take(pc.sort_indices(order))
