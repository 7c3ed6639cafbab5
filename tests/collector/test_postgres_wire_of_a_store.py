"""The extension ``postgres_wire`` of a collector whose lake is in an object store (a real S3 server)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.collector.otlp import RequestBuilder, identity
from tests.places import short_directory

pytest.importorskip("moto.server", reason="no S3 server here: pip install 'moto[server]'")
pytest.importorskip("boto3", reason="no boto3 here: pip install 'stepsize[s3]'")

from tests.store.s3 import serving
from tests.store.test_collector_on_s3 import StorePlace

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.peers]
CONFIG = """
receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:0"}}}}
exporters: {parquet: {}}
extensions: {postgres_wire: {endpoint: "127.0.0.1:0"}}
service: {extensions: [postgres_wire], pipelines: {metrics: {receivers: [otlp], exporters: [parquet]}}}
"""


def test_what_a_collector_brings_there_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From where it lies before it is brought: a store that is away takes nothing from it."""
    with serving() as (server, _), short_directory() as runtime:
        for name, text in server.environment.items():
            monkeypatch.setenv(name, text)
        place = StorePlace(tmp_path, runtime)
        try:
            collector = place.collect(CONFIG)
            assert collector.post(RequestBuilder(identity()).gauge("loss", [(10**18, 1.5)]).content())[0] == 200
            collector.flush()
            server.stop()
            port = re.search(r"SQL on postgresql://127.0.0.1:(\d+)/", collector.line)
            assert port, collector.line
            with psycopg.connect(f"host=127.0.0.1 port={port[1]} user=ann dbname=stepsize") as connection:
                assert connection.execute("select metric, value from points").fetchall() == [("loss", 1.5)]
        finally:
            place.close()
