"""``extensions: postgres_wire``: the lake for clients of Postgres, as ``stepsize sql --serve`` has it (docs/sql.md).

Ours alone. What is not given has the defaults of the command; the rules of who may connect are its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - dataclasses keep their annotations readable

from stepsize.collector.components.parquet_exporter import bound_bytes
from stepsize.collector.components.server_tls import ServerTlsConfig, file_path
from stepsize.collector.config.language import Endpoint, Section, duration_s, listen_address, option, whole
from stepsize.listening.addresses import is_loopback
from stepsize.listening.users import parse_users
from stepsize.listening.watched import watched

_LEAST_MEMORY_BYTES = 64 << 20
_MOST_CONNECTIONS = 10_000
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class PostgresWireConfig:
    """Where it listens, for whom, and what queries may take."""

    endpoint: Endpoint = option(listen_address, default=Endpoint("127.0.0.1", 5433), says="where it listens")
    tls: ServerTlsConfig | None = option(Section(ServerTlsConfig), default=None, says="certificates")
    users_file: Path | None = option(
        file_path,
        default=None,
        says="who may connect: lines of `stepsize sql --hash-password`, read again when they change; without it, "
        "whoever can",
    )
    memory_bytes: int = option(
        bound_bytes,
        default=1 << 30,
        key="memory",
        says="what all queries together hold; four times as much may lie below `TMPDIR`",
    )
    timeout_s: float = option(
        duration_s, default=60.0, key="timeout", says="how long a query may take, until its last row is read"
    )
    max_connections: int = option(whole, default=100, says="clients at a time")

    def validate(self) -> None:
        """Refuse what cannot work, and what would let in whoever comes."""
        given = {"users_file": self.users_file, "tls": self.tls}
        lacking = [key for key, value in given.items() if value is None]
        if lacking and not is_loopback(self.endpoint.host):
            raise ValueError(
                f"endpoint {self.endpoint} can be reached from other machines: that takes {' and '.join(lacking)}, too"
            )
        if self.memory_bytes < _LEAST_MEMORY_BYTES:
            raise ValueError(f"memory must be {_LEAST_MEMORY_BYTES >> 20}MiB at least")
        if not 0 < self.timeout_s <= _DAY_S:
            raise ValueError("timeout must be above 0, and a day at most")
        if not 0 < self.max_connections <= _MOST_CONNECTIONS:
            raise ValueError(f"max_connections must be from 1 to {_MOST_CONNECTIONS}")


def check_users(config: PostgresWireConfig, where: str) -> None:
    """See that the file of users can be read and understood; ``where`` names the extension.

    Raises:
        ConfigError: it cannot.
    """
    if config.users_file is not None:
        watched(config.users_file, parse_users, f"{where}.users_file", lambda _: None)
