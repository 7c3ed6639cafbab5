"""An endpoint from what somebody was told of it: the one way in for whoever serves the lake.

What comes in: addresses, files, bounds. What goes out: a server that listens, or one line that says why not. Never lets
in who is beyond this machine without TLS and a password.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepsize.errors import UsageError
from stepsize.listening.addresses import is_loopback
from stepsize.listening.tls import WatchedTls
from stepsize.listening.users import parse_users
from stepsize.listening.watched import watched
from stepsize.postgres.client import Patience
from stepsize.postgres.engine import Engine
from stepsize.postgres.instance import Limits
from stepsize.postgres.server import Server, Serving
from stepsize.postgres.startup import Access, new_secret

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from stepsize.listening.tls import TlsSection
    from stepsize.postgres.lake_views import LakeViews


@dataclass(frozen=True, slots=True)
class Keys:
    """What those who configure an endpoint call the file of users, the certificate and the host."""

    users: str = "--users"
    tls: str = "--tls-cert and --tls-key"
    host: str = "--host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where an endpoint listens, and for whom.

    Attributes:
        host: an address, or ``localhost``.
        port: 0 for any that is free.
        users: a file of lines ``USER:SCRAM-SHA-256$…``; without one, whoever can connect is trusted.
        tls: what encrypts; without it nothing does.
        connections: how many clients at a time.
        limits: of their statements.
        patience: how long they may take.
        is_alone: whether the process is for nothing else, so that its memory can be bounded as a whole.
        listener: a socket that listens on ``host`` already.
        keys: what lines about the users, the certificate and the host call them.
    """

    host: str = "127.0.0.1"
    port: int = 5433
    users: Path | None = None
    tls: TlsSection | None = None
    connections: int = 100
    limits: Limits = field(default_factory=Limits)
    patience: Patience = field(default_factory=Patience)
    is_alone: bool = False
    listener: socket.socket | None = None
    keys: Keys = field(default_factory=Keys)

    def checked(self) -> Endpoint:
        """It.

        Raises:
            UsageError: it would let in whoever comes.
        """
        keys = self.keys
        lacking = [name for name, value in ((keys.users, self.users), (keys.tls, self.tls)) if value is None]
        if lacking and not self.is_loopback:
            raise UsageError(
                f"{keys.host} {self.host} can be reached from other machines: that takes {' and '.join(lacking)}, too"
            )
        return self

    @property
    def is_loopback(self) -> bool:
        """Whether nobody beyond this machine can connect."""
        return is_loopback(self.host)


def listen(endpoint: Endpoint, lake: LakeViews, tell: Callable[[str], None]) -> Server:
    """A server that listens; :meth:`~stepsize.postgres.server.Server.start` has it serve, ``close`` ends it.

    ``tell`` takes lines for the operator.

    Raises:
        UsageError: see :meth:`Endpoint.checked`; a file of users or a certificate cannot be used.
        UnavailableError: the address is taken.
        LakeError: the lake cannot be read.
    """
    endpoint.checked()
    keys = endpoint.keys
    tls = None if endpoint.tls is None else WatchedTls(endpoint.tls, keys.tls, "postgres")
    users = None if endpoint.users is None else watched(endpoint.users, parse_users, keys.users, tell, "connect")
    access = Access(
        users=None if users is None else users.get,
        needs_tls=not endpoint.is_loopback,
        secret=new_secret(),
    )
    engine = Engine(lake, endpoint.limits, tell)
    serving = Serving(
        host=endpoint.host,
        port=endpoint.port,
        connections=endpoint.connections,
        access=access,
        tls=tls,
        patience=endpoint.patience,
        tell=tell,
        more_bytes=endpoint.limits.process_bytes if endpoint.is_alone else None,
        listener=endpoint.listener,
    )
    return Server(engine, serving)
