"""``stepsize sql``: SQL over the lake: a query's rows, or an endpoint that clients of Postgres connect to.

What comes in: a query as an argument or on standard input, or how to serve. What goes out: rows on standard output; or,
serving, one line on standard error once it listens, until SIGTERM or SIGINT. Never changes the lake.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stepsize.errors import UsageError
from stepsize.settings import Settings
from stepsize.sizes import parse_size

if TYPE_CHECKING:
    from stepsize.postgres.instance import Limits
    from stepsize.postgres.lake_views import LakeViews

_PATH = click.Path(path_type=Path)
_FORMATS = ("table", "json", "csv", "markdown")


@click.command("sql")
@click.argument("query", required=False)
@click.option("--format", "form", type=click.Choice(_FORMATS), default="table", show_default=True)
@click.option("--data", metavar="DIR", help="The lake's directory. [STEPSIZE_DATA, default ~/.stepsize]")
@click.option(
    "--memory",
    type=parse_size,
    metavar="SIZE",
    default="1GiB",
    show_default=True,
    help="What all queries together hold in memory; four times as much may lie on disk, below TMPDIR.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True, max=86_400),
    default=60.0,
    show_default=True,
    help="Seconds that a query may take, until its last row is read.",
)
@click.option("--serve", is_flag=True, help="Serve clients of Postgres until SIGTERM or SIGINT.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; with --serve, as what follows.")
@click.option("--port", type=click.IntRange(0, 65_535), default=5433, show_default=True, help="0: any that is free.")
@click.option(
    "--users", type=_PATH, help="Who may connect: lines of --hash-password. Without it whoever can connect may."
)
@click.option("--tls-cert", type=_PATH, help="Certificate to encrypt with; read again when it changes.")
@click.option("--tls-key", type=_PATH, help="Its key.")
@click.option(
    "--max-connections",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="Clients at a time.",
)
@click.option(
    "--hash-password", "user", metavar="USER", help="Read a password, write USER's line for --users, and end."
)
def command(
    *,
    query: str | None,
    form: str,
    data: str | None,
    memory: int,
    timeout_s: float,
    serve: bool,
    host: str,
    port: int,
    users: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    max_connections: int,
    user: str | None,
) -> None:
    """Ask the lake in SQL, or serve it to clients of Postgres.

    Without QUERY it is read from standard input. Only statements that read are run.
    """
    if user is not None:
        _hash_password(user)
        return
    from stepsize.postgres.instance import Limits  # noqa: PLC0415 - heavy, and help needs none of it

    limits = Limits.within(memory, timeout_s)
    settings = Settings.load(data=data)
    if not serve:
        _ask(settings, query, form, limits)
        return
    if query is not None:
        raise UsageError("--serve takes no query: its clients send theirs")
    from stepsize.listening.tls import TlsFiles  # noqa: PLC0415 - as above
    from stepsize.postgres.serving import Endpoint  # noqa: PLC0415 - as above

    if (tls_cert is None) != (tls_key is None):
        raise UsageError("--tls-cert and --tls-key go together: give both")
    endpoint = Endpoint(
        host=host,
        port=port,
        users=users,
        tls=TlsFiles(tls_cert, tls_key) if tls_cert and tls_key else None,
        connections=max_connections,
        limits=limits,
        is_alone=True,
    )
    _serve(endpoint.checked(), settings)


def _views(settings: Settings) -> LakeViews:
    from stepsize.postgres.lake_views import LocalViews, StoreViews  # noqa: PLC0415 - as above

    if settings.store is not None:
        from stepsize.store.objects import ObjectLake  # noqa: PLC0415 - as above

        return StoreViews(ObjectLake(settings.store))
    return LocalViews(settings.data)


def _ask(settings: Settings, query: str | None, form: str, limits: Limits) -> None:
    from stepsize.commands.settle import settle  # noqa: PLC0415 - as above
    from stepsize.postgres.answer import answer  # noqa: PLC0415 - as above
    from stepsize.postgres.engine import Engine  # noqa: PLC0415 - as above

    text = sys.stdin.read() if query is None else query
    if not text.strip():
        raise UsageError('no query: give one as an argument ("select …") or on standard input')
    for line in settle(settings, remote=True):
        click.echo(f"stepsize: {line}", err=True)
    engine = Engine(_views(settings), limits)
    try:
        for piece in answer(engine, text, form):
            click.echo(piece, nl=False)
    finally:
        engine.close()


def _serve(endpoint: object, settings: Settings) -> None:
    from stepsize.postgres.serving import Endpoint, listen  # noqa: PLC0415 - as above

    assert isinstance(endpoint, Endpoint)
    settings.here("stepsize sql --serve")
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    server = listen(endpoint, _views(settings), lambda line: click.echo(f"stepsize sql: {line}", err=True))
    server.start()
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    click.echo(f"stepsize sql: postgresql://{host}:{server.port}/stepsize; lake in {settings.data}", err=True)
    ended.wait()
    server.close()


def _hash_password(user: str) -> None:
    from stepsize.listening.users import Verifier  # noqa: PLC0415 - as above

    if not user.strip() or not user.isprintable() or user.startswith("#"):
        raise UsageError("--hash-password takes the name of a user")
    if sys.stdin.isatty():
        password = str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise UsageError("no password: write it on standard input")
    click.echo(f"{user}:{Verifier.of(password)}")
