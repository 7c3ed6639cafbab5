"""The lake of a collector as those of its parts know it that show it to people.

What comes in: where it lies. What goes out: what shows it, made when it is asked for. Never reads it.
"""

from __future__ import annotations

import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.collector.sql.process import SqlProcess
from stepsize.collector.sql.settings import SqlSettings
from stepsize.listening.tls import TlsFiles

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from stepsize.collector.components.postgres_wire_extension import PostgresWireConfig
    from stepsize.collector.components.server_tls import ServerTlsConfig
    from stepsize.collector.live.renderer import Renderer


@dataclass(frozen=True, slots=True)
class LakeHere:
    """One lake.

    Attributes:
        data: its directory.
        home: the working directory of processes, which is the collector's own.
        renderer: makes the live page's pages.
        store: the object store that it is brought to, if any: others may bring theirs there, which are not here.
    """

    data: Path
    home: Path
    renderer: Renderer
    store: str | None = None

    def sql(
        self, config: PostgresWireConfig, where: str, listener: socket.socket, log: Callable[[str], None]
    ) -> SqlProcess:
        """What serves it as the extension ``where`` says, on ``listener``; not begun yet."""
        settings = SqlSettings(
            where=where,
            data=self.data,
            spill=_temporary(self.home) / f"stepsize-sql-{uuid.uuid4().hex}",
            host=config.endpoint.host,
            descriptor=listener.fileno(),
            users_file=config.users_file,
            tls=_files(config.tls),
            memory_bytes=config.memory_bytes,
            timeout_s=config.timeout_s,
            max_connections=config.max_connections,
        )
        return SqlProcess(settings, listener, self.home, log)


def _temporary(home: Path) -> Path:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:  # none can be written to
        return home


def _files(tls: ServerTlsConfig | None) -> TlsFiles | None:
    if tls is None:
        return None
    return TlsFiles(
        tls.cert_file,
        tls.key_file,
        tls.client_ca_file,
        tls.client_ca_file_reload,
        tls.min_version,
        tls.max_version,
        tls.reload_interval_s,
    )
