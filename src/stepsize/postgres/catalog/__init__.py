"""What clients ask of a Postgres server's own catalogue."""
