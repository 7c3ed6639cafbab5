"""A lake in an object store, asked in SQL (a real S3 server)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stepsize.errors import LakeError
from stepsize.postgres.answer import answer
from stepsize.postgres.engine import Engine
from stepsize.postgres.instance import Limits
from stepsize.postgres.lake_views import StoreViews
from stepsize.store.bucket import connect
from stepsize.store.objects import ObjectLake, Place

pytest.importorskip("moto.server", reason="no S3 server here: pip install 'moto[server]'")
pytest.importorskip("boto3", reason="no boto3 here: pip install 'stepsize[s3]'")

from stepsize.postgres.errors import SqlError
from stepsize.store.upload import upload
from tests.store.s3 import NOW, URL, serving

ASKED = {
    "select count(*) n, max(memory_peak_bytes) most from tasks where flow = 'Train'": "n,most\n30,1000000002\n",
    "select count(*) n from points where day > date '2026-01-01'": "n\n5000\n",
    "select count(*) n from information_schema.tables where table_schema = 'public'": "n\n6\n",
}


def test_it_is_asked_where_it_lies(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same SQL and rows as of a lake here; and no file of this machine, nor any other object."""
    with serving() as (server, _):
        for name, text in server.environment.items():
            monkeypatch.setenv(name, text)
        with pytest.raises(LakeError, match="no data in s3://"):
            StoreViews(ObjectLake(URL))
        place = Place.of(URL)
        upload(lake, place, connect(place, os.environ), NOW)
        engine = Engine(StoreViews(ObjectLake(URL)), Limits())
        try:
            for query, rows in ASKED.items():
                assert "".join(answer(engine, query, "csv")) == rows
            for query in ("select * from read_text('/etc/hostname')", f"select * from read_text('{URL}/schema.json')"):
                with pytest.raises(SqlError):
                    "".join(answer(engine, query, "csv"))
            server.stop()
            with pytest.raises(SqlError) as failed:
                "".join(answer(engine, "select sum(cpu_seconds) from tasks", "csv"))
            assert "\n" not in str(failed.value)
        finally:
            engine.close()
