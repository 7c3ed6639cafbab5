"""The names of the one knob, and what each says that a failed attempt costs. Source: ``docs/sizing.md``."""

from __future__ import annotations

from types import MappingProxyType

PRESETS = MappingProxyType({"cheap": 0.5, "balanced": 4.0, "safe": 16.0})
"""What one failed attempt costs, in typical tasks of the flow."""
