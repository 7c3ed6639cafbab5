"""``stepsize upload``: a local lake brought to an object store, where reports read it.

What comes in: a data directory and an address. What goes out: a line that says what was sent.
"""

from __future__ import annotations

import datetime as dt
import os

import click

from stepsize.settings import Settings


@click.command("upload")
@click.argument("url", metavar="s3://BUCKET/PREFIX")
@click.option("--data", metavar="DIR", help="The lake's directory. [STEPSIZE_DATA, default ~/.stepsize]")
def command(url: str, data: str | None) -> None:
    """Bring the lake to an object store as it is now, for `stepsize report --data s3://BUCKET/PREFIX`.

    Sends what is new and deletes what has been replaced; run it again whenever the store is to follow. Several machines
    may bring their lakes to one place. Region, credentials and endpoint are AWS's own (AWS_REGION, AWS_PROFILE,
    AWS_ENDPOINT_URL and so on).
    """
    from stepsize.store.bucket import connect  # noqa: PLC0415 - heavy, as is what follows
    from stepsize.store.objects import Place  # noqa: PLC0415 - as above
    from stepsize.store.upload import upload  # noqa: PLC0415 - as above

    place = Place.of(url)
    client = connect(place, os.environ)
    done = upload(Settings.load(data=data).here("upload"), place, client, dt.datetime.now(dt.timezone.utc))
    click.echo(
        f"{done.sent} files sent ({done.sent_bytes / 1e6:.1f} MB), {done.there} were there, {done.deleted} deleted"
    )
