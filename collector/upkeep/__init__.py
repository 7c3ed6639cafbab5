"""Keeps the lake small and tidy while a collector writes to it: compaction, retention, erasure."""
