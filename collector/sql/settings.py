"""What a process that serves clients of Postgres is told, as one line of JSON.

What comes in: an extension's configuration, the lake, a socket's number. What goes out: the same on the other side of
``exec``. Pure. There are no secrets in it: files are named, not read.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stepsize.listening.tls import TlsFiles

_PATHS = ("data", "spill", "users_file", "cert_file", "key_file", "client_ca_file")


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlSettings:
    """Which lake is served, where, to whom.

    Attributes:
        where: the extension, as the configuration names it.
        data: the lake.
        spill: a directory of its own for what does not fit in memory.
        host: what is listened on, which says who can connect.
        descriptor: the listening socket, inherited.
        users_file: who may connect; None where whoever can may.
        tls: what encrypts; None where nothing does.
        memory_bytes, timeout_s, max_connections: bounds, as the extension's keys.
    """

    where: str
    data: Path
    spill: Path
    host: str
    descriptor: int
    users_file: Path | None
    tls: TlsFiles | None
    memory_bytes: int
    timeout_s: float
    max_connections: int

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> SqlSettings:
        """The settings back from :meth:`to_json`."""
        values = _with_paths(json.loads(text))
        tls = values.pop("tls")
        return cls(**values, tls=None if tls is None else TlsFiles(**_with_paths(tls)))


def _with_paths(values: dict[str, Any]) -> dict[str, Any]:
    return {name: Path(value) if name in _PATHS and value is not None else value for name, value in values.items()}
