"""Queries of the card, as they stand in files."""
