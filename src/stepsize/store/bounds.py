"""DuckDB connections as commands need them: quiet, in UTC, within a bound of memory. Nothing else opens one.

What comes in: nothing, or a bound. What goes out: connections. What they hold on disk is there while a query needs it.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_THREADS = 8
"""Of a connection whose memory is bounded: each thread holds its share."""


def quiet_connection(
    threads: int | None = None, config: Mapping[str, str | bool | int | float | list[str]] = MappingProxyType({})
) -> duckdb.DuckDBPyConnection:
    """A connection to a database of its own, in UTC. DuckDB would draw a bar on standard output after two seconds.

    ``threads``: how many it may use; as many as there are cores where that is not said. ``config``: DuckDB's settings
    that have to stand before it begins.
    """
    connection = duckdb.connect(config={**config} if threads is None else {**config, "threads": threads})
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def bound(connection: duckdb.DuckDBPyConnection, memory_bytes: int | None) -> None:
    """Have queries hold at most ``memory_bytes``, and the rest below ``TMPDIR``; with None it is DuckDB's own bound."""
    if memory_bytes is None:
        return
    connection.execute(f"SET memory_limit = '{memory_bytes}B'")
    connection.execute(f"SET threads = {min(os.cpu_count() or 1, _MOST_THREADS)}")
    # DuckDB makes the directory when it needs it, and takes it away at the end.
    place = Path(tempfile.gettempdir(), f"stepsize-{os.getpid()}-{uuid.uuid4().hex}")
    connection.execute("SET temp_directory = $1", [str(place)])
