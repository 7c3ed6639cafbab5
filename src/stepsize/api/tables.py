"""The tables that ``metrics()`` gives: of the attempt, of the host, or both row by row.

What comes in: streams of records. What goes out: Arrow tables. A row of both is one of the attempt's samples and what
of the host had been sampled by then, so that the sums of what grew are true over the whole. Pure but for the streams.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from stepsize.api.columns import HUMAN_NAMES, PID, PROCESS_COLUMNS, SYSTEM_COLUMNS, TIMESTAMP, Form
from stepsize.api.derive import arrays, derive
from stepsize.instrumentation.recording import TIME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from stepsize.api.columns import Column
    from stepsize.api.stream import Stream

SAME_ROUND_S = 0.05
"""The agent samples attempts first, then their host: within this they are of one moment."""


@dataclass(frozen=True, slots=True)
class Names:
    """How columns are called, and whether their values are left in bytes."""

    prefix: str = ""
    human: bool = False
    in_bytes: bool = False

    def of(self, name: str) -> str:
        """The name of one of the columns that are made of no field."""
        return (self.prefix if name != TIMESTAMP else "") + (HUMAN_NAMES[name] if self.human else name)

    def columns(self, rows: Iterable[Column], values: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
        """Columns by the names that they are to have, in their units."""
        found = {}
        for row in rows:
            plain = row.name_in_bytes if self.in_bytes else row.name
            unit = 1 if self.in_bytes else row.unit
            column = values[row.name] if unit == 1 else pc.divide(values[row.name], float(unit))
            whole = row.whole or (unit == 1 and row.unit != 1)
            found[self.prefix + (row.human if self.human else plain)] = (
                pc.cast(pc.round(column), pa.int64()) if whole else column
            )
        return found


def process_columns(task: Stream, pid: int, before: Mapping[str, float], names: Names) -> dict[str, pa.Array]:
    """The attempt's columns, a row for each of its samples."""
    fields = arrays(task.columns)
    return {
        names.of(TIMESTAMP): fields[TIME],
        names.of(PID): pa.repeat(pa.scalar(pid, pa.int64()), len(fields[TIME])),
        **names.columns(PROCESS_COLUMNS, derive(PROCESS_COLUMNS, fields, before)),
    }


def system_columns(host: Stream, names: Names) -> dict[str, pa.Array]:
    """The host's columns, a row for each of its samples; what grew is not known of the first."""
    fields = arrays(host.columns)
    return {
        names.of(TIMESTAMP): fields[TIME],
        **names.columns(SYSTEM_COLUMNS, derive(SYSTEM_COLUMNS, fields, {})),
    }


def system_columns_at(task: Stream, host: Stream, names: Names) -> dict[str, pa.Array]:
    """The host's columns, a row for each sample of the attempt."""
    last = pa.array(latest_by(task.columns[TIME], host.columns[TIME]), pa.int64())
    rows = pc.if_else(pc.less(last, 0), None, last)
    own = derive(SYSTEM_COLUMNS, arrays(host.columns), {})
    fields = {name: values.take(rows) for name, values in arrays(host.columns).items()}
    # What grew, from row to row; all else, rates too, as the host's own sample has it.
    at_rows = derive([row for row in SYSTEM_COLUMNS if row.form is Form.SINCE], fields, {})
    values = {
        row.name: at_rows[row.name] if row.name in at_rows else own[row.name].take(rows) for row in SYSTEM_COLUMNS
    }
    return {
        names.of(TIMESTAMP): arrays({TIME: task.columns[TIME]})[TIME],
        **names.columns(SYSTEM_COLUMNS, values),
    }


def latest_by(moments_s: Sequence[float], samples_s: Sequence[float]) -> array[int]:
    """For each moment the index of the last sample that had been taken by then; -1 where there was none.

    Both rise. One pass, whatever their lengths.
    """
    found = array("q")
    index, count = -1, len(samples_s)
    for moment_s in moments_s:
        until_s = moment_s + SAME_ROUND_S
        while index + 1 < count and samples_s[index + 1] <= until_s:
            index += 1
        found.append(index)
    return found
