"""The stages' work, each a job that a process of its own does (:mod:`stepsize.commands.night.child`).

What comes in: a frozen job. What goes out: what it has to say, and files in the directory that the job names.
Compaction and roll-up make their results last themselves; the rest changes nothing.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize.commands.night.state import Message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepsize.commands.evidence import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a job has to say: ``said`` of what it did, ``warned`` of what was in its way, and what is to be sent."""

    said: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()
    message: Message | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compact:
    """Compact what no collector that lives looks after."""

    data: str

    def do(self) -> Done:
        """Do it.

        Raises:
            LakeError: there is no lake, or some of it could not be compacted.
        """
        from stepsize.collector.upkeep.tend import tend  # noqa: PLC0415 - heavy, and of this job alone
        from stepsize.store.lake import Lake  # noqa: PLC0415 - as above
        from stepsize.store.retention import Retention  # noqa: PLC0415 - as above

        lake = Lake(Path(self.data))
        lake.connect().close()  # which says so where there is none
        lake.create()  # an older one becomes one of today
        done = tend(Path(self.data), Retention(), quiet_s=0.0)
        done.raise_failed()
        return Done(said=(f"{done.compacted} files compacted to {done.made}",) if done.compacted else ())


@dataclass(frozen=True, slots=True, kw_only=True)
class RollUp:
    """Count tasks anew into a lake of their own."""

    data: str
    into: str
    engine: str
    memory_bytes: int

    def do(self) -> Done:
        """Do it; errors as for `stepsize rollup`."""
        from stepsize.collector.recount.recount import recount  # noqa: PLC0415 - heavy, and of this job alone
        from stepsize.commands.rollup import engine_named, source_of  # noqa: PLC0415 - as above

        engine = engine_named(self.engine, self.memory_bytes)
        done = recount(source_of(self.data), Path(self.into), engine, time.time_ns())
        return Done(said=(f"{done.attempts} attempts counted anew from {done.points} points",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Make the report of ``day`` and compare it with the last one, into the directory ``into``.

    Attributes:
        data: the lake whose tasks are read.
        settle: the lake whose agents and collector on this machine are asked for what they still have; empty: none.
        evidence: what it is made of, and how; its ``data`` is not looked at.
        fleet: path of a file, or empty.
        asked: how the report is made, in words.
        until_s: attempts count that had ended by then.
        first_period_s: those of so long before that are new where there is no last report.
        last: path of the last report's snapshot, empty where there is none.
        where: where people will find the report.
    """

    data: str
    settle: str
    into: str
    day: str
    evidence: Evidence
    fleet: str
    asked: str
    first_period_s: float
    until_s: float
    last: str
    where: str

    def do(self) -> Done:
        """Do it; errors as for `making.make`."""
        from stepsize.commands.night.making import make  # noqa: PLC0415 - heavy, and of this job alone

        return make(self)


COMPARISONS = {
    "table": "comparison.txt",
    "json": "comparison.json",
    "csv": "comparison.csv",
    "markdown": "comparison.md",
    "html": "comparison.html",
}
"""Format → the file that holds the comparison in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """Send a message to one address."""

    name: str
    url: str
    title: str
    body: str

    def do(self) -> Done:
        """Do it.

        Raises:
            UnavailableError: it was not taken.
        """
        from stepsize.commands.night.targets import send  # noqa: PLC0415 - heavy, and of this job alone

        send(self.url, self.name, Message(self.title, self.body))
        return Done()


Job = Compact | RollUp | Report | Tell


def as_fields(job: Job) -> dict[str, Any]:
    """A job as JSON's own types."""
    return {"kind": type(job).__name__, **asdict(job)}


def job_of(fields: Mapping[str, Any]) -> Job:
    """The job that `as_fields` made them of."""
    kinds: tuple[type[Job], ...] = (Compact, RollUp, Report, Tell)
    (kind,) = (one for one in kinds if one.__name__ == fields["kind"])
    given = {name: value for name, value in fields.items() if name != "kind"}
    if kind is Report:
        from stepsize.commands.evidence import Evidence  # noqa: PLC0415 - heavy, and of this job alone

        given["evidence"] = Evidence(**given["evidence"])
    return kind(**given)
