"""From records to columns: levels as they are, sums as what they grew by.

What comes in: fields of records as Arrow arrays, null where nothing could be read. What goes out: one array for each
`Column`, in bytes and seconds. Pure.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from stepsize.api.columns import Form
from stepsize.instrumentation.recording import TIME

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Mapping

    from stepsize.api.columns import Column


def arrays(columns: Mapping[str, array[float]], since: int = 0) -> dict[str, pa.Array]:
    """Columns of a stream from row ``since`` on, as Arrow arrays; NaN becomes null."""
    found = {}
    for name, column in columns.items():
        # A copy: a column whose buffer is lent could not grow.
        values = pa.Array.from_buffers(
            pa.float64(), len(column) - since, [None, pa.py_buffer(column[since:].tobytes())]
        )
        found[name] = pc.if_else(pc.is_nan(values), None, values)
    return found


def derive(
    columns: Iterable[Column], fields: Mapping[str, pa.Array], before: Mapping[str, float]
) -> dict[str, pa.Array]:
    """The columns by their plain name.

    Args:
        columns: what to make.
        fields: of the records, their time among them.
        before: what fields were before the first of these rows; one that is not there was not known.
    """
    found = {}
    for column in columns:
        if column.form is Form.LEVEL:
            values = fields[column.fields[0]]
        else:
            values = grown(fields[column.fields[0]], before.get(column.fields[0]))
            for field in column.fields[1:]:
                values = pc.add(values, grown(fields[field], before.get(field)))
        if column.form is Form.RATE:
            elapsed = grown(fields[TIME], before.get(TIME))
            values = pc.if_else(pc.greater(elapsed, 0), pc.divide(values, elapsed), None)
        found[column.name] = pc.subtract(values, float(column.less)) if column.less else values
    return found


def grown(values: pa.Array, before: float | None) -> pa.Array:
    """By how much a sum has grown at each row since it was last read; one that fell did not grow."""
    first = None if before is None or math.isnan(before) else before
    filled = pc.fill_null_forward(pa.concat_arrays([pa.array([first], pa.float64()), values]))
    added = pc.subtract(filled.slice(1), filled.slice(0, len(values)))
    # Null where nothing was read: what was added until the next reading is that one's.
    return pc.if_else(pc.is_valid(values), pc.max_element_wise(added, 0.0, skip_nulls=False), None)
