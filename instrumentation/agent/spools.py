"""Where spools lie: this destination's own, those of others, and what waits in each.

What comes in: settings and the exporters' variables. What goes out: directories, and for people a `Waiting` for each.
Makes and changes nothing by itself and takes no lock: an agent may be at work meanwhile. Standard library only.

A spool is the directory of one destination as an agent is started for it, credentials included, so that agents of two
credentials never wait for one another. What tells whose it is, credentials apart, is its label's account.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.instrumentation.agent.account import account_of
from stepsize.instrumentation.agent.label import Label, read_label
from stepsize.instrumentation.agent.spool import Spool, damaged_files, entries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from stepsize.settings import Settings


@dataclass(frozen=True, slots=True)
class Waiting:
    """A spool in which something waits.

    Attributes:
        directory: where it is.
        destination: where it is to go, without secrets; empty where a version that did not say so left it.
        headers: names of the headers that tell its destination from others at the same place.
        is_ours: whether an agent of these settings sends it.
        barred: whether the credentials of whoever tried last were refused.
        reason: what the last try met; empty where none was told.
        requests, points, size_bytes: what waits, compressed.
        damaged: files that were set aside since they could not be read; they wait for nothing.
        oldest_unix_s, newest_unix_s: when the first and the last of it was put there; ``None`` where nothing waits.
    """

    directory: Path
    destination: str
    headers: tuple[str, ...]
    is_ours: bool
    barred: bool
    reason: str
    requests: int
    points: int
    size_bytes: int
    damaged: int
    oldest_unix_s: float | None
    newest_unix_s: float | None

    @property
    def waits_for(self) -> str:
        """What has to happen for it to be sent, in words that go on from "waits for"."""
        if not self.destination:
            return "a task with the very settings that it was kept under, headers included"
        if self.barred:
            return f"credentials that {self.destination} accepts ({self.reason})"
        if self.reason:
            return f"{self.destination} to take it ({self.reason})"
        return f"the next task or report that sends to {self.destination}"


def directory_of(settings: Settings) -> Path:
    """Where requests for the destination of ``settings`` wait."""
    return settings.spool_dir / hashlib.sha256(settings.destination.encode()).hexdigest()[:16]


def own_spool(settings: Settings, environ: Mapping[str, str]) -> Spool:
    """The spool in which an agent of ``settings`` in ``environ`` keeps what nobody takes."""
    account = account_of(settings, environ)
    label = Label(account.digest, account.destination, account.headers)
    return Spool(directory_of(settings), settings.spool_max_bytes, label=label)


def other_spools(settings: Settings, environ: Mapping[str, str]) -> Iterator[Spool]:
    """Those that agents with other credentials for the same account have left."""
    account = account_of(settings, environ).digest
    for directory in _directories(settings):
        label = read_label(directory)
        if label is not None and label.account == account and directory != directory_of(settings):
            yield Spool(directory, settings.spool_max_bytes)


def pending_points(settings: Settings, environ: Mapping[str, str] | None = None) -> int:
    """Points that wait on disk for an agent of ``settings`` to send them; makes nothing."""
    return sum(found.points for found in waiting(settings, environ) if found.is_ours)


def waiting(settings: Settings, environ: Mapping[str, str] | None = None) -> list[Waiting]:
    """Every spool of this user, in the directory that ``settings`` say, in which something is; makes nothing.

    Args:
        settings: as loaded from ``environ``.
        environ: holds the exporters' variables; the process's own.
    """
    own = directory_of(settings)
    account = account_of(settings, os.environ if environ is None else environ).digest
    found = []
    for directory in _directories(settings):
        label = read_label(directory)
        is_ours = directory == own or (label is not None and label.account == account)
        found.append(_waiting_in(directory, label, is_ours=is_ours))
    return [each for each in found if each.requests or each.damaged]


def _directories(settings: Settings) -> Iterator[Path]:
    try:
        with os.scandir(settings.spool_dir) as found:
            names = sorted(entry.name for entry in found if entry.is_dir(follow_symlinks=False))
    except OSError:
        return
    for name in names:
        yield settings.spool_dir / name


def _waiting_in(directory: Path, label: Label | None, *, is_ours: bool) -> Waiting:
    files = entries(directory)
    times = [file.time_unix_nano / 1e9 for file in files]
    return Waiting(
        directory=directory,
        destination="" if label is None else label.destination,
        headers=() if label is None else label.headers,
        is_ours=is_ours,
        barred=label is not None and label.barred,
        reason="" if label is None else label.reason,
        requests=len(files),
        points=sum(file.points for file in files),
        size_bytes=sum(file.size_bytes for file in files),
        damaged=len(damaged_files(directory)),
        oldest_unix_s=min(times, default=None),
        newest_unix_s=max(times, default=None),
    )
