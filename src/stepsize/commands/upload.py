"""``stepsize upload``: a local lake brought to an object store, where reports read it.

What comes in: a data directory and an address. What goes out: a line that says what was sent.
"""

from __future__ import annotations

import datetime as dt
import importlib.util
import os

import click

from stepsize.errors import UsageError
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
    if importlib.util.find_spec("boto3") is None:
        raise UsageError("upload needs a package that is not here: pip install 'stepsize[s3]'")
    import boto3  # noqa: PLC0415 - an extra, and heavy

    from stepsize.store.objects import Place, endpoint  # noqa: PLC0415 - after what it needs was looked for
    from stepsize.store.upload import upload  # noqa: PLC0415 - as above

    place = Place.of(url)
    client = boto3.client("s3", endpoint_url=endpoint(os.environ))
    done = upload(Settings.load(data=data).data, place, client, dt.datetime.now(dt.timezone.utc))
    click.echo(
        f"{done.sent} files sent ({done.sent_bytes / 1e6:.1f} MB), {done.there} were there, {done.deleted} deleted"
    )
