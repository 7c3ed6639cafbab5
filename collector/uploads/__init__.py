"""Brings the lake of a collector to an object store, in a process of its own."""
