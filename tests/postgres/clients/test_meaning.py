"""What statements mean, beside a PostgreSQL of Debian's, where its server is installed."""

from __future__ import annotations

import datetime as dt
import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import pq

from tests.postgres.clients.statements import SAME
from tests.postgres.places import Served

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
pytestmark = [
    pytest.mark.peers,
    pytest.mark.xdist_group("postgresql"),
    pytest.mark.skipif(
        not PROGRAMS or int(PROGRAMS[-1].parts[-3]) < 15, reason="needs PostgreSQL's server, from 15 on"
    ),
]
TEMPLATES = (
    "YYYY",
    "MM",
    "DD",
    "HH24",
    "HH12",
    "MI",
    "SS",
    "MS",
    "US",
    "Month",
    "mon",
    "DAY",
    "Dy",
    "Q",
    "IYYY",
    "IW",
    "DDD",
)
NUMBERS = ("9", "99", "999", "0", "000", "9,999", "90", "FM999", "FM9,999", "S999", "FM090")
DECIMALS = ("", ".9", ".99", ".00", ".90")
ENDS = ("", "%", "MI", "S", "PR")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pq.PGconn]:
    """A connection to a server of the test's own, which does not run as root."""
    place = tmp_path_factory.mktemp("postgresql")
    user = "nobody" if os.getuid() == 0 else getpass.getuser()
    if os.getuid() == 0:
        shutil.chown(place, user)
        for above in place.parents:
            if not above.stat().st_mode & 0o001:
                above.chmod(above.stat().st_mode | 0o011)  # or the server cannot reach its files
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]

    quiet = subprocess.DEVNULL
    data = ["-D", str(place / "data")]
    who = {"user": user, "group": "nogroup"} if os.getuid() == 0 else {}
    options = {"cwd": place, "stdin": quiet, "stdout": quiet, "stderr": quiet, **who}
    made = [str(PROGRAMS[-1]), *data, "-U", "ann", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
    subprocess.run(made, check=True, timeout=60, **options)  # type: ignore[call-overload]  # who it is
    settled = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "timezone=UTC", "fsync=off"]
    command = [str(PROGRAMS[-1].with_name("postgres")), *data, "-p", str(port)]
    server = subprocess.Popen([*command, *(part for one in settled for part in ("-c", one))], **options)  # type: ignore[call-overload]  # as above
    try:
        asked = f"host=127.0.0.1 port={port} user=ann dbname=postgres"
        with eventually(lambda: psycopg.connect(asked, autocommit=True)) as connection:
            yield connection.pgconn
    finally:
        server.terminate()
        server.wait(30)


def eventually(connect: Callable[[], psycopg.Connection]) -> psycopg.Connection:
    """A connection, as soon as there is one."""
    until_s = time.monotonic() + 30
    while True:
        try:
            return connect()
        except psycopg.OperationalError:  # noqa: PERF203 - what is waited for
            if time.monotonic() > until_s:
                raise
            threading.Event().wait(0.05)


@pytest.fixture(scope="module")
def ours(served: Served) -> Iterator[pq.PGconn]:
    """A connection to the endpoint."""
    with served.connect() as connection:
        yield connection.pgconn


def said(connection: pq.PGconn, statement: str, *values: str, form: int = 0) -> object:
    """Names and cells; or the SQLSTATE."""
    answer = connection.exec_params(statement.encode(), [one.encode() for one in values], result_format=form)
    if answer.status != pq.ExecStatus.TUPLES_OK:
        return (answer.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    names = [answer.fname(column) for column in range(answer.nfields)]
    rows = [[answer.get_value(row, column) for column in range(answer.nfields)] for row in range(answer.ntuples)]
    return names, rows


@pytest.mark.parametrize("statement", SAME)
def test_it_is_the_same(theirs: pq.PGconn, ours: pq.PGconn, statement: str) -> None:
    """The same columns with the same texts, or the same SQLSTATE."""
    assert said(ours, statement) == said(theirs, statement)


TYPES = (
    "true, 1::smallint, 2, 3::bigint, 1.5::real, 2.5::float8, 1.25::numeric(9, 2), 'a', date '2026-01-01'",
    "time '10:00', timestamp '2026-01-01 10:00', timestamptz '2026-01-01 10:00:00+00', interval '1 month 2 days 03:04'",
    "array[1, null, 2], array['a b', 'c\"d', '', null], '{}'::json, '11111111-2222-3333-4444-555555555555'::uuid",
    "'\\x00ff'::bytea, null::int, ''::text, -1.0001::numeric(12, 4), 12345678.9::numeric(20, 5), array[true, false]",
)


@pytest.mark.parametrize("values", TYPES)
@pytest.mark.parametrize("form", [0, 1])
def test_cells_are_the_same(theirs: pq.PGconn, ours: pq.PGconn, values: str, form: int) -> None:
    """Each type in text and in binary, byte for byte, and its number."""
    statement = f"select {values}"
    assert said(ours, statement, form=form) == said(theirs, statement, form=form)
    kinds = [
        [answer.ftype(column) for column in range(answer.nfields)]
        for answer in (one.exec_(statement.encode()) for one in (ours, theirs))
    ]
    assert kinds[0] == kinds[1]


COPIED = "select * from (values (1, e'a\\tb\\\\', 1.5::float8, null), (-2, 'x,\"y\"', null, '')) t(i, \"T x\", f, n)"
OPTIONS = (
    "",
    "csv header",
    "(format csv, force_quote *, null 'N')",
    "(format binary)",
    "delimiter '|'",
    "csv quote ''''",
)


@pytest.mark.parametrize("options", OPTIONS)
def test_copies_are_the_same(theirs: pq.PGconn, ours: pq.PGconn, options: str) -> None:
    """Message for message."""
    assert copied(ours, options) == copied(theirs, options)


def copied(connection: pq.PGconn, options: str) -> list[bytes]:
    assert connection.exec_(f"copy ({COPIED}) to stdout {options}".encode()).status == pq.ExecStatus.COPY_OUT
    found = []
    while (answer := connection.get_copy_data(0))[0] > 0:
        found.append(bytes(answer[1]))
    while connection.get_result() is not None:
        pass
    return found


MANY = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@MANY
@given(
    st.lists(
        st.tuples(st.sampled_from(["", "FM"]), st.sampled_from(TEMPLATES), st.sampled_from(["", " ", "-", '"at"'])),
        min_size=1,
        max_size=4,
    ),
    st.datetimes(min_value=dt.datetime(1000, 1, 1)),  # noqa: DTZ001 - of a type without one
)
def test_any_template_of_times(
    theirs: pq.PGconn, ours: pq.PGconn, parts: list[tuple[str, str, str]], moment: object
) -> None:
    """As PostgreSQL has it, whatever the keys are and however they follow each other."""
    asked = "select to_char($1::timestamp, $2)", str(moment), "".join(map("".join, parts))
    assert said(ours, *asked) == said(theirs, *asked)


@MANY
@given(st.sampled_from(NUMBERS), st.sampled_from(DECIMALS), st.sampled_from(ENDS), st.decimals(-99999, 99999, places=3))
def test_any_template_of_numbers(
    theirs: pq.PGconn, ours: pq.PGconn, whole: str, decimals: str, end: str, number: object
) -> None:
    """As PostgreSQL has it."""
    if "S" in whole and end in {"MI", "S", "PR"}:
        end = ""
    asked = "select to_char($1::numeric, $2)", f"{number:f}", whole + decimals + end
    assert said(ours, *asked) == said(theirs, *asked)
