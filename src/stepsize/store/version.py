"""Which DuckDB this is, for what versions do differently."""

from __future__ import annotations

import duckdb

IS_BEFORE_2 = int(duckdb.__version__.split(".")[0]) < 2
"""As it still is on Python 3.10."""
