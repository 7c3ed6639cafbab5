"""OTLP in, Parquet out."""
