"""A real S3 server (moto's) on loopback, which can be away for a while."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

URL = "s3://bucket/team/lake"
NOW = dt.datetime.now(dt.timezone.utc)


class Server:
    """One server; what is in it outlives :meth:`stop`."""

    def __init__(self) -> None:
        self._port = 0
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        """What AWS's clients read."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> None:
        """Listen, where it did before if it has been stopped."""
        from moto.server import ThreadedMotoServer  # noqa: PLC0415 - not in every environment

        self._server: Any = ThreadedMotoServer(ip_address="127.0.0.1", port=self._port, verbose=False)
        self._server.start()
        _, self._port = self._server.get_host_and_port()

    def stop(self) -> None:
        """Be away."""
        self._server.stop()


@contextlib.contextmanager
def serving() -> Iterator[tuple[Server, Any]]:
    """A server, and a client of its one bucket."""
    import boto3  # noqa: PLC0415 - not in every environment

    server = Server()
    client = boto3.client(
        "s3",
        endpoint_url=server.environment["AWS_ENDPOINT_URL"],
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        region_name="us-east-1",
    )
    # moto's stores outlive its servers: what an upload that was cut off still wrote after the last test goes first.
    reset = f"{server.environment['AWS_ENDPOINT_URL']}/moto-api/reset"
    urllib.request.urlopen(urllib.request.Request(reset, method="POST")).close()
    client.create_bucket(Bucket="bucket")
    try:
        yield server, client
    finally:
        server.stop()


def names(client: Any) -> list[str]:
    """Every object."""
    return [one["Key"] for one in client.list_objects_v2(Bucket="bucket").get("Contents", ())]


def of_aws() -> list[str]:
    """Variables of this process that AWS's clients would read."""
    return [name for name in os.environ if name.startswith("AWS_")]
