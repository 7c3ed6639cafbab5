"""Where spools lie: this destination's own, those of others, and what waits in each.

What comes in: settings and the exporters' variables. What goes out: directories, and for people a `Waiting` for each.
Makes and changes nothing by itself and takes no lock: an agent may be at work meanwhile. Standard library only.

A spool is the directory of one destination as an agent is started for it, credentials included, so that agents of two
credentials never wait for one another. What tells whose it is, credentials apart, is its label's account.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from stepsize.instrumentation.agent.account import account_of
from stepsize.instrumentation.agent.label import Label, read_label
from stepsize.instrumentation.agent.shared_directory import check_own, own_part
from stepsize.instrumentation.agent.spool import Spool
from stepsize.instrumentation.agent.spool_files import damaged_files, entries

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
    part = settings.spool_dir if settings.spool is None else own_part(settings.spool)
    return part / hashlib.sha256(settings.destination.encode()).hexdigest()[:16]


def own_spool(settings: Settings, environ: Mapping[str, str]) -> Spool:
    """The spool in which an agent of ``settings`` in ``environ`` keeps what nobody takes."""
    account = account_of(settings, environ)
    label = Label(account.digest, account.destination, account.headers)
    return _spool(settings, directory_of(settings), label)


def other_spools(settings: Settings, environ: Mapping[str, str]) -> Iterator[Spool]:
    """Those that agents with other credentials for the same account have left."""
    own, account = directory_of(settings), account_of(settings, environ).digest
    for directory in directories(settings):
        if directory != own and _is_of(account, own, directory):
            yield _spool(settings, directory, None)


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
    found = [_waiting_in(each, is_ours=_is_of(account, own, each)) for each in directories(settings)]
    return [each for each in found if each.requests or each.damaged]


def fault(settings: Settings) -> str | None:
    """Why nothing is kept where ``settings`` say: somebody else could replace it. ``None`` where all is well."""
    try:
        _check(settings, directory_of(settings))
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return None


def directories(settings: Settings) -> Iterator[Path]:
    """Every spool of this user, where ``settings`` say and in this user's part of that; what is others' is left out."""
    ours = directory_of(settings).parent
    for part in dict.fromkeys((ours, settings.spool_dir)):
        with contextlib.suppress(OSError), os.scandir(part) as found:
            names = sorted(entry.name for entry in found if entry.is_dir(follow_symlinks=False))
            for directory in (part / name for name in names if part / name != ours):
                with contextlib.suppress(OSError):
                    _check(settings, directory)
                    yield directory


def _is_of(account: str, own: Path, directory: Path) -> bool:
    """Whether points in a directory are for this account, or it is what ``own`` was before users had parts."""
    label = read_label(directory)
    return directory.name == own.name or (label is not None and label.account == account)


def _spool(settings: Settings, directory: Path, label: Label | None) -> Spool:
    return Spool(directory, settings.spool_max_bytes, label=label, check=partial(_check, settings, directory))


def _check(settings: Settings, directory: Path) -> None:
    """Whose a data directory is, is its user's to see to; a directory for spools may be meant for many users."""
    if settings.spool is not None:
        check_own(settings.spool, directory)


def _waiting_in(directory: Path, *, is_ours: bool) -> Waiting:
    label = read_label(directory)
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
