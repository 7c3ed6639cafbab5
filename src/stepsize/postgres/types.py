"""Types of DuckDB as types of Postgres.

What comes in: names of DuckDB's types, OIDs. What goes out: :class:`Column`. Pure.
Source of the OIDs: PostgreSQL, src/include/catalog/pg_type.dat.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

TEXT, BINARY = 0, 1
"""Formats of the wire."""


@dataclass(frozen=True, slots=True)
class PgType:
    """A type of Postgres.

    Attributes:
        name: as ``format_type`` gives it.
        internal: as ``pg_type`` has it.
        category: as ``typcategory`` has it.
        oid: its number.
        array_oid: that of arrays of it.
        size: in bytes, -1 where that varies.
        duckdb: the type that stands for it in DuckDB.
    """

    name: str
    internal: str
    category: str
    oid: int
    array_oid: int
    size: int
    duckdb: str


PG_TYPES = tuple(
    PgType(*row)
    for row in (
        ("boolean", "bool", "B", 16, 1000, 1, "BOOLEAN"),
        ("bytea", "bytea", "U", 17, 1001, -1, "BLOB"),
        ('"char"', "char", "Z", 18, 1002, 1, "VARCHAR"),
        ("name", "name", "S", 19, 1003, 64, "VARCHAR"),
        ("bigint", "int8", "N", 20, 1016, 8, "BIGINT"),
        ("smallint", "int2", "N", 21, 1005, 2, "SMALLINT"),
        ("integer", "int4", "N", 23, 1007, 4, "INTEGER"),
        ("text", "text", "S", 25, 1009, -1, "VARCHAR"),
        ("oid", "oid", "N", 26, 1028, 4, "UINTEGER"),
        ("json", "json", "U", 114, 199, -1, "JSON"),
        ("real", "float4", "N", 700, 1021, 4, "FLOAT"),
        ("double precision", "float8", "N", 701, 1022, 8, "DOUBLE"),
        ("character", "bpchar", "S", 1042, 1014, -1, "VARCHAR"),
        ("character varying", "varchar", "S", 1043, 1015, -1, "VARCHAR"),
        ("date", "date", "D", 1082, 1182, 4, "DATE"),
        ("time without time zone", "time", "D", 1083, 1183, 8, "TIME"),
        ("timestamp without time zone", "timestamp", "D", 1114, 1115, 8, "TIMESTAMP"),
        ("timestamp with time zone", "timestamptz", "D", 1184, 1185, 8, "TIMESTAMP WITH TIME ZONE"),
        ("interval", "interval", "T", 1186, 1187, 16, "INTERVAL"),
        ("numeric", "numeric", "N", 1700, 1231, -1, "DECIMAL(38, 9)"),
        ("uuid", "uuid", "U", 2950, 2951, 16, "UUID"),
        ("jsonb", "jsonb", "U", 3802, 3807, -1, "JSON"),
    )
)
BY_OID = {one.oid: one for one in PG_TYPES}
BY_ARRAY_OID = {one.array_oid: one for one in PG_TYPES}
BY_NAME = {one.name: one for one in PG_TYPES}
BY_INTERNAL = {one.internal: one for one in PG_TYPES}
CASTS = {
    **{name: name for name in ("oid", "name", "jsonb", "json", "bpchar", "varchar", "text", "uuid", "bytea", "date")},
    **{name: name for name in ("bool", "int2", "int4", "int8", "float4", "float8")},
    '"char"': "char",
    "char": "bpchar",
    "boolean": "bool",
    "smallint": "int2",
    "int": "int4",
    "integer": "int4",
    "bigint": "int8",
    "real": "float4",
}
"""What a cast calls a type, in one word, to its internal name."""

_OF_DUCKDB = {
    "BOOLEAN": "boolean",
    "TINYINT": "smallint",
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "UTINYINT": "smallint",
    "USMALLINT": "integer",
    "UINTEGER": "bigint",
    "UBIGINT": "numeric",
    "HUGEINT": "numeric",
    "UHUGEINT": "numeric",
    "BIGNUM": "numeric",
    "FLOAT": "real",
    "DOUBLE": "double precision",
    "VARCHAR": "text",
    "BLOB": "bytea",
    "DATE": "date",
    "TIME": "time without time zone",
    "TIME_NS": "time without time zone",
    "TIMESTAMP": "timestamp without time zone",
    "TIMESTAMP_S": "timestamp without time zone",
    "TIMESTAMP_MS": "timestamp without time zone",
    "TIMESTAMP_NS": "timestamp without time zone",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
    "TIME WITH TIME ZONE": "text",
    "INTERVAL": "interval",
    "UUID": "uuid",
    "JSON": "json",
}
OID_UNKNOWN = frozenset({0, 705})
"""What clients say of a parameter whose type they leave to the server."""
_CONTENT = ("STRUCT(", "MAP(", "UNION(")
_DECIMAL = re.compile(r"DECIMAL\((\d+), ?(\d+)\)")
_LIST = re.compile(r"(.*)\[\d*\]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a result.

    Attributes:
        name: as the client sees it.
        duckdb: DuckDB's name of its type.
        type: Postgres's, of the elements where it is an array.
        is_array: whether it is one.
    """

    name: str
    duckdb: str
    type: PgType
    is_array: bool = False

    @property
    def oid(self) -> int:
        """Of its type."""
        return self.type.array_oid if self.is_array else self.type.oid

    @property
    def size(self) -> int:
        """Of its type, in bytes; -1 where that varies."""
        return -1 if self.is_array else self.type.size

    @property
    def modifier(self) -> int:
        """What of ``numeric(9, 2)`` is in the brackets, as the wire has it; -1 for nothing."""
        found = _DECIMAL.fullmatch(self.duckdb)
        return ((int(found[1]) << 16) | int(found[2])) + 4 if found else -1

    @property
    def element(self) -> str:
        """DuckDB's type of what is in the array."""
        found = _LIST.fullmatch(self.duckdb) if self.is_array else None
        return found[1] if found else self.duckdb


def column(name: str, duckdb: str, *, has_oids: bool = False) -> Column:
    """The column of a result that DuckDB gives this type; with ``has_oids``, unsigned integers are OIDs."""
    if has_oids and duckdb in {"UINTEGER", "UINTEGER[]"}:
        return Column(name, duckdb, BY_NAME["oid"], is_array=duckdb.endswith("[]"))
    if (found := _LIST.fullmatch(duckdb)) and not found[1].startswith(_CONTENT):
        element = _scalar(found[1])
        if element is not None:
            return Column(name, duckdb, element, is_array=True)
        return Column(name, duckdb, BY_NAME["json"])
    if duckdb.startswith(_CONTENT) or found:
        return Column(name, duckdb, BY_NAME["json"])
    return Column(name, duckdb, _scalar(duckdb) or BY_NAME["text"])


def _scalar(duckdb: str) -> PgType | None:
    if duckdb.startswith("DECIMAL("):
        return BY_NAME["numeric"]
    if duckdb.startswith("ENUM("):
        return BY_NAME["text"]
    name = _OF_DUCKDB.get(duckdb)
    return BY_NAME[name] if name else None


def parameter(oid: int) -> Column:
    """A parameter that the client says is of this type; text where it is none that is known."""
    if kind := BY_ARRAY_OID.get(oid):
        return Column("", f"{_parameter_type(kind)}[]", kind, is_array=True)
    kind = BY_OID.get(oid, BY_NAME["text"])
    return Column("", _parameter_type(kind), kind)


def _parameter_type(kind: PgType) -> str:
    return "INTEGER" if kind.name == "smallint" else kind.duckdb  # which what it is multiplied with does not overflow
