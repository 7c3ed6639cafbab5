"""OTLP requests to Arrow tables: pure, no I/O."""
