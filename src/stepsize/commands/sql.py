"""``stepsize sql``: SQL over the lake, as a Postgres server answers it.

What comes in: options. What goes out: rows, or an endpoint that serves until SIGTERM or SIGINT.
"""

from __future__ import annotations

import signal
import threading

import click

from stepsize.settings import Settings


@click.command("sql")
@click.option("--serve", is_flag=True, help="Serve Postgres clients until the end.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65_535), default=5433, show_default=True, help="0: any that is free.")
@click.option("--data", metavar="DIR", help="The lake's directory. [STEPSIZE_DATA, default ~/.stepsize]")
def command(serve: bool, host: str, port: int, data: str | None) -> None:
    """Ask the lake in SQL, or serve it to Postgres clients."""
    from stepsize.postgres.engine import Engine  # noqa: PLC0415 - heavy, and help needs none of it
    from stepsize.postgres.instance import Limits  # noqa: PLC0415 - heavy, and help needs none of it
    from stepsize.postgres.lake_views import LocalViews  # noqa: PLC0415 - as above
    from stepsize.postgres.server import Server, Serving  # noqa: PLC0415 - as above

    del serve
    settings = Settings.load(data=data)
    server = Server(Engine(LocalViews(settings.data), Limits()), Serving(host=host, port=port))
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    server.start()
    click.echo(f"stepsize sql: postgresql://{host}:{server.port}/stepsize", err=True)
    ended.wait()
    server.close()
