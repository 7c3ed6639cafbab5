"""Killed at each stage: the next start goes on, nothing is done or sent twice that was noted, all of it is there."""

from __future__ import annotations

import errno
import signal
import threading
from pathlib import Path

import pytest

from tests.durability.faults import Rule, environment
from tests.nightly.site import Site, Told

STAGES = ["begun", "compact", "report", "one told", "two told", "tried", "notify", "tidy"]
"""What the state says, one after another."""
NAMES = ("report.json", "report.html", "report.md", "comparison.json", "steps.json", "report.parquet")


def faulty(site: Site, library: Path, told: Told, *rules: Rule) -> dict[str, str]:
    notify = f"{told.url('one')} {told.url('two')}"
    return {**environment(library, site.data, list(rules)), "STEPSIZE_NOTIFY": notify}


def test_killed_after_each_note_of_a_stage(site: Site, library: Path, told: Told, tmp_path: Path) -> None:
    """Start after start, each killed once it has come one stage further: each address is told once."""
    site.measured()
    token = tmp_path / "token"
    rule = Rule("rename", "*/.state.json", "kill-after", token, nth="2")
    kills = 0
    while True:
        token.touch()
        finished = site.nightly(**faulty(site, library, told, rule))
        if finished.returncode == 0:
            break
        assert finished.returncode == -signal.SIGKILL, finished.stderr
        kills += 1
        assert kills < len(STAGES)
    assert kills == len(STAGES) - 1
    assert told.paths() == ["one", "two"]
    assert set(NAMES) <= {path.name for path in (site.reports / "latest").iterdir()}
    assert site.state()["night"]["done"] == ["compact", "report", "notify", "tidy"]


@pytest.mark.soak
@pytest.mark.parametrize("pattern", [f"*/{name}" for name in ("latest", ".state.json", *NAMES)])
def test_killed_before_what_was_made_is_there(
    site: Site, library: Path, told: Told, tmp_path: Path, pattern: str
) -> None:
    """The link is there only once all of its files are; the next start makes them."""
    site.measured()
    rule = Rule("rename", pattern, "kill", tmp_path / "token", nth="1")
    rule.arm()
    assert site.nightly(**faulty(site, library, told, rule)).returncode == -signal.SIGKILL
    assert not (site.reports / "latest").exists()
    assert told.messages == []
    assert site.nightly(**faulty(site, library, told)).returncode == 0
    assert set(NAMES) <= {path.name for path in (site.reports / "latest").iterdir()}
    assert not (site.reports / ".making").exists()
    left = {path.name for path in site.reports.rglob(".*")}
    assert left == {".lock", ".state.json"}
    assert told.paths() == ["one", "two"]


def test_killed_while_it_tells_somebody(site: Site, told: Told) -> None:
    """What it had started ends with it, and lets go of the lock; who was told is not told again."""
    site.measured()
    told.held["two"] = threading.Event()
    with site.start(STEPSIZE_NOTIFY=f"{told.url('one')} {told.url('two')}") as process:
        for _ in range(2):
            assert told.arrived.acquire(timeout=60)
        process.kill()
    assert told.left.acquire(timeout=30)  # who waited for an answer has gone
    told.held["two"].set()
    assert site.nightly(STEPSIZE_NOTIFY=f"{told.url('one')} {told.url('two')}").returncode == 0
    assert told.paths() == ["one", "two"]


@pytest.mark.soak
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_is_full_or_fails_is_one_line(
    site: Site, library: Path, told: Told, tmp_path: Path, error: int
) -> None:
    """Exit code 1; the next start goes on."""
    site.measured()
    rule = Rule("write", "*/reports/day=*", str(error), tmp_path / "token")
    rule.arm()
    finished = site.nightly(**faulty(site, library, told, rule))
    assert finished.returncode == 1
    assert finished.stderr.startswith("stepsize nightly: report: cannot keep reports: ")
    assert len(finished.stderr.splitlines()) == 1
    assert site.nightly(**faulty(site, library, told)).returncode == 0
    assert told.paths() == ["one", "two"]
