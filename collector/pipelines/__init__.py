"""Pipelines: what is done to requests between a receiver and the logs, and what reads the logs besides the sink."""
