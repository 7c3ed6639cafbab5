"""SQL over the lake as a Postgres server answers it: the wire protocol, its types and its catalogue, for reading alone.

`server` owns sockets and threads; `startup`, `session` and `messages` know the protocol and do no I/O; `engine` is one
DuckDB instance over the lake; `rows` and `types` turn Arrow into rows of the wire; `catalog` answers what clients ask
of a Postgres server's own tables.
"""
