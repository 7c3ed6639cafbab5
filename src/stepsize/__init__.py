"""stepsize: measure what every workflow step really uses; request exactly that.

Importing this package costs next to nothing: it runs beside user code, so every part is imported where it is used.
"""

from __future__ import annotations

__version__ = "0.1.0"
