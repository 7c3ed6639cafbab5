"""Which servers of the catalogue fit a need, what a task or a flow costs on them, and what to relax where none fits.

What comes in: a :class:`Need`, :class:`Work` or the works of a flow, and the catalogue's Parquet files. What goes out:
frozen offers, cheapest first. Never touches the network, never invents a price.
"""

from __future__ import annotations

from stepsize.analyzer.matching.catalogue import Catalog
from stepsize.analyzer.matching.need import CONSTRAINTS, PLATFORMS, Need, Offer, Packed, Relaxation, Work

__all__ = ["CONSTRAINTS", "PLATFORMS", "Catalog", "Need", "Offer", "Packed", "Relaxation", "Work"]
