"""What a report leaves for the next one to be compared with.

What comes in: a :class:`Snapshot`. What goes out: bytes of JSON, and back. Never reads or writes a file.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from stepsize.analyzer.changes.conditions import Kind, Standing
from stepsize.analyzer.changes.period import StepKey
from stepsize.analyzer.changes.savings import NOTHING, Saved, Saving
from stepsize.analyzer.costs import Amounts
from stepsize.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StepState:
    """One step as a report saw it, the last of them that of attempts until ``seen_s`` (seconds since 1970);
    ``standing`` is what was told of it and lasts."""

    requested: Amounts
    standing: tuple[Standing, ...] = ()
    saving: Saving | None = None
    seen_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A report of ``day``, made of what had ended at ``until_s``, the last of it at ``newest_s`` (seconds since 1970).

    ``asked`` says how it was made: reports that were made in different ways are not compared. ``saved`` is what all
    lower requests have saved since the first report.
    """

    day: str
    until_s: float
    newest_s: float
    asked: str
    steps: Mapping[StepKey, StepState]
    saved: Saved = NOTHING


def snapshot_bytes(snapshot: Snapshot) -> bytes:
    """``snapshot`` as JSON."""
    content = {
        "version": VERSION,
        "day": snapshot.day,
        "until_s": snapshot.until_s,
        "newest_s": snapshot.newest_s,
        "asked": snapshot.asked,
        "saved": asdict(snapshot.saved),
        "steps": [_step(key, state) for key, state in snapshot.steps.items()],
    }
    return json.dumps(content, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def parse_snapshot(content: bytes, where: str) -> Snapshot:
    """The snapshot in ``content``, which lies at ``where``.

    Raises:
        DataError: it is none, or of a newer version.
    """
    try:
        found = json.loads(content)
        if found["version"] != VERSION:
            raise DataError(f"{where} is of another version; delete it, and the next report is compared with none")
        until_s = _instant(found["until_s"])
        return Snapshot(
            day=str(found["day"]),
            until_s=until_s,
            newest_s=_instant(found.get("newest_s", until_s)),  # which was not kept at first
            asked=str(found["asked"]),
            saved=_saved(found["saved"]),
            steps=dict(_parse_step(one, until_s) for one in found["steps"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise DataError(f"{where} cannot be read; delete it, and the next report is compared with none") from None


def _step(key: StepKey, state: StepState) -> dict[str, Any]:
    return {
        **key._asdict(),
        "requested": asdict(state.requested),
        "standing": [[one.kind.value, one.what, one.level] for one in state.standing],
        "saving": None if state.saving is None else asdict(state.saving),
        "seen_s": state.seen_s,
    }


def _parse_step(found: Mapping[str, Any], until_s: float) -> tuple[StepKey, StepState]:
    saving, (project, flow, step) = found["saving"], (found[name] for name in ("project", "flow", "step"))
    if not isinstance(flow, str) or not isinstance(step, str) or (project is not None and not isinstance(project, str)):
        raise TypeError
    return StepKey(project, bool(found["production"]), flow, step), StepState(
        requested=_amounts(found["requested"]),
        standing=tuple(_standing(*one) for one in found["standing"]),
        saving=None if saving is None else Saving(saving["day"], _amounts(saving["before"]), _saved(saving["saved"])),
        seen_s=_instant(found.get("seen_s", until_s)),
    )


def _standing(kind: str, what: str, level: float | None = None) -> Standing:
    return Standing(Kind(kind), "" if Kind(kind) is Kind.GROWTH else str(what), None if level is None else float(level))


def _amounts(found: Mapping[str, float | None]) -> Amounts:
    return Amounts(**{name: None if value is None else float(value) for name, value in found.items()})


def _saved(found: Mapping[str, Any]) -> Saved:
    return Saved(float(found["gb_h"]), tuple((str(currency), float(value)) for currency, value in found["money"]))


def _instant(found: Any) -> float:
    """Seconds since 1970 of a time that calendars have."""
    if not math.isfinite(instant_s := float(found)):
        raise ValueError
    datetime.fromtimestamp(instant_s, timezone.utc)
    return instant_s
