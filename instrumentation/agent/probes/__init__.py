"""Probes: each reads one kind of source and returns values; one file each.

A probe takes the roots of the file systems that it reads (`/proc`, `/sys`) as parameters, keeps what it needs between
samples, and says nothing rather than zero where it cannot read. `observation` holds what they return.
"""
