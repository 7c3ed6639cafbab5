"""The collector of the data directory: whether one serves it, and how it does; what one that is gone has left.

What comes in: settings. What goes out: findings. Asks a collector that lives for its own metrics, reads positions of a
log where none does. Starts and ends nothing.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize import __version__, discovery
from stepsize.collector import control
from stepsize.collector.state import writer_id
from stepsize.collector.wal.reader import bytes_between, end_of, segments
from stepsize.commands.checks.directories import is_usable
from stepsize.commands.checks.finding import Finding, Level
from stepsize.errors import StepsizeError
from stepsize.store.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepsize.collector.control import Reading
    from stepsize.discovery import CollectorAddress
    from stepsize.settings import Settings

_PART = "collector"
_PATIENCE_S = 2.0
_LONG_LAG_S = 60.0
_OFTEN = 3
"""A sink that ends now and then is started again and nothing is lost; so often is no accident."""


def check_collector(settings: Settings) -> list[Finding]:
    """What is to be said of who serves the data directory."""
    if os.path.lexists(settings.data) and not is_usable(settings.data):
        return []  # which its directory's check has said
    found = [*_set_aside(settings.state_dir)]
    address = discovery.read_address(settings)
    if address is None or not _answers(address):
        return [*found, *_gone(settings, address)]
    kind = "an agent's own" if address.embedded else "stepsize collect"
    found.append(Finding(_PART, Level.WELL, f"pid {address.pid} serves {settings.lake} ({kind})"))
    readings = control.metrics(settings, _PATIENCE_S)
    if readings is None:
        said = f"pid {address.pid} takes connections and does not answer within {_PATIENCE_S:g} s"
        return [*found, Finding(_PART, Level.FAULT, said, "see its log and what its machine is busy with")]
    return [*found, *_version(readings), *_configuration(readings, address), *_sink(readings), *_refusals(readings)]


def _answers(address: CollectorAddress) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PATIENCE_S)
        try:
            probe.connect(address.socket)
        except OSError:
            return False
    return True


def _set_aside(state: Path) -> Iterator[Finding]:
    for kind, what, remedy in (
        ("undecodable", "requests could not be decoded", "report it with the file: it is a defect of stepsize's"),
        ("damaged", "parts of the log were damaged on disk", "check the disk; what was in them is not in the lake"),
    ):
        kept = sorted(state.glob(f"{kind}-*.bin"))
        if kept:
            yield Finding(_PART, Level.FAULT, f"{len(kept)} {what} and are kept, {kept[0]} first", remedy)


def _gone(settings: Settings, address: CollectorAddress | None) -> Iterator[Finding]:
    """Nobody serves the directory: that is usual between tasks, unless something was left to do."""
    if address is not None:
        said = f"the one that served {settings.data} (pid {address.pid}) is gone without a word"
        yield Finding(_PART, Level.NOTE, said, "the next one, or `stepsize report`, takes up what it left")
    else:
        yield Finding(_PART, Level.WELL, "none serves this directory now; the next task's agent brings one")
    try:
        left_bytes = _unfolded_bytes(settings)
    except (OSError, StepsizeError) as error:
        yield Finding(_PART, Level.FAULT, f"its log cannot be read: {error}", f"see {settings.state_dir}")
        return
    if left_bytes:
        said = f"{left_bytes} bytes of requests in {settings.state_dir} are not in the lake yet"
        yield Finding(_PART, Level.NOTE, said, "start the collector again; `stepsize report` takes them in, too")


def _unfolded_bytes(settings: Settings) -> int:
    """How much of the log is not in the lake."""
    state = settings.state_dir
    found = segments(state) if state.is_dir() else []
    if not found:
        return 0
    return bytes_between(state, read_manifest(settings.data, writer_id(state)).settled, end_of(state, found[-1]))


def _version(readings: Sequence[Reading]) -> Iterator[Finding]:
    for reading in _named(readings, "stepsize_collector_info"):
        if (version := reading.labels.get("version")) != __version__:
            said = f"it is stepsize {version}, and this command is {__version__}"
            yield Finding(_PART, Level.NOTE, said, "install the same for both; who reads a lake may not be the older")


def _configuration(readings: Sequence[Reading], address: CollectorAddress) -> Iterator[Finding]:
    """Whether it runs with what its file says now."""
    loaded_unix_s = _value(readings, "stepsize_config_loaded_time")
    files = [Path(name) for one in _named(readings, "stepsize_collector_info") if (name := one.labels.get("config"))]
    for file in files:
        try:
            changed = loaded_unix_s is not None and file.stat().st_mtime > loaded_unix_s
        except OSError as error:
            said = f"its configuration {file} cannot be read any more: {error.strerror}"
            yield Finding(_PART, Level.NOTE, said, "put it back: the next start needs it")
            continue
        if not changed:
            continue
        check = f"check it (stepsize collect --validate --config {file})"
        if _value(readings, "stepsize_config_refused_reloads"):
            said = f"{file} has changed, was read again and refused: the one before goes on"
            yield Finding(_PART, Level.FAULT, said, f"{check}, then kill -HUP {address.pid}")
        else:
            said = f"{file} has changed since it was read"
            yield Finding(_PART, Level.NOTE, said, f"{check}, then kill -HUP {address.pid} (systemctl reload)")


def _sink(readings: Sequence[Reading]) -> Iterator[Finding]:
    restarts = _value(readings, "stepsize_sink_restarts") or 0
    if restarts >= _OFTEN:
        said = f"its sink had to be started again {restarts:.0f} times"
        yield Finding(
            _PART, Level.FAULT, said, "see its log, which says why each time; points wait in the log meanwhile"
        )
    lag_s = _value(readings, "stepsize_sink_lag") or 0
    if lag_s > _LONG_LAG_S:
        said = f"points of {lag_s:.0f} s ago are not in the lake yet"
        yield Finding(
            _PART, Level.FAULT, said, "give it more CPU or a faster disk, or see in its log why its sink ends"
        )
    lag_s = _value(readings, "stepsize_upload_lag") or 0
    if lag_s > _LONG_LAG_S:
        said = f"points of {lag_s:.0f} s ago are not in the object store yet"
        yield Finding(_PART, Level.FAULT, said, "see its log, which says why; they are kept here meanwhile")
    failed = sum(one.value for one in _named(readings, "stepsize_wal_failed_syncs"))
    if failed:
        said = f"{failed:.0f} times its disk did not take what was to be written"
        yield Finding(_PART, Level.FAULT, said, "see its log, and the disk: clients were told to send again")


def _refusals(readings: Sequence[Reading]) -> Iterator[Finding]:
    counts: dict[str, float] = {}
    for name in ("stepsize_receiver_refused_requests", "stepsize_receiver_rejected_metric_points"):
        for one in _named(readings, name):
            bound = one.labels.get("bound", "?")
            counts[bound] = counts.get(bound, 0) + one.value
    refused = ", ".join(f"{bound} {count:.0f}" for bound, count in sorted(counts.items()) if count)
    if refused:
        said = f"it has refused requests or points, by the bound that they broke: {refused}"
        yield Finding(_PART, Level.NOTE, said, "docs/security.md says what each bound is for")


def _named(readings: Sequence[Reading], name: str) -> list[Reading]:
    return [one for one in readings if one.name == name]


def _value(readings: Sequence[Reading], name: str) -> float | None:
    return next((one.value for one in readings if one.name == name), None)
