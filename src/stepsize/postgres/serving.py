"""An endpoint from what somebody was told of it: the one way in for whoever serves the lake.

What comes in: addresses, files, bounds. What goes out: a server that listens, or one line that says why not. Never lets
in who is beyond this machine without TLS and a password.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepsize.errors import UsageError
from stepsize.listening.tls import TlsFiles, WatchedTls
from stepsize.listening.watched import watched
from stepsize.postgres.client import Patience
from stepsize.postgres.engine import Engine
from stepsize.postgres.instance import Limits
from stepsize.postgres.scram import parse_users
from stepsize.postgres.server import Server, Serving
from stepsize.postgres.startup import Access, new_secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stepsize.postgres.lake_views import LakeViews


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where an endpoint listens, and for whom.

    Attributes:
        host: an address, or ``localhost``.
        port: 0 for any that is free.
        users: a file of lines ``USER:SCRAM-SHA-256$…``; without one, whoever can connect is trusted.
        tls_cert: the certificate, and ``tls_key`` its key: both or none.
        connections: how many clients at a time.
        limits: of their statements.
        patience: how long they may take.
    """

    host: str = "127.0.0.1"
    port: int = 5433
    users: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    connections: int = 100
    limits: Limits = field(default_factory=Limits)
    patience: Patience = field(default_factory=Patience)

    def checked(self) -> Endpoint:
        """It.

        Raises:
            UsageError: it would let in whoever comes.
        """
        if (self.tls_cert is None) != (self.tls_key is None):
            raise UsageError("--tls-cert and --tls-key go together: give both")
        lacking = [
            name for name, value in (("--users", self.users), ("--tls-cert and --tls-key", self.tls_cert)) if not value
        ]
        if lacking and not self.is_loopback:
            raise UsageError(
                f"--host {self.host} can be reached from other machines: that takes {' and '.join(lacking)}, too"
            )
        return self

    @property
    def is_loopback(self) -> bool:
        """Whether nobody beyond this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def listen(endpoint: Endpoint, lake: LakeViews, tell: Callable[[str], None]) -> Server:
    """A server that listens; :meth:`~stepsize.postgres.server.Server.start` has it serve, ``close`` ends it.

    ``tell`` takes lines for the operator.

    Raises:
        UsageError: see :meth:`Endpoint.checked`; a file of users or a certificate cannot be used.
        UnavailableError: the address is taken.
        LakeError: the lake cannot be read.
    """
    endpoint.checked()
    tls = None
    if endpoint.tls_cert is not None and endpoint.tls_key is not None:
        tls = WatchedTls(TlsFiles(endpoint.tls_cert, endpoint.tls_key), "--tls-cert", "postgres")
    users = None if endpoint.users is None else watched(endpoint.users, parse_users, "--users", tell)
    access = Access(
        users=None if users is None else users.get,
        needs_tls=not endpoint.is_loopback,
        secret=new_secret(),
    )
    engine = Engine(lake, endpoint.limits)
    serving = Serving(
        host=endpoint.host,
        port=endpoint.port,
        connections=endpoint.connections,
        access=access,
        tls=tls,
        patience=endpoint.patience,
        tell=tell,
    )
    return Server(engine, serving)
