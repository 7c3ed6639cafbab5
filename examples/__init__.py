"""Flows that `stepsize demo` runs, and that the documentation shows."""
