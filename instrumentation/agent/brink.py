"""How near an attempt is to its container's memory limit, where the kernel may kill everything in it, the agent too.

What comes in: what was just sampled of an attempt. What goes out: how soon to look again and to send what there is.
Pure: no I/O, no clock.

With cgroup v2 an out-of-memory kill takes the whole container (``memory.oom.group``, which Kubernetes sets), so what
was not sent by then is gone: the very samples that say why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize import model

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepsize.instrumentation.agent.probes.observation import Observation

NEAR = 0.9
"""Of the limit: from here on what there is is sent more often."""
_AHEAD = 2
"""Intervals for which the growth of the last one is taken to go on."""
_SAMPLE_S = 0.1
_OFTEN, _AT_ONCE = 5, 25
"""Exports in the time of one, near the limit and about to pass it."""


@dataclass(frozen=True, slots=True)
class Haste:
    """Seconds until an attempt is to be looked at again, and between exports, at most."""

    sample_s: float
    export_s: float


@dataclass(slots=True)
class _Level:
    """The last that is known of an attempt."""

    limit_bytes: int = 0
    used_bytes: int = 0
    time_unix_nano: int = 0


class Brink:
    """Watches every attempt's distance to its limit.

    Args:
        export_interval_s: seconds between exports where all is calm.
    """

    def __init__(self, export_interval_s: float) -> None:
        self._export_interval_s = export_interval_s
        self._levels: dict[str, _Level] = {}

    def look(
        self, instance_id: str, interval_s: float, time_unix_nano: int, observations: Iterable[Observation]
    ) -> Haste | None:
        """What a sample asks for; ``None`` where the limit is far, or there is none."""
        level = self._levels.get(instance_id)
        if level is None:
            level = self._levels[instance_id] = _Level()
        used_bytes: int | None = None
        for observation in observations:
            if observation.metric is model.CONTAINER_MEMORY_LIMIT:
                level.limit_bytes = int(observation.value)
            elif observation.metric is model.CONTAINER_MEMORY_WORKING_SET:
                used_bytes = int(observation.value)
        if used_bytes is None or level.limit_bytes <= 0:
            return None
        elapsed_s = (time_unix_nano - level.time_unix_nano) / 1e9
        grown_bytes = used_bytes - level.used_bytes if level.time_unix_nano and elapsed_s > 0 else 0
        level.used_bytes, level.time_unix_nano = used_bytes, time_unix_nano
        ahead_bytes = grown_bytes / elapsed_s * interval_s * _AHEAD if grown_bytes > 0 else 0
        if used_bytes + ahead_bytes >= level.limit_bytes:
            return Haste(min(_SAMPLE_S, interval_s), self._export_interval_s / _AT_ONCE)
        if used_bytes >= NEAR * level.limit_bytes:
            return Haste(interval_s, self._export_interval_s / _OFTEN)
        return None

    def forget(self, instance_id: str) -> None:
        """The attempt is over."""
        self._levels.pop(instance_id, None)
