"""Tests of `stepsize apply`."""
