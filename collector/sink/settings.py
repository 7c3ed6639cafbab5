"""What a sink process is told, as one line of JSON.

What comes in: paths, the writer's name, bounds. What goes out: the same on the other side of ``exec``. Standard
library only.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from stepsize.collector.limits import ClockBounds, CommitLimits, RollupLimits, SinkLimits, UpkeepLimits
from stepsize.store.retention import Retention


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkSettings:
    """Where a sink reads and writes, and its bounds.

    Attributes:
        data: the lake.
        state: the collector's state directory, which holds the write-ahead log.
        writer: the collector's UUID.
        limits: the bounds.
    """

    data: Path
    state: Path
    writer: str
    limits: SinkLimits = field(default_factory=SinkLimits)

    def to_json(self) -> str:
        """One line."""
        return json.dumps({**asdict(self), "data": str(self.data), "state": str(self.state)})

    @classmethod
    def from_json(cls, text: str) -> SinkSettings:
        """The settings back from :meth:`to_json`."""
        values = json.loads(text)
        bounds = values["limits"]
        upkeep = UpkeepLimits(Retention(**bounds["upkeep"]["retention"]), bounds["upkeep"]["quiet_s"])
        limits = SinkLimits(
            ClockBounds(**bounds["clock"]), RollupLimits(**bounds["rollup"]), CommitLimits(**bounds["commit"]), upkeep
        )
        return cls(data=Path(values["data"]), state=Path(values["state"]), writer=values["writer"], limits=limits)
