"""PostgreSQL itself, as Debian packages it, over the same rows: what a database takes to say them.

What comes in: rows in Arrow. What goes out: a server's port, and the CPU seconds of all its processes. A cluster of its
own, on the loopback, without a password, gone when the block ends; the server is ended by the id of the process that
was started. It refuses to run as root, so root's runs it as the package's user.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg
import pyarrow.csv as arrow_csv

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

_PROGRAMS = Path("/usr/lib/postgresql")
_USER = "postgres"
_DEADLINE_S = 60.0
_SETTINGS = {
    "fsync": "off",  # of what is loaded; nothing is written while it is measured
    "autovacuum": "off",
    "shared_buffers": "1GB",
    "work_mem": "512MB",  # it sorts in memory, as DuckDB does
    "max_parallel_workers_per_gather": "2",
    "timezone": "UTC",
}
_TYPES = {"int16": "smallint", "int32": "integer", "int64": "bigint", "double": "double precision"}


class Postgres:
    """One that runs."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, version: str) -> None:
        self.port = port
        self.version = version
        self._process = psutil.Process(process.pid)

    @property
    def dsn(self) -> str:
        """For libpq and pgx."""
        return f"host=127.0.0.1 port={self.port} user=ann dbname=stepsize sslmode=disable"

    def cpu_s(self) -> float:
        """CPU seconds of all its processes, those that have ended among them."""
        total = 0.0
        for one in (self._process, *self._process.children()):
            with contextlib.suppress(psutil.NoSuchProcess):
                used = one.cpu_times()
                total += used.user + used.system
                if one.pid == self._process.pid:
                    total += used.children_user + used.children_system
        return total

    def load(self, name: str, rows: pa.Table) -> None:
        """A table of these rows in their order, read once so that it is in memory and its rows are known as visible."""
        columns = ", ".join(f'"{field.name}" {_type_of(field.type)}' for field in rows.schema)
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f"CREATE TABLE {name} ({columns})")
            with connection.cursor() as cursor, cursor.copy(f"COPY {name} FROM STDIN (FORMAT csv)") as copy:
                arrow_csv.write_csv(rows, _Into(copy), arrow_csv.WriteOptions(include_header=False))
            connection.execute(f"VACUUM ANALYZE {name}")


class _Into:
    """What Arrow writes to: a COPY."""

    closed = False

    def __init__(self, copy: psycopg.Copy) -> None:
        self._copy = copy

    def write(self, data: bytes) -> int:
        self._copy.write(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def _type_of(kind: pa.DataType) -> str:
    text = str(kind)
    if text.startswith("timestamp"):
        return "timestamptz" if "tz=" in text else "timestamp"
    return _TYPES.get(text, "text")


def program(name: str) -> Path | None:
    """The newest of Debian's, where there is one."""
    found = sorted(_PROGRAMS.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return found[-1] if found else None


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """A cluster that serves until the block ends.

    Raises:
        OSError: there is none here, or none may be run.
        subprocess.CalledProcessError: it cannot be made.
    """
    initdb, server = program("initdb"), program("postgres")
    if initdb is None or server is None:
        raise FileNotFoundError("Debian's postgresql is not installed")
    user = pwd.getpwnam(_USER) if os.geteuid() == 0 else None
    who = ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--init-groups"] if user else []
    with tempfile.TemporaryDirectory(prefix="stepsize-bench-pg-") as name:
        if user:
            shutil.chown(name, user.pw_uid, user.pw_gid)
        made = [
            *who,
            str(initdb),
            "--auth=trust",
            "--username=ann",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            f"{name}/data",
        ]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL, cwd=name)
        port = _free_port()
        said = {**_SETTINGS, "listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": name}
        options = [word for key, value in said.items() for word in ("-c", f"{key}={value}")]
        command = [*who, str(server), "-D", f"{name}/data", *options]
        nothing = subprocess.DEVNULL
        with subprocess.Popen(command, stdin=nothing, stderr=nothing, cwd=name) as process:
            try:
                version = _until_it_serves(process, port)
                yield Postgres(process, port, version)
            finally:
                process.terminate()
                process.wait(_DEADLINE_S)


def _until_it_serves(process: subprocess.Popen[bytes], port: int) -> str:
    """Make the database; the server's version."""
    deadline_s = time.monotonic() + _DEADLINE_S
    dsn = f"host=127.0.0.1 port={port} user=ann dbname=postgres"
    while process.poll() is None and time.monotonic() < deadline_s:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("CREATE DATABASE stepsize")
            return connection.info.parameter_status("server_version") or "?"
        time.sleep(0.05)
    raise OSError("PostgreSQL did not start")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
