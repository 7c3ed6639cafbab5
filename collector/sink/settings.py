"""What a sink process is told, as one line of JSON.

What comes in: paths, the writer's name, bounds. What goes out: the same on the other side of ``exec``, or in a file
of the state directory, where whoever goes on with the log when its collector is gone finds its bounds. Standard library
only.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from stepsize.collector.limits import ClockBounds, CommitLimits, RollupLimits, SinkLimits, UpkeepLimits
from stepsize.discovery import write_whole
from stepsize.errors import LakeError
from stepsize.store.retention import Retention

_FILE = "sink.json"


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
        limits = _limits(values["limits"])
        return cls(data=Path(values["data"]), state=Path(values["state"]), writer=values["writer"], limits=limits)


def keep_limits(settings: SinkSettings) -> None:
    """Leave the bounds in the state directory."""
    write_whole(settings.state / _FILE, json.dumps(asdict(settings.limits)).encode(), mode=0o600)


def kept_limits(state: Path) -> SinkLimits:
    """The bounds of the last sink of a state directory; the usual ones where there has been none.

    Raises:
        LakeError: they cannot be read. None are guessed: they say how long rows are kept.
    """
    path = state / _FILE
    try:
        return _limits(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return SinkLimits()
    except OSError as error:
        raise LakeError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise LakeError(f"{path} is damaged; start the collector once, which writes it anew") from None


def _limits(bounds: dict[str, Any]) -> SinkLimits:
    """Bounds back from `dataclasses.asdict`."""
    upkeep = UpkeepLimits(Retention(**bounds["upkeep"]["retention"]), bounds["upkeep"]["quiet_s"])
    return SinkLimits(
        ClockBounds(**bounds["clock"]), RollupLimits(**bounds["rollup"]), CommitLimits(**bounds["commit"]), upkeep
    )
