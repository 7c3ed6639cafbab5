"""``otel-config.yaml``: the OpenTelemetry Collector's language, as far as it applies to metrics kept as Parquet."""
