"""Counts `tasks` anew from every stored point, as one expression that DuckDB and Spark evaluate alike."""
