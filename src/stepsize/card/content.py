"""What a card says, as text and pictures: everything is decided here, the template only places it.

What comes in: an attempt that is looked on at. What goes out: frozen `Content`. Reads the lake and the catalogue where
advice is asked for; where they cannot be read, the card says so in place of the figures. What is not known is a dash.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from stepsize.analyzer.formats import words
from stepsize.card.curves import HOST_CURVES, TASK_CURVES, Drawn
from stepsize.card.findings import NONE, findings
from stepsize.card.pictures import Sources, pictures
from stepsize.card.rows import rows
from stepsize.model import Outcome

if TYPE_CHECKING:
    from stepsize.api.facts import Server, Stats
    from stepsize.card.findings import Findings
    from stepsize.card.pictures import Picture
    from stepsize.card.rows import Row
    from stepsize.card.watching import Watched
    from stepsize.model import Identity

_OUTCOMES = {
    Outcome.OK: "succeeded",
    Outcome.FAILED: "failed",
    Outcome.KILLED: "killed",
    Outcome.OOM: "killed for lack of memory",
    Outcome.LOST: "lost",
    Outcome.UNKNOWN: "ended, nobody saw how",
}


@dataclass(frozen=True, slots=True)
class Content:
    """A card.

    Attributes:
        title: ``flow/step``.
        subtitle: which run, task and attempt.
        status: how it is, in a word or two.
        mood: ``good``, ``bad`` or ``live``.
        facts: label and text.
        rows: of the table of what was used.
        pictures: of what was used over time.
        findings: what the lake and the catalogue say.
        notes: what else has to be known to read it, a sentence each.
        updated: when all of this was true.
    """

    title: str
    subtitle: str
    status: str
    mood: str
    facts: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    pictures: tuple[Picture, ...]
    findings: Findings
    notes: tuple[str, ...]
    updated: str


class Contents:
    """What the card of one attempt says, now and later.

    Args:
        watched: the attempt.
        interval_s: seconds between its samples.
    """

    def __init__(self, watched: Watched, interval_s: float) -> None:
        self._watched = watched
        self._interval_s = interval_s
        self._task = Drawn(TASK_CURVES, watched.started_s, zero=True)
        self._host = Drawn(HOST_CURVES, watched.started_s, zero=False)
        self._findings = NONE

    def now(self, *, advise: bool) -> Content:
        """The card as it is; ``advise`` asks the lake and the catalogue again."""
        watched = self._watched
        if advise:
            watched.locate()
        stats, server, identity = watched.stats(), watched.server(), watched.identity
        if advise:
            self._findings = findings(watched)
        self._task.take(watched.task)
        self._host.take(watched.host)
        sources = Sources(self._task.envelopes, self._host.envelopes, stats, server, identity.request)
        outcome = watched.outcome
        return Content(
            title=words.printable(f"{identity.flow}/{identity.step}"),
            subtitle=words.printable(_which(identity)),
            status="running" if watched.running else _OUTCOMES.get(outcome or Outcome.UNKNOWN, "ended"),
            mood="live" if watched.running else "good" if outcome is Outcome.OK else "bad",
            facts=tuple(_facts(watched.started_s, stats, server)),
            rows=rows(stats, self._task.envelopes, identity.request, self._findings),
            pictures=pictures(sources, watched.task.latest("memory_limit_bytes"), self._interval_s),
            findings=self._findings,
            notes=tuple(_notes(stats, running=watched.running)),
            updated=_clock(time.time()),
        )


def _which(identity: Identity) -> str:
    item = "" if identity.item is None else f" ({identity.item})"
    return f"run {identity.run}, task {identity.task}{item}, attempt {identity.attempt}"


def _facts(started_s: float, stats: Stats, server: Server) -> list[tuple[str, str]]:
    where = " ".join(part for part in (server.cloud_vendor, server.cloud_region, server.instance_type) if part)
    size = [] if server.cpus is None else [words.plural(server.cpus, "CPU")]
    if server.memory_bytes is not None:
        size.append(f"{server.memory_bytes / 1e9:.1f} GB")
    if server.gpu_memory_bytes:
        size.append(f"{server.gpu_memory_bytes / 1e9:.0f} GB of GPU memory")
    if server.shared is not None:
        size.append("shared" if server.shared else "its own")
    found = [
        ("Started", _clock(started_s)),
        ("Took", words.took(stats.duration_s)),
        ("CPU time", words.UNKNOWN if stats.cpu_seconds is None else words.took(stats.cpu_seconds)),
        ("Server", words.printable(", ".join([server.name or "not known", *size]))),
    ]
    return [*found, ("Cloud", words.printable(where) if where else "none, or not known")]


def _notes(stats: Stats, *, running: bool) -> list[str]:
    found = []
    if not stats.samples:
        found.append(
            "No sample has come yet." if running else "It was over before a sample could be drawn, or no agent runs."
        )
    return found


def _clock(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
