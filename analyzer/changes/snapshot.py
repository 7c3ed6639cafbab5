"""What a report leaves for the next one to be compared with.

What comes in: a :class:`Snapshot`. What goes out: bytes of JSON, and back. Never reads or writes a file.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
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
    """One step as a report saw it; ``standing`` is what was told of it and lasts."""

    requested: Amounts
    standing: tuple[Standing, ...] = ()
    saving: Saving | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A report of ``day``, made of what had ended at ``until_s``.

    ``asked`` says how it was made: reports that were made in different ways are not compared. ``saved`` is what all
    lower requests have saved since the first report.
    """

    day: str
    until_s: float
    asked: str
    steps: Mapping[StepKey, StepState]
    saved: Saved = NOTHING


def snapshot_bytes(snapshot: Snapshot) -> bytes:
    """``snapshot`` as JSON."""
    content = {
        "version": VERSION,
        "day": snapshot.day,
        "until_s": snapshot.until_s,
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
        return Snapshot(
            day=str(found["day"]),
            until_s=float(found["until_s"]),
            asked=str(found["asked"]),
            saved=_saved(found["saved"]),
            steps=dict(map(_parse_step, found["steps"])),
        )
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{where} cannot be read; delete it, and the next report is compared with none") from None


def _step(key: StepKey, state: StepState) -> dict[str, Any]:
    return {
        **key._asdict(),
        "requested": asdict(state.requested),
        "standing": [[one.kind.value, one.what] for one in state.standing],
        "saving": None if state.saving is None else asdict(state.saving),
    }


def _parse_step(found: Mapping[str, Any]) -> tuple[StepKey, StepState]:
    saving = found["saving"]
    return StepKey(found["project"], found["production"], found["flow"], found["step"]), StepState(
        requested=Amounts(**found["requested"]),
        standing=tuple(Standing(Kind(kind), what) for kind, what in found["standing"]),
        saving=None if saving is None else Saving(saving["day"], Amounts(**saving["before"]), _saved(saving["saved"])),
    )


def _saved(found: Mapping[str, Any]) -> Saved:
    return Saved(float(found["gb_h"]), tuple((str(currency), float(value)) for currency, value in found["money"]))
