"""What `stepsize erase` leaves of reports."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from stepsize.commands.night.night import Nightly, Plan
from stepsize.store.reports import LocalShelf
from tests.nightly.site import EVERYTHING, Site, here


def erase(site: Site, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stepsize", "erase", "--flow", "TrainFlow", "--now", *arguments],
        env=site.environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_erasure_leaves_no_report(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may name what is erased; a count deletes none of them."""
    for name, text in site.measured().environment.items():
        monkeypatch.setenv(name, text)
    shelf = LocalShelf(site.data)
    with shelf.locked():
        night = Nightly(Plan(data=str(site.data), evidence=EVERYTHING), shelf, (), time.time, here)
        assert night.run().failed == ()
    latest = (site.reports / "latest").resolve()
    for left in (latest / ".report.json.abcd1234", site.reports / "..state.json.x_y_z_w0"):  # of one that was killed
        left.write_text("TrainFlow")
    assert erase(site, "--dry-run").returncode == 0
    assert (site.reports / "latest/report.json").exists()
    finished = erase(site)
    assert finished.returncode == 0, finished.stderr
    assert "1 day of nightly reports deleted" in finished.stderr
    assert [path.name for path in site.reports.iterdir()] == [".lock"]
    assert not [path for path in site.data.rglob("*") if path.is_file() and b"TrainFlow" in path.read_bytes()]
