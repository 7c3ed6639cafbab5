"""Makes the catalogue of what an instance serves.

What comes in: a connection whose database has the views of the lake in ``public``. What goes out: the schemas ``pg``
and ``information`` beside it. See the package's docstring.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from stepsize.postgres import types
from stepsize.postgres.templates import functions

if TYPE_CHECKING:
    import duckdb

_FIRST_OID = 16_384
"""PostgreSQL's first number of what users make."""


def install(connection: duckdb.DuckDBPyConnection, database: str) -> None:
    """Make the catalogue of what ``public`` of a database holds now."""
    connection.execute(f"CREATE SCHEMA {database}.pg; CREATE SCHEMA {database}.information")
    connection.execute(f"SET search_path = '{database}.pg'")
    _describe(connection, database)
    _know_types(connection)
    functions.install(connection)
    files = (one for one in (resources.files(__package__) / "sql").iterdir() if one.name.endswith(".sql"))
    for file in sorted(files, key=lambda one: one.name):
        connection.execute(file.read_text("utf-8"))


def _describe(connection: duckdb.DuckDBPyConnection, database: str) -> None:
    connection.execute(
        "CREATE TABLE described (relation VARCHAR, relation_oid UINTEGER, number SMALLINT, name VARCHAR, "
        "type_oid UINTEGER, modifier INTEGER, duckdb VARCHAR)"
    )
    query = (
        "SELECT table_name, column_index, column_name, data_type FROM duckdb_columns() "
        "WHERE database_name = $1 AND schema_name = 'public' ORDER BY table_name, column_index"
    )
    found = connection.execute(query, [database]).fetchall()
    numbers = {name: _FIRST_OID + place for place, name in enumerate(sorted({row[0] for row in found}))}
    for relation, index, name, kind in found:
        one = types.column(name, kind)
        row = [relation, numbers[relation], index, name, one.oid, one.modifier, kind]
        connection.execute("INSERT INTO described VALUES ($1, $2, $3, $4, $5, $6, $7)", row)


def _know_types(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        "CREATE TABLE known_types (oid UINTEGER, internal VARCHAR, name VARCHAR, size SMALLINT, array_oid UINTEGER, "
        "category VARCHAR, duckdb VARCHAR)"
    )
    for one in types.PG_TYPES:
        row = [one.oid, one.internal, one.name, one.size, one.array_oid, one.category, one.duckdb]
        connection.execute("INSERT INTO known_types VALUES ($1, $2, $3, $4, $5, $6, $7)", row)
