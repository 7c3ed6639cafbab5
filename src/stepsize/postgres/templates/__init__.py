"""``to_char``, ``to_date``, ``to_timestamp`` and ``to_number``: values as a template has them, and back.

`dates` and `numbers` know the templates, `functions` makes them functions of DuckDB's. Source: PostgreSQL's
documentation, 9.8 (data type formatting functions); src/backend/utils/adt/formatting.c.
"""
