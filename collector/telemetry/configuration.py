"""Which configuration a collector runs with, and since when, as metrics.

What comes in: a registry, the file's path, what became of each reading of it. What goes out: metrics, read when they
are asked for. Never reads the file by itself, never shows what is in it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from stepsize import __version__
from stepsize.collector.telemetry.registry import GAUGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.collector.telemetry.registry import Registry


class ConfigurationRecord:
    """What became of the configuration.

    Args:
        registry: takes the metrics.
        file: where the configuration lies; empty for the built-in one.
        clock_s: seconds since 1970.
    """

    def __init__(self, registry: Registry, file: str, clock_s: Callable[[], float] = time.time) -> None:
        self._clock_s = clock_s
        self._loaded_unix_s = clock_s()
        registry.observe(
            "stepsize_collector_info",
            GAUGE,
            "1",
            "Which collector this is.",
            lambda: 1,
            version=__version__,
            config=file,
        )
        registry.observe(
            "stepsize_config_loaded_time",
            GAUGE,
            "s",
            "When the configuration that holds now was read, in seconds since 1970.",
            lambda: self._loaded_unix_s,
        )
        self._refused = registry.counter(
            "stepsize_config_refused_reloads",
            "{reload}",
            "How often a changed configuration was wrong, so that the one before goes on.",
        )

    def now_s(self) -> float:
        """The moment, for :meth:`loaded`: what is written to the file from then on has not been read."""
        return self._clock_s()

    def loaded(self, read_unix_s: float) -> None:
        """The configuration that was read at this moment holds now."""
        self._loaded_unix_s = read_unix_s

    def refused(self) -> None:
        """It was wrong."""
        self._refused.add()
