"""The endpoint for clients of Postgres as a child process of a collector (its extension ``postgres_wire``).

Its command line is ``python -m stepsize.commands.sql_child SETTINGS`` (`stepsize.collector.sql.settings`). What comes
in on standard input: nothing but its end, at which it tells its clients and ends. What goes out on standard output:
``ready`` once it serves; ``clients N`` where their number has changed; ``settled`` when it has served for a while;
``log LINE``; or ``error MESSAGE`` before an exit with 1. Never writes to the lake.

A process of its own, so that neither a query nor a hole in what runs it reaches what takes points: it goes last at
processor and memory.
"""

from __future__ import annotations

import os
import select
import shutil
import socket
import sys
import tempfile
import threading
import time
import traceback
from typing import TYPE_CHECKING

from stepsize.collector.processes.child import give_way, leave_signals_to_the_collector, say
from stepsize.collector.sql.settings import SqlSettings
from stepsize.errors import StepsizeError
from stepsize.postgres.instance import Limits
from stepsize.postgres.lake_views import LocalViews
from stepsize.postgres.serving import Endpoint, Keys, listen

if TYPE_CHECKING:
    from stepsize.postgres.server import Server

_NICE = 5
_LOOK_S = 1.0
_SETTLED_S = 10.0
"""One that lives for so long is followed by another at once where it ends."""
_END_S = 4.0


def main() -> None:
    """Entry point of the process."""
    leave_signals_to_the_collector()
    give_way(_NICE)
    threading.excepthook = _tell_of_defects
    settings = SqlSettings.from_json(sys.argv[1])
    _take(settings)
    try:
        server = listen(_endpoint(settings), LocalViews(settings.data), lambda line: say("log", line))
    except StepsizeError as error:
        say("error", str(error))
        sys.exit(1)
    server.start()
    say("ready")
    _watch(server)
    threading.Thread(target=_end_anyway, daemon=True).start()
    server.close()
    shutil.rmtree(settings.spill, ignore_errors=True)


def _take(settings: SqlSettings) -> None:
    """Have what does not fit in memory lie in a directory of its own; what one that was killed has left goes."""
    shutil.rmtree(settings.spill, ignore_errors=True)
    try:
        settings.spill.mkdir(mode=0o700)
    except OSError as error:
        say("log", f"{settings.where}: queries can have no room on disk: {settings.spill}: {error.strerror}")
    tempfile.tempdir = str(settings.spill)


def _endpoint(settings: SqlSettings) -> Endpoint:
    where = settings.where
    return Endpoint(
        host=settings.host,
        users=settings.users_file,
        tls=settings.tls,
        connections=settings.max_connections,
        limits=Limits.within(settings.memory_bytes, settings.timeout_s),
        is_alone=True,
        listener=socket.socket(fileno=settings.descriptor),
        keys=Keys(users=f"{where}.users_file", tls=f"{where}.tls", host=f"{where}.endpoint"),
    )


def _watch(server: Server) -> None:
    """Say how many are served, until standard input ends."""
    clients, settled_s = -1, time.monotonic() + _SETTLED_S
    while not (select.select([sys.stdin.fileno()], [], [], _LOOK_S)[0] and not os.read(sys.stdin.fileno(), 1 << 12)):
        if server.clients != clients:
            clients = server.clients
            say("clients", str(clients))
        if time.monotonic() >= settled_s:
            settled_s = float("inf")
            say("settled")


def _end_anyway() -> None:
    """Whoever started this is gone, or has waited long enough."""
    time.sleep(_END_S)
    os._exit(1)


def _tell_of_defects(failed: threading.ExceptHookArgs) -> None:
    """A thread that nobody waits for says why it ended where everything else is said, and in one line."""
    where = traceback.extract_tb(failed.exc_traceback)[-1:]
    say("log", f"a defect: {failed.exc_value!r} at {', '.join(f'{one.filename}:{one.lineno}' for one in where)}")


if __name__ == "__main__":
    main()
