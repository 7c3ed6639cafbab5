"""What a sink process is told, as one line of JSON.

What comes in: paths, the writer's name, bounds. What goes out: the same on the other side of ``exec``. Standard
library only.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkSettings:
    """Where a sink reads and writes, and its bounds.

    Attributes:
        data: the lake.
        state: the collector's state directory, which holds the write-ahead log.
        writer: the collector's UUID.
        commit_interval_s: how long points wait for others before they are written.
        batch_points: at so many points they wait no longer.
        silence_s: an attempt that is silent for so long is closed.
        linger_s: an attempt that ended may change for so long.
        max_future_s, max_past_s: how far a sender's clock may be off and be believed.
    """

    data: Path
    state: Path
    writer: str
    commit_interval_s: float = 1.0
    batch_points: int = 200_000
    silence_s: float = 600.0
    linger_s: float = 60.0
    max_future_s: float = 86_400.0
    max_past_s: float = 30 * 86_400.0

    def to_json(self) -> str:
        """One line."""
        return json.dumps({**asdict(self), "data": str(self.data), "state": str(self.state)})

    @classmethod
    def from_json(cls, text: str) -> SinkSettings:
        """The settings back from :meth:`to_json`."""
        values = json.loads(text)
        return cls(**{**values, "data": Path(values["data"]), "state": Path(values["state"])})
