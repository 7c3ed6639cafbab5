"""Disks that are full, fail, or write less than they were asked to: nothing is acknowledged that is not kept."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from stepsize.collector.wal.reader import read_records
from stepsize.store.manifest import WalPosition
from tests.collector.otlp import RequestBuilder, identity
from tests.collector.running import wait_for
from tests.durability.campaign import CONFIG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.collector.running import RunningCollector
    from tests.durability.site import Site

T0 = time.time_ns()
_NOTE_BYTES = 20_000


def numbered(number: int, size_bytes: int = 0) -> bytes:
    notes = {f"note{i}": "x" * _NOTE_BYTES for i in range(size_bytes // _NOTE_BYTES)}
    request = RequestBuilder(identity(str(number), **notes)).gauge("n", [(T0, number)])
    return request.gauge("stepsize.task.memory.usage", [(T0, 1)], unit="By").content()


def stored(site: Site) -> list[int]:
    return [number for (number,) in site.rows("SELECT value_int FROM points WHERE metric = 'n' ORDER BY 1")]


def refused(collector: RunningCollector, number: int) -> bool:
    """Whether a request is refused, in the way that has it sent again."""
    status, _, headers = collector.post(numbered(number))
    assert status in (200, 503)
    assert (status == 503) == ("retry-after" in headers)
    return status == 503


FAILURES = [
    ("fdatasync", errno.EIO),
    ("write", errno.ENOSPC),
    ("write", errno.EIO),
    ("write", errno.EDQUOT),
]


def test_a_log_that_cannot_be_written(site: Site) -> None:
    """What the disk may not have is refused and never seen again; the log goes on in a new segment once it can."""
    rules = [site.rule(operation, "*.wal", str(number), lasting=True) for operation, number in FAILURES]
    opening = site.rule("open", "*.wal", str(errno.ENOSPC), lasting=True)
    collector = site.collect()
    taken = []
    for round_, rule in enumerate(rules):
        taken.append(10 * round_)
        assert not refused(collector, taken[-1])
        rule.arm()
        assert refused(collector, 10 * round_ + 1)
        opening.arm()
        assert refused(collector, 10 * round_ + 2)
        rule.disarm()
        assert refused(collector, 10 * round_ + 3)
        opening.disarm()
    site.flush()
    assert stored(site) == taken
    assert collector.terminate() == 0
    assert not list(site.settings.state_dir.glob("*.wal"))


def test_writes_that_are_short(site: Site) -> None:
    """Where each write to any file does half of what it was asked for, everything is whole all the same."""
    site.rules.append(site.rule("write", "*/disk/lake/*", "short", lasting=True))
    collector = site.collect()
    site.rules[0].arm()
    for number in range(5):
        assert not refused(collector, number)
    site.flush()
    assert stored(site) == list(range(5))
    assert collector.terminate() == 0


def test_a_lake_that_is_full(site: Site) -> None:
    """While no room is left for the lake requests are taken, each once, and appear when there is room again."""
    site.config = CONFIG
    wheres = ["*/points/day=*", "*/tasks/*open/*", "*/manifests/*", "*/.views-*"]
    rules = [site.rule("write", where, str(errno.ENOSPC), lasting=True) for where in wheres]
    rules.append(site.rule("fsync", "*/lake", str(errno.ENOSPC), lasting=True))
    collector = site.collect()
    number = 0
    for rule in rules:
        rule.arm()
        before = site.said().count("No space left")
        assert not refused(collector, number)
        wait_for(lambda: site.said().count("No space left") > before, "the sink to say so")  # noqa: B023 - called in this round alone
        assert not refused(collector, number + 1)
        rule.disarm()
        number += 2
    site.flush()
    assert stored(site) == list(range(number))
    assert site.rows("SELECT count(*) FROM tasks") == [(number,)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MiB."""
    directory = tmp_path / "small"
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "stepsize-test", str(directory)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("NOT RUN: only root can mount a small disk")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)


def test_a_disk_that_fills_up(plain_site: Site, small_disk: Path) -> None:
    """The log leaves its reserve of a real disk to the sink: it fills, refuses, is emptied, and takes more again."""
    plain_site.data = small_disk / "lake"
    log = "write_ahead_log: {segment_size: 64KiB, max_size: 1GiB, min_free_size: 12MiB}"
    plain_site.config = CONFIG.replace("write_ahead_log: {segment_size: 64KiB, max_size: 64MiB}", log)
    assert log in plain_site.config
    collector = plain_site.collect()
    sink = collector.sink()
    sink.suspend()
    kept = number = 0

    def send() -> bool:
        nonlocal kept, number
        status, _, headers = collector.post(numbered(number, 200_000))
        number += 1
        kept += status == 200
        assert (status, "retry-after" in headers) in ((200, False), (503, True))
        return status == 503

    wait_for(send, "a refusal")
    assert kept > 20
    assert shutil.disk_usage(small_disk).free > 8 << 20
    sink.resume()
    full = kept
    wait_for(lambda: not send(), "room")
    plain_site.flush()
    assert kept > full
    assert plain_site.rows("SELECT count(*), count(DISTINCT task) FROM points WHERE metric = 'n'") == [(kept, kept)]
    assert collector.terminate() == 0


def test_a_log_that_may_grow_no_more(plain_site: Site) -> None:
    """While the sink is down the log grows to its bound, then clients are told to wait; nothing is lost by it."""
    plain_site.config = CONFIG.replace("max_size: 64MiB", "max_size: 256KiB")
    collector = plain_site.collect()
    sink = collector.sink()
    sink.suspend()
    number = 0

    def send() -> bool:
        nonlocal number
        status, _, _ = collector.post(numbered(number, 20_000))
        number += status == 200
        return status == 503

    wait_for(send, "a refusal")
    stored_bytes = sum(path.stat().st_size for path in plain_site.settings.state_dir.glob("*.wal"))
    assert 200_000 < stored_bytes <= 256 << 10
    sink.resume()
    wait_for(lambda: not send(), "room")
    plain_site.flush()
    assert stored(plain_site) == list(range(number))


def test_a_log_whose_directory_is_deleted(plain_site: Site) -> None:
    """What would go to a file that nobody can find any more is not acknowledged, from the first request on."""
    collector = plain_site.collect()
    assert not refused(collector, 1)
    site_wal = plain_site.settings.state_dir
    shutil.rmtree(site_wal)
    assert refused(collector, 2)
    assert collector.process.wait(20) == 0
    assert f"{site_wal} was taken away" in plain_site.said()
    again = plain_site.collect()
    assert not refused(again, 3)
    plain_site.flush()
    assert stored(plain_site)[-1] == 3


@pytest.mark.parametrize("below", ["", "/wal"])
def test_a_disk_that_is_read_only(site: Site, below: str) -> None:
    """A collector that can write nowhere says so in one line, and does not start; with a disk that can, it does."""
    (site.home / "lake").mkdir()
    for operation in ("open", "mkdir"):
        site.rule(operation, f"*/disk/lake{below}*", str(errno.EROFS), lasting=True).arm()
    assert site.try_collect() is None
    assert site.said().count("\n") == 1
    assert "Read-only file system" in site.said()
    for rule in site.rules:
        rule.disarm()
    collector = site.collect()
    assert not refused(collector, 1)
    site.flush()
    assert stored(site) == [1]


def test_the_log_itself_on_a_failing_disk(site: Site) -> None:
    """Of a failed group nothing stays in the log, of those before and after it everything, each in its place."""
    rule = site.rule("fdatasync", "*.wal", str(errno.EIO))
    collector = site.collect()
    collector.sink().suspend()
    for number in range(6):
        if number % 2:
            rule.arm()
        assert refused(collector, number) == bool(number % 2)
    found = [record.request for record, _ in read_records(site.settings.state_dir, WalPosition(), WalPosition(2**62))]
    assert found == [numbered(number) for number in (0, 2, 4)]
