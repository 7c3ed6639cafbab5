"""What `stepsize erase` leaves of reports."""

from __future__ import annotations

import subprocess
import sys

from tests.nightly.site import Site


def erase(site: Site, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stepsize", "erase", "--flow", "TrainFlow", "--now", *arguments],
        env=site.environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_erasure_leaves_no_report(site: Site) -> None:
    """They may name what is erased; a count deletes none of them."""
    assert site.measured().nightly().returncode == 0
    assert erase(site, "--dry-run").returncode == 0
    assert (site.reports / "latest/report.json").exists()
    finished = erase(site)
    assert finished.returncode == 0, finished.stderr
    assert "1 day of nightly reports deleted" in finished.stderr
    assert [path.name for path in site.reports.iterdir()] == [".lock"]
    assert not [path for path in site.data.rglob("*") if path.is_file() and b"TrainFlow" in path.read_bytes()]
