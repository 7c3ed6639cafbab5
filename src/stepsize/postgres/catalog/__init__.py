"""What clients ask of a Postgres server's own catalogue, answered for any query that asks it.

Two things together, and no matching of whole queries:

* **Names.** ``sql/*.sql`` are run in the order of their names when the instance starts. They make tables, views, macros
  and types in the schema ``pg``, which stands for ``pg_catalog``, and in ``information``, for ``information_schema``.
  The search path of every client is ``public, pg``, before DuckDB's own: a macro or view in ``pg`` goes before what
  DuckDB has by that name. They begin from ``pg.described`` (a row for each column of each view in ``public``:
  ``relation, relation_oid, number, name, type_oid, modifier, duckdb``) and ``pg.known_types`` (a row for each type of
  :data:`stepsize.postgres.types.PG_TYPES`), which `install` fills. What is served never changes while it is served,
  so tables are fine, and quicker than views. Names that need no catalogue (``date_bin``) are macros there too.
* **Rewrites.** :data:`~stepsize.postgres.catalog.rewrites.REWRITES` is a tuple of functions
  ``(words, context) -> words``: each is given a statement's tokens without spaces, as the one before has left them, and
  returns those that stand for them. They are for what DuckDB's grammar lacks or names cannot hold: qualified names,
  ``OPERATOR()``, ``COLLATE``, casts to ``regclass``, what differs between clients (``current_user``). A rewrite looks
  at tokens and their neighbours, works in any statement, and leaves what it does not know alone.

To answer a client's query that fails: add the view, column or macro it misses to a file of ``sql/`` (or a new one), or
a rewrite to the tuple; then the query itself, as the client sends it, to its tests.

:func:`install` and :func:`rewritten` are the whole surface.
"""

from stepsize.postgres.catalog.install import install
from stepsize.postgres.catalog.rewrites import Context, rewritten

__all__ = ["Context", "install", "rewritten"]
