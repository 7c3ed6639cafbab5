"""A lake of an older stepsize becomes one of today."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from stepsize.collector.upkeep.tend import tend
from stepsize.errors import LakeError
from stepsize.store.lake import Lake
from stepsize.store.layout import SCHEMA_VERSION
from stepsize.store.manifest import read_manifests
from stepsize.store.migrate import migrate
from stepsize.store.retention import Retention

OLD = Path(__file__).with_name("lake_of_schema_1.zip")
"""Left by stepsize of 7f9cff2: two tasks of ten samples, one ended; a histogram; files of levels 0 and 1."""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    with zipfile.ZipFile(OLD) as archive:
        archive.extractall(tmp_path / "lake")
    return tmp_path / "lake"


def rows(data: Path) -> list[tuple[object, ...]]:
    with Lake(data).connect() as connection:
        return [
            *connection.execute("SELECT metric, task, time, value FROM points ORDER BY ALL").fetchall(),
            *connection.execute("SELECT task, outcome, memory_peak_bytes, samples FROM tasks ORDER BY ALL").fetchall(),
            *connection.execute("SELECT task, count, bucket_counts FROM histograms ORDER BY ALL").fetchall(),
        ]


def test_an_older_lake_is_migrated(old: Path) -> None:
    """Its rows are all there, it can be compacted, and it says of itself and of each manifest that it is of today: an
    older stepsize refuses the one at its start, the other where it runs already (it knows format 1 alone)."""
    Lake(old).create()
    assert {json.loads(path.read_text())["version"] for path in old.glob("manifests/*.json")} == {2}
    assert json.loads((old / "schema.json").read_text()) == {"schema_version": SCHEMA_VERSION}
    found = rows(old)
    assert len(found) == 41 + 2 + 2
    assert found[41:43] == [("1", "ok", 1009, 10), ("2", None, 1009, 10)]
    Lake(old).create()
    tend(old, Retention(), 0.0)
    assert [one.rows for one in read_manifests(old)[0].files if one.table == "points"] == [41]
    assert rows(old) == found


def test_a_migration_that_was_killed_is_done_again(old: Path) -> None:
    """Between the manifests and the version: the lake still says that it is old, and becomes one of today."""
    version = (old / "schema.json").read_bytes()
    Lake(old).create()
    found = rows(old)
    (old / "schema.json").write_bytes(version)
    Lake(old).create()
    assert rows(old) == found
    assert json.loads((old / "schema.json").read_text()) == {"schema_version": SCHEMA_VERSION}


@pytest.mark.parametrize("version", [0, -1, True, 1.5, "2"])
def test_what_is_no_version_is_refused(old: Path, version: object) -> None:
    """Nothing is guessed."""
    (old / "schema.json").write_text(json.dumps({"schema_version": version}))
    with pytest.raises(LakeError, match=r"schema\.json"):
        Lake(old).create()


def test_who_waited_while_another_migrated_leaves_it_at_that(old: Path) -> None:
    """It saw an old lake, and by its turn writers have committed: no manifest is written by anybody but its writer."""
    Lake(old).create()
    before = {path: path.stat().st_ino for path in old.glob("manifests/*.json")}
    migrate(old, 1)
    assert {path: path.stat().st_ino for path in before} == before
