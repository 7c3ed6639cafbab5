"""Reports of a lake in an object store on the live page: a real collector, a real S3 server that is away at times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.collector.running import wait_for
from tests.live.conftest import get
from tests.places import short_directory

pytest.importorskip("moto.server", reason="no S3 server here: pip install 'moto[server]'")
pytest.importorskip("boto3", reason="no boto3 here: pip install 'stepsize[s3]'")

from tests.store.s3 import serving
from tests.store.test_collector_on_s3 import StorePlace

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.peers]
REPORT = "/live/reports/2026-11-20/report.html"


def test_reports_are_read_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are listed and shown; what is too large is not; a store that is away delays nothing and is told."""
    with serving() as (server, client), short_directory() as runtime:
        for name, text in server.environment.items():
            monkeypatch.setenv(name, text)
        for name, content in (("report.html", b"<title>r</title>"), ("comparison.html", b"x" * ((16 << 20) + 1))):
            client.put_object(Bucket="bucket", Key=f"team/lake/reports/day=2026-11-20/{name}", Body=content)
        place = StorePlace(tmp_path, runtime)
        try:
            collector = place.collect()
            wait_for(lambda: f'href="{REPORT}"' in get(collector).text, "the list")
            assert get(collector, REPORT).text == "<title>r</title>"
            assert "larger than 16 MiB" in get(collector, REPORT.replace("report.h", "comparison.h")).text
            assert get(collector, REPORT.replace("11-20", "11-21")).status == 404
            server.stop()
            wait_for(lambda: get(collector, REPORT).status == 503, "a word on it, once what was kept is old")
            assert "is not there now" in get(collector, REPORT).text
            assert f'href="{REPORT}"' in get(collector).text
        finally:
            place.close()
