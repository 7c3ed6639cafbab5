"""Sizing: what a step should ask for, from what its attempts used. Pure: evidence in, recommendation out."""
