"""What a client is told of a statement that failed: one line, and an SQLSTATE that its driver knows.

What comes in: exceptions of DuckDB and of this package. What goes out: :class:`SqlError`. Never shows a path of this
machine that the client did not name, nor a traceback.
"""

from __future__ import annotations

import re

import duckdb

from stepsize.errors import PermanentError


class SqlError(PermanentError):
    """A statement, or a message, that is answered by an error; the connection goes on.

    Args:
        code: the SQLSTATE (PostgreSQL, appendix A).
        message: one line.
        hint: what to do about it, if that is known.
        position: which character of the statement it is about, from 1; 0 where that is not known.
    """

    severity = "ERROR"

    def __init__(self, code: str, message: str, hint: str = "", position: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint
        self.position = position


class FatalError(SqlError):
    """One after which the connection ends."""

    severity = "FATAL"


class ProtocolError(FatalError):
    """Bytes that are no message of the protocol."""

    def __init__(self, message: str, code: str = "08P01") -> None:
        super().__init__(code, message)


_BY_CLASS: tuple[tuple[type[duckdb.Error], str], ...] = (
    (duckdb.InterruptException, "57014"),
    (duckdb.OutOfMemoryException, "53200"),
    (duckdb.ParserException, "42601"),
    (duckdb.SyntaxException, "42601"),
    (duckdb.CatalogException, "42P01"),
    (duckdb.BinderException, "42703"),
    (duckdb.ConversionException, "22P02"),
    (duckdb.OutOfRangeException, "22003"),
    (duckdb.TypeMismatchException, "42804"),
    (duckdb.InvalidTypeException, "42804"),
    (duckdb.ConstraintException, "23000"),
    (duckdb.PermissionException, "42501"),
    (duckdb.NotImplementedException, "0A000"),
    (duckdb.NotSupportedError, "0A000"),
    (duckdb.TransactionException, "25000"),
    (duckdb.IOException, "58030"),
    (duckdb.SequenceException, "55000"),
    (duckdb.InvalidInputException, "22023"),
    (duckdb.InternalException, "XX000"),
    (duckdb.FatalException, "XX000"),
)
"""The first that fits; what a message says more exactly is in the next table."""

_BY_MESSAGE: tuple[tuple[str, str], ...] = (
    (r"read-only mode", "25006"),
    (r"No files found that match|No magic bytes found|too small to be a Parquet file", "58030"),
    (r"(?:Function|Macro) with name .* does not exist", "42883"),
    (r"No function matches|Could not choose a best candidate", "42883"),
    (r"Type with name .* does not exist", "42704"),
    (r"unrecognized configuration parameter", "42704"),
    (r"Schema with name .* does not exist", "3F000"),
    (r"Ambiguous reference to table", "42P09"),
    (r"Ambiguous reference to column", "42702"),
    (r"Referenced table .* not found", "42P01"),
    (r"must appear in the GROUP BY clause", "42803"),
    (r"cannot be nested|aggregate function calls|WHERE clause cannot contain aggregates", "42803"),
    (r"[Dd]ivision by zero", "22012"),
    (r"out of range for the destination type|[Oo]verflow in|out of range of", "22003"),
    (r"(?:timestamp|date|time) field value out of range", "22008"),
    (r"invalid (?:timestamp|date|time) field format", "22007"),
    (r"file system operations are disabled|disabled by configuration|configuration has been locked", "42501"),
    (r"max(?:imum)? expression depth|Max expression depth", "54001"),
    (r"[Mm]ore than one row returned by a subquery", "21000"),
    (r"Cannot compare values of type|Cannot mix values of type", "42804"),
    (r"failed to (?:offload|allocate)|could not allocate|max_temp_directory_size", "53200"),
)
_BY_PREFIX = {
    "Conversion": "22P02",
    "Out of Range": "22003",
    "Invalid Input": "22023",
    "Out of Memory": "53200",
    "Not implemented": "0A000",
    "IO": "58030",
    "INTERRUPT": "57014",
    "Mismatch Type": "42804",
}
"""How the texts of exceptions begin that come without their class, from Arrow."""
_NAMED = re.compile(r"^([A-Z][A-Za-z]*(?: [A-Za-z]+)*) (?:Error|Exception): ?")
_OWN = re.compile(r"Python exception occurred while executing the UDF: [\w.]+: (.*) \(SQLSTATE (\w{5})\)", re.DOTALL)
"""What functions of ours raise (:mod:`stepsize.postgres.templates`)."""
_LAKE_PATH = re.compile(r"""(['"])/[^'"]*/(?=[a-z_]+/(?:day=|month=|open/)[^'"]*['"])""")
_LONGEST = 2000
"""Of a message: DuckDB repeats a value that it does not take, however long that is."""
_CARET = re.compile(r"^LINE (\d+): (.*)\n( *)\^", re.MULTILINE)
_PREFIX = re.compile(r"^(?:[A-Z][A-Za-z]*(?: [A-Z]?[A-Za-z]+)* (?:Error|Exception)|INTERRUPT Error): ?")


def of_duckdb(error: duckdb.Error, statement: str = "") -> SqlError:
    """What a client is told of an exception of DuckDB's, which ``statement`` has raised."""
    text = str(error)
    if own := _OWN.search(text):
        return SqlError(own[2], own[1])
    message = text.partition("\n\n")[0]
    message = " ".join(_PREFIX.sub("", message).split()) or "the statement failed"
    code = next((code for kind, code in _BY_CLASS if isinstance(error, kind)), "XX000")
    code = next((found for pattern, found in _BY_MESSAGE if re.search(pattern, message)), code)
    if code == "57014":
        message = "canceling statement due to user request"
    message = _said(message)
    hint = ""
    if message.count("Candidate"):
        message, _, hint = message.partition(" Candidate")
        hint = f"Candidate{hint}"
    return SqlError(code, message, hint=hint[:1000], position=_position(text, statement))


def of_arrow(error: OSError) -> SqlError:
    """What a client is told of an exception of DuckDB's that came while rows were fetched, through Arrow."""
    text = str(error)
    if own := _OWN.search(text):
        return SqlError(own[2], own[1])
    named = _NAMED.match(text)
    code = _BY_PREFIX.get(named[1], "XX000") if named else "XX000"
    message = " ".join(_PREFIX.sub("", text.partition("\n\n")[0]).split())
    code = next((found for pattern, found in _BY_MESSAGE if re.search(pattern, message)), code)
    return SqlError(code, _said(message) or "the statement failed")


def _said(message: str) -> str:
    """As much of a message as is for clients."""
    shown = _LAKE_PATH.sub(r"\1", message)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"


def out_of_memory() -> SqlError:
    """What is said where the process may not hold more."""
    return SqlError("53200", "out of memory")


def _position(text: str, statement: str) -> int:
    """Which character the caret stands under, where the line that is shown is a whole one of the statement."""
    found = _CARET.search(text)
    if found is None or not statement:
        return 0
    lines = statement.split("\n")
    number, shown = int(found[1]), found[2]
    column = len(found[3]) - len(f"LINE {number}: ")
    if number > len(lines) or lines[number - 1] != shown or column < 0:
        return 0
    return sum(len(one) + 1 for one in lines[: number - 1]) + column + 1
