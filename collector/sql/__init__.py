"""The lake for clients of Postgres, from a child process of the collector (`docs/sql.md`)."""
