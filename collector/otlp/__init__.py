"""OTLP's messages: requests checked, answers made. Pure, no I/O."""
