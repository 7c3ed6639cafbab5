"""Nights of a lake in an object store: a real S3 server (moto's) on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from stepsize.errors import BusyError, UnavailableError
from stepsize.settings import Settings
from tests.nightly.site import Site, Told
from tests.nightly.test_erase import erase
from tests.store.s3 import URL, Server, names, of_aws, serving

pytest.importorskip("moto.server", reason="no S3 server here: pip install 'moto[server]'")
pytest.importorskip("boto3", reason="no boto3 here: pip install 'stepsize[s3]'")
shelves: Any = pytest.importorskip("stepsize.store.object_reports")
uploads: Any = pytest.importorskip("stepsize.store.upload")
objects: Any = pytest.importorskip("stepsize.store.objects")

pytestmark = pytest.mark.peers
REPORTS = "team/lake/reports/"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, Any]]:
    for name in of_aws():
        monkeypatch.delenv(name)
    with serving() as (server, client):
        for name, text in server.environment.items():
            monkeypatch.setenv(name, text)
        yield server, client


def content(client: Any, name: str) -> bytes:
    found: bytes = client.get_object(Bucket="bucket", Key=f"{REPORTS}{name}")["Body"].read()
    return found


def test_a_night_in_an_object_store(site: Site, told: Told, server: tuple[Server, Any]) -> None:
    """It reads the lake there, and its reports go there; a second start does and sends nothing."""
    running, client = server
    site.measured()
    site.variables |= running.environment
    site.variables["STEPSIZE_NOTIFY"] = told.url("chat")
    import datetime as dt  # noqa: PLC0415 - of this test alone

    uploads.upload(site.data, objects.Place.of(URL), client, dt.datetime.now(dt.timezone.utc))
    finished = site.nightly("--data", URL)
    assert (finished.returncode, finished.stderr) == (0, "")
    day = json.loads(content(client, "latest.json"))["day"]
    assert f"{URL}/reports/day={day}/report.html" in finished.stdout
    assert json.loads(content(client, f"day={day}/report.json"))[0]["flow"] == "TrainFlow"
    assert [one["kind"] for one in json.loads(content(client, f"day={day}/comparison.json"))["changes"]] == ["oom"]
    assert URL in told.messages[0][1]["message"]
    before = {name: content(client, name.removeprefix(REPORTS)) for name in names(client) if REPORTS in name}
    finished = site.nightly("--data", URL)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert "done already" in finished.stdout
    after = {name: content(client, name.removeprefix(REPORTS)) for name in before}
    changed = {name.removeprefix(REPORTS) for name in before if before[name] != after[name]}
    assert changed <= {".lease.json"}
    assert told.paths() == ["chat"]


def test_a_bucket_without_a_lake(site: Site, server: tuple[Server, Any]) -> None:
    """One line, exit code 1."""
    site.variables |= server[0].environment
    finished = site.nightly("--data", URL)
    assert finished.returncode == 1
    assert "no data in" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


def test_one_at_a_time_has_the_right_to_write(server: tuple[Server, Any]) -> None:
    """The other one is told who has it; once it is let go of, the next takes it."""
    one, other = shelves.ObjectShelf(URL), shelves.ObjectShelf(URL)
    with one.locked():
        one.keep(b"1")
        with pytest.raises(BusyError, match="is making the reports in s3://bucket/team/lake/reports"), other.locked():
            pass
    with other.locked():
        assert other.state() == b"1"


def test_who_is_not_heard_of_loses_the_right(server: tuple[Server, Any]) -> None:
    """It is taken over once its word is out, and whoever comes back writes nothing any more."""
    clock = [1000.0]
    dead, heir = (shelves.ObjectShelf(URL, 60.0, lambda: clock[0]) for _ in range(2))
    with dead.locked():
        clock[0] += 59
        with pytest.raises(BusyError), heir.locked():
            pass
        clock[0] += 2
        with heir.locked():
            heir.keep(b"heir")
            with pytest.raises(UnavailableError, match="ran out"):
                dead.keep(b"dead")
            with pytest.raises(UnavailableError, match="ran out"):
                dead.put("2026-11-22", "report.json", b"dead")
        assert heir.state() == b"heir"


def test_the_right_lasts_as_long_as_its_holder(server: tuple[Server, Any]) -> None:
    """It is renewed by itself, through an outage of the store that is short."""
    ticks = threading.Semaphore(0)
    clock = [1000.0]

    def now() -> float:
        ticks.release()
        return clock[0]

    shelf = shelves.ObjectShelf(URL, 0.4, now)
    with shelf.locked():
        for _ in range(20):
            clock[0] += 0.1
            for _ in range(2):
                assert ticks.acquire(timeout=30)
        shelf.keep(b"still")
    assert shelf.state() == b"still"


def test_an_answer_that_was_lost_costs_no_right(server: tuple[Server, Any]) -> None:
    """The store has a newer word of its holder than that knows of: it says its word anew."""
    _, client = server
    ticks = threading.Semaphore(0)
    clock = [1000.0]

    def now() -> float:
        ticks.release()
        return clock[0]

    shelf = shelves.ObjectShelf(URL, 0.4, now)
    with shelf.locked():
        word = json.loads(content(client, ".lease.json"))
        word["until_s"] += 0.01
        client.put_object(Bucket="bucket", Key=f"{REPORTS}.lease.json", Body=json.dumps(word).encode())
        for _ in range(6):
            clock[0] += 0.1
            for _ in range(2):
                assert ticks.acquire(timeout=30)
        shelf.keep(b"still")
    assert shelf.state() == b"still"


def test_erasure_leaves_no_report_there(site: Site, server: tuple[Server, Any]) -> None:
    """In the store that is named, or that the environment brings the lake to."""
    running, client = server
    site.measured()
    site.variables |= running.environment
    shelf = shelves.ObjectShelf(URL)
    for arguments, variables in (
        (["--store", URL], {}),
        ([], {"STEPSIZE_DATA": URL, "STEPSIZE_STATE": str(site.data.parent / "state")}),
    ):
        with shelf.locked():
            shelf.put("2026-11-22", "report.json", b"TrainFlow")
            shelf.link("2026-11-22")
            shelf.keep(b"TrainFlow")
        lake = site.data
        if variables:
            lake = Settings.load(environ=variables).data
            lake.parent.mkdir()
            site.data.rename(lake)
        site.variables |= variables
        finished = erase(site, "--data", str(lake), *arguments)
        assert finished.returncode == 0, finished.stderr
        assert "1 day of nightly reports deleted" in finished.stderr
        assert [name for name in names(client) if REPORTS in name] == [f"{REPORTS}.lease.json"]
