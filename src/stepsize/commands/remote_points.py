"""Takes the points that remote steps left in the flow's datastore into this lake.

What comes in: settings. What goes out: what was left since the last time, handed to the collector of the data
directory, and a line for the user where that did not work. Each object is taken once: which ones were is noted in the
state directory, day by day, for as long as days are looked at. Never changes the datastore.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.discovery import write_whole
from stepsize.errors import UnavailableError
from stepsize.instrumentation.agent.delivery import Delivery
from stepsize.settings import metaflow_datastore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stepsize.instrumentation.agent.datastore import Datastore
    from stepsize.instrumentation.agent.delivery import Destination, Request
    from stepsize.settings import Settings

DAYS = 30
"""What was left longer ago is not looked for."""
_NOTES = "datastore.json"
_END_S = 10.0
_PER_CALL = 256
"""Objects that are fetched at once."""


def take_remote(settings: Settings, timeout_s: float) -> str | None:
    """Take what is new; what to tell the user, ``None`` where all is well or there is no datastore to look into."""
    where = datastore_of(settings, os.environ)
    if where is None:
        return None
    said: list[str | None] = []
    # A storage has no bound of its own: one that hangs is let go of, and goes on where it was the next time.
    work = threading.Thread(target=lambda: said.append(_take(settings, where)), daemon=True)
    work.start()
    work.join(timeout_s)
    return said[0] if said else f"{where} did not answer within {timeout_s:g} s; remote tasks may be missing"


def datastore_of(settings: Settings, environ: Mapping[str, str]) -> str | None:
    """Where remote steps of this user leave their points: as set, else as Metaflow's configuration says."""
    if settings.datastore == "off" or settings.has_endpoint:
        return None
    return settings.datastore or _configured(environ)


def _configured(environ: Mapping[str, str]) -> str | None:
    """Of Metaflow's configuration file (metaflow/metaflow_config_funcs.py), which is cheaper to read than to import."""
    home = environ.get("METAFLOW_HOME", "~/.metaflowconfig")
    profile = environ.get("METAFLOW_PROFILE")
    file = Path(home).expanduser() / (f"config_{profile}.json" if profile else "config.json")
    try:
        return metaflow_datastore(json.loads(file.read_bytes()))
    except (OSError, ValueError, AttributeError):  # there is none, or it is no configuration
        return None


def _take(settings: Settings, where: str) -> str | None:
    from stepsize.instrumentation.agent.datastore import Datastore  # noqa: PLC0415 - only where there is one

    try:
        with _collector(settings) as collector:
            _take_new(Datastore(where), _Taken(settings.state_dir / _NOTES, where), collector)
    except UnavailableError as error:
        return f"{error}; remote tasks may be missing"
    except Exception as error:  # noqa: BLE001 - a storage raises what it likes, and no command fails for it
        return f"{where}: {type(error).__name__}: {error}; remote tasks may be missing"
    return None


def _take_new(store: Datastore, taken: _Taken, collector: Destination) -> None:
    """Hand over what is new, day by day.

    Raises:
        UnavailableError: the collector does not take it.
    """
    oldest = f"{datetime.now(timezone.utc) - timedelta(days=DAYS):%Y-%m-%d}"
    days = [day for day in store.days() if day >= oldest]
    taken.keep(days)
    for day in days:
        new = [name for name in store.objects(day) if name not in taken.of(day)]
        for start in range(0, len(new), _PER_CALL):
            try:
                for name, request in store.requests(day, new[start : start + _PER_CALL]):
                    if request is not None:
                        _hand_over(collector, request, name)
                    taken.add(day, name)
            finally:
                taken.write()


def _hand_over(collector: Destination, request: Request, name: str) -> None:
    answer = collector.send(request)
    if answer.delivery not in (Delivery.TAKEN, Delivery.REFUSED):  # what is refused now always will be
        raise UnavailableError(f"the collector did not take {name}: {answer.reason}")


@contextlib.contextmanager
def _collector(settings: Settings) -> Iterator[Destination]:
    """The one that serves the data directory; where none does, one is brought once there is anything for it."""
    from stepsize.instrumentation.agent.destination import LocalCollector  # noqa: PLC0415 - heavy
    from stepsize.instrumentation.agent.embedded import EmbeddedCollector  # noqa: PLC0415 - as above

    embedded = EmbeddedCollector(settings, settings.state_dir / "collector.log", lambda _: None)
    collector = LocalCollector(settings, embedded)
    try:
        yield collector
    finally:
        embedded.end(_END_S)
        collector.close()


class _Taken:
    """Names of the objects that were taken, by datastore and day, in a file."""

    def __init__(self, path: Path, where: str) -> None:
        self._path = path
        self._where = where
        try:
            content = json.loads(path.read_bytes())
            self._all: dict[str, dict[str, list[str]]] = content if isinstance(content, dict) else {}
        except (OSError, ValueError):
            self._all = {}
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._days = {day: set(names) for day, names in self._all.get(where, {}).items()}

    def of(self, day: str) -> set[str]:
        """Those of a day."""
        return self._days.get(day, set())

    def keep(self, days: list[str]) -> None:
        """Forget all other days."""
        self._days = {day: names for day, names in self._days.items() if day in days}

    def add(self, day: str, name: str) -> None:
        """Note one."""
        self._days.setdefault(day, set()).add(name)

    def write(self) -> None:
        """Have it on disk."""
        self._all[self._where] = {day: sorted(names) for day, names in self._days.items()}
        write_whole(self._path, json.dumps(self._all).encode(), mode=0o600)
