"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# A shared machine stalls now and then: an example that took long is no failure.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")
