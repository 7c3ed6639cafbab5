"""Points of remote steps without a collector: left in Metaflow's datastore, taken from there by reports."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stepsize.commands.remote_points import datastore_of
from stepsize.commands.settle import settle
from stepsize.errors import ConfigError, UnavailableError
from stepsize.instrumentation.agent.datastore import Datastore
from stepsize.instrumentation.agent.delivery import Delivery, Encoding, Request
from stepsize.settings import Settings
from stepsize.store.lake import Lake

if TYPE_CHECKING:
    from tests.instrumentation.conftest import Place

POD = {"MF_PATHSPEC": "Flow/1/step/t"}


@pytest.fixture(autouse=True)
def no_metaflow_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("METAFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("METAFLOW_HOME", str(tmp_path / "metaflowconfig"))


def _left(root: Path) -> list[Path]:
    return sorted((root / "stepsize").rglob("*.gz"))


def _rows(settings: Settings) -> list[tuple[str, str, float]]:
    with Lake(settings.data).reading() as connection:
        return connection.sql("SELECT task, outcome, cpu_seconds FROM tasks ORDER BY task").fetchall()


def _run_remotely(place: Place, root: Path, name: str) -> Settings:
    """A task in a pod whose flow has this datastore, the end of which waits until its points are there."""
    settings = place.settings(datastore=f"local:{root}", remote=True, agent_idle_s=0.3)
    settings = settings._replace(data=place.home / "pod")
    spin = "e = time.process_time() + 0.2\nwhile time.process_time() < e: pass\n"
    assert place.run(settings, name, spin, env={**POD, "HOME": str(place.home)}).returncode == 0
    return settings


def test_a_remote_step_without_an_endpoint_is_in_the_next_report(place: Place, tmp_path: Path) -> None:
    """Its points wait in the datastore until a report takes them, each once, however often it is asked for."""
    root = tmp_path / "bucket"
    root.mkdir()
    pod = _run_remotely(place, root, "t")
    assert _left(root)
    assert not pod.data.exists()
    here = place.settings(datastore=f"local:{root}")
    assert settle(here, 30.0, remote=True) == []
    ((task, outcome, cpu_seconds),) = _rows(here)
    assert (task, outcome) == ("t", "ok")
    assert 0.19 <= cpu_seconds < 1.0
    files = _left(root)
    assert settle(here, 30.0, remote=True) == []
    _run_remotely(place, root, "u")
    assert settle(here, 30.0, remote=True) == []
    assert [row[:2] for row in _rows(here)] == [("t", "ok"), ("u", "ok")]
    with Lake(here.data).reading() as connection:
        query = "SELECT count(*), count(DISTINCT (metric, time, attributes)) FROM points WHERE task = 't'"
        ((points, different),) = connection.sql(query).fetchall()
    assert points == different
    assert set(files) < set(_left(root))


def test_what_cannot_be_taken_is_said_and_fails_nothing(place: Place, tmp_path: Path) -> None:
    """A damaged object is passed over; a datastore of a type that nobody knows is a line."""
    root = tmp_path / "bucket"
    store = Datastore(f"local:{root}")
    assert store.send(Request(b"not OTLP", 1)).delivery is Delivery.TAKEN
    (path,) = _left(root)
    path.with_name("00000000000000000001-x.pb.gz").write_bytes(gzip.compress(b"whole")[:-6])
    here = place.settings(datastore=f"local:{root}")
    assert settle(here, 30.0, remote=True) == []
    (tmp_path / "file").touch()
    (line,) = settle(place.settings(datastore=f"local:{tmp_path / 'file'}"), 30.0, remote=True)
    assert "remote tasks may be missing" in line


def test_what_is_left_can_be_read_again(tmp_path: Path) -> None:
    """Requests come back to the byte, in protobuf and JSON; a datastore in which nobody left anything has no days."""
    store = Datastore(f"local:{tmp_path}")
    assert store.days() == []
    requests = [Request(b"one", 3), Request(b"{}", 2, Encoding.JSON)]
    for request in requests:
        assert store.send(request).delivery is Delivery.TAKEN
    (day,) = store.days()
    found = list(store.requests(day, store.objects(day)))
    assert [(request.body, request.encoding) for _, request in found if request] == [
        (request.body, request.encoding) for request in requests
    ]
    with pytest.raises(UnavailableError, match="knows no datastore"):
        Datastore("tape:/dev/st0")


def test_a_datastore_that_cannot_be_written_keeps_the_points(tmp_path: Path) -> None:
    """They are left later."""
    (tmp_path / "file").touch()
    answer = Datastore(f"local:{tmp_path / 'file'}").send(Request(b"one", 1))
    assert answer.delivery is Delivery.LATER
    assert answer.reason


def test_where_points_are_left_and_looked_for() -> None:
    """In pods as Metaflow's variables say, unless an endpoint is set or it is switched off."""
    own = {"METAFLOW_DEFAULT_DATASTORE": "s3", "METAFLOW_DATASTORE_SYSROOT_S3": "s3://b/x"}
    pod = Settings.load({**own, **POD})
    assert pod.uses_datastore
    assert pod.datastore == "s3:s3://b/x"
    assert pod.destination == "datastore s3:s3://b/x"
    assert not Settings.load(own).uses_datastore
    assert not Settings.load({**own, **POD, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1"}).uses_datastore
    assert not Settings.load({**own, **POD, "STEPSIZE_DATASTORE": "off"}).uses_datastore
    assert Settings.load({**POD, "STEPSIZE_DATASTORE": "gs:gs://c"}).datastore == "gs:gs://c"
    with pytest.raises(ConfigError, match="STEPSIZE_DATASTORE"):
        Settings.load({"STEPSIZE_DATASTORE": "tape:/dev/st0"})


def test_reports_look_where_metaflow_is_configured_to_keep_its_data(tmp_path: Path) -> None:
    """A launcher's configuration is a file as often as variables; a datastore of this machine alone is none."""
    environ = {"METAFLOW_HOME": str(tmp_path)}
    assert datastore_of(Settings.load(environ), environ) is None
    content = {"METAFLOW_DEFAULT_DATASTORE": "azure", "METAFLOW_DATASTORE_SYSROOT_AZURE": "container/x"}
    (tmp_path / "config.json").write_text(json.dumps(content))
    assert datastore_of(Settings.load(environ), environ) == "azure:container/x"
    off = {**environ, "STEPSIZE_DATASTORE": "off"}
    assert datastore_of(Settings.load(off), off) is None
    (tmp_path / "config_team.json").write_text(json.dumps({"METAFLOW_DEFAULT_DATASTORE": "local"}))
    team = {**environ, "METAFLOW_PROFILE": "team"}
    assert datastore_of(Settings.load(team), team) is None
