"""A recording as one Parquet file: its samples as rows, what else is known of it in the file's metadata.

What comes in: facts and streams, or a file's bytes. What goes out: the bytes, or what they hold. Rows of the attempt
have ``of`` = ``task``, those of its host ``of`` = ``host``; columns are the fields of `recording`, null where nothing
was read. Touches no disk.
"""

from __future__ import annotations

import json
from array import array
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stepsize.api.derive import arrays
from stepsize.api.facts import Facts
from stepsize.api.stream import Stream
from stepsize.errors import DataError
from stepsize.instrumentation.recording import HOST_FIELDS, TASK_FIELDS, TIME
from stepsize.model import Identity, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.instrumentation.recording import Field

_KEY = b"stepsize.recording"
_VERSION = 1
_OF = "of"


def dumps(facts: Facts, task: Stream, host: Stream) -> bytes:
    """The file's bytes."""
    names = dict.fromkeys((TIME, *(field.name for field in (*TASK_FIELDS, *HOST_FIELDS))))
    schema = pa.schema([(_OF, pa.dictionary(pa.int8(), pa.string())), *((name, pa.float64()) for name in names)])
    parts = [_rows(of, stream, schema) for of, stream in (("task", task), ("host", host))]
    known = {"version": _VERSION, **asdict(facts), "identity": facts.identity.by_name()}
    described = json.dumps(known, default=lambda outcome: outcome.value)
    table = pa.concat_tables(parts).replace_schema_metadata({_KEY: described.encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def loads(content: bytes) -> tuple[Facts, Stream, Stream]:
    """What the bytes of a file hold.

    Raises:
        DataError: they are no recording, or a later version's.
    """
    try:
        table = pq.read_table(pa.BufferReader(content))
        described = json.loads(table.schema.metadata[_KEY])
        if described.pop("version") != _VERSION:
            raise DataError("this recording was saved by a newer stepsize; update this one")
        facts = _facts(described)
        task, host = (_stream(table, of, fields) for of, fields in (("task", TASK_FIELDS), ("host", HOST_FIELDS)))
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise DataError(f"not a saved recording: {str(error).splitlines()[0]}") from None
    return facts, task, host


def _rows(of: str, stream: Stream, schema: pa.Schema) -> pa.Table:
    found = arrays(stream.columns)
    rows = len(found[TIME])
    columns = [pa.array([of] * rows, pa.string()).dictionary_encode().cast(schema.field(_OF).type)]
    columns += [found.get(name, pa.nulls(rows, pa.float64())) for name in schema.names[1:]]
    return pa.table(columns, schema=schema)


def _stream(table: pa.Table, of: str, fields: Sequence[Field]) -> Stream:
    rows = table.filter(pc.equal(table[_OF].cast(pa.string()), of)).combine_chunks()
    stream = Stream(fields)
    # A recording of an earlier version lacks fields that came later.
    stream.load({name: _floats(rows[name]) for name in stream.columns if name in rows.column_names})
    return stream


def _floats(column: pa.ChunkedArray) -> array[float]:
    found = array("d")
    for chunk in pc.fill_null(column, float("nan")).chunks:
        found.extend(memoryview(chunk.buffers()[1]).cast("d")[chunk.offset : chunk.offset + len(chunk)])
    return found


def _facts(described: dict[str, Any]) -> Facts:
    outcome = described.pop("outcome")
    return Facts(
        identity=Identity.from_names(described.pop("identity")),
        outcome=None if outcome is None else Outcome(outcome),
        **described,
    )
