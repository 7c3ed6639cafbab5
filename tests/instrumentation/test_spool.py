"""What waits on disk: whole, bounded, sent by one agent, and none the worse for a crash or a full disk."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.instrumentation import client
from stepsize.instrumentation.agent.delivery import Encoding, Request
from stepsize.instrumentation.agent.spool import Spool
from stepsize.instrumentation.agent.spools import directory_of, pending_points
from tests.instrumentation.conftest import end_agent, status, stop_agent, wait_until
from tests.instrumentation.receiver import http_receiver
from tests.places import short_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.instrumentation.conftest import Place, end_agent

ROOMY = 1 << 20
DAY_S = 86_400


def _drain(spool: Spool) -> list[Request]:
    found = []
    while (spooled := spool.oldest()) is not None:
        found.append(spooled.request)
        spool.remove(spooled)
    return found


def _noise(size: int, points: int = 1) -> Request:
    return Request(os.urandom(size), points)


@given(st.lists(st.tuples(st.binary(max_size=300), st.integers(0, 9), st.sampled_from(Encoding)), max_size=5))
def test_what_goes_in_comes_out_the_same_oldest_first(contents: list[tuple[bytes, int, Encoding]]) -> None:
    """To the byte, for the agent that put it there or for the next one."""
    requests = [Request(*content) for content in contents]
    with short_directory() as directory:
        first = Spool(directory / "spool", ROOMY)
        for request in requests[:3]:
            first.add(request)
        first.release()
        second = Spool(directory / "spool", ROOMY)
        for request in requests[3:]:
            second.add(request)
        second.look()
        assert second.points == sum(request.points for request in requests)
        assert _drain(second) == requests
        assert second.points == 0


def test_parts_take_the_place_of_the_whole(tmp_path: Path) -> None:
    """They are as old as it was and go before what came later, for the next agent too; with no room, it stays."""
    now = [1.0]
    spool = Spool(tmp_path / "spool", ROOMY, max_age_s=10, now_unix_s=lambda: now[0])
    whole, later, parts = _noise(100, 7), _noise(10, 1), [_noise(50, 4), _noise(50, 3)]
    spool.add(whole)
    now[0] = 9.0
    spool.add(later)
    oldest = spool.oldest()
    assert oldest is not None
    spool.replace(oldest, parts)
    assert spool.points == 8
    spool.release()
    following = Spool(tmp_path / "spool", ROOMY, max_age_s=10, now_unix_s=lambda: now[0])
    following.look()
    assert _drain(following) == [*parts, later]
    assert following.points == 0


def test_parts_that_do_not_fit_leave_the_whole(tiny_disk: Path) -> None:
    """All or none: no part is on disk beside what it is a part of."""
    spool = Spool(tiny_disk / "spool", ROOMY)
    whole = _noise(20_000, 2)
    spool.add(whole)
    oldest = spool.oldest()
    assert oldest is not None
    with pytest.raises(OSError, match="No space left"):
        spool.replace(oldest, [_noise(20_000), _noise(40_000)])
    assert spool.points == 2
    assert _drain(spool) == [whole]


def test_what_a_killed_agent_was_writing_is_cleared_once_it_is_old(tmp_path: Path) -> None:
    """By the spool's own clock; what another agent is about to finish is left alone, and requests are too."""
    directory = tmp_path / "spool"
    first = Spool(directory, ROOMY)
    first.add(_noise(10))
    first.release()
    (name,) = (path.name for path in directory.glob("*.gz"))
    half = directory / f".{name}.abcdefgh"
    for older_s, left in ((1800, True), (7200, False)):
        half.touch()
        now_unix_s = half.stat().st_mtime + older_s
        spool = Spool(directory, ROOMY, now_unix_s=lambda now_unix_s=now_unix_s: now_unix_s)
        spool.look()
        spool.release()
        assert half.exists() is left
    assert (directory / name).exists()


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    """The directory and its files are its user's alone."""
    spool = Spool(tmp_path / "a" / "spool", ROOMY)
    spool.add(_noise(10))
    assert (tmp_path / "a" / "spool").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "a" / "spool").iterdir())


def test_the_oldest_give_way_at_the_bound_of_bytes(tmp_path: Path) -> None:
    """What does not fit any more is counted; one that never fits drops nothing else."""
    spool = Spool(tmp_path / "spool", 10_000)
    requests = [_noise(3_000, points) for points in (1, 2, 4, 8)]
    for request in requests:
        spool.add(request)
    spool.add(_noise(20_000, 100))
    assert spool.dropped_points == 101
    assert spool.points == 14
    assert _drain(spool) == requests[1:]
    assert sum(path.stat().st_size for path in (tmp_path / "spool").glob("*.gz")) <= 10_000


def test_the_oldest_give_way_at_the_bound_of_age(tmp_path: Path) -> None:
    """What nobody took for a fortnight is dropped and counted."""
    now = [0.0]
    spool = Spool(tmp_path / "spool", ROOMY, max_age_s=14 * DAY_S, now_unix_s=lambda: now[0])
    spool.add(_noise(10, 1))
    now[0] = 10 * DAY_S
    spool.add(_noise(10, 2))
    now[0] = 15 * DAY_S
    spool.look()
    assert (spool.points, spool.dropped_points) == (2, 1)


def test_one_agent_takes_out_at_a_time(tmp_path: Path) -> None:
    """Another one may add, and takes over once the first has let go."""
    one, two = Spool(tmp_path / "spool", ROOMY), Spool(tmp_path / "spool", ROOMY)
    one.add(_noise(10, 1))
    two.add(_noise(10, 2))
    assert two.oldest() is None
    assert two.points == 0
    one.look()
    assert one.points == 3
    one.release()
    assert len(_drain(two)) == 2


@pytest.mark.parametrize("damage", ["cut", "emptied", "changed"])
def test_a_damaged_file_is_set_aside_and_counted(tmp_path: Path, damage: str) -> None:
    """It is never sent and never fatal; one is kept to be looked at."""
    spool = Spool(tmp_path / "spool", ROOMY)
    requests = [_noise(100, points) for points in (1, 2, 4)]
    for request in requests:
        spool.add(request)
    for path in sorted((tmp_path / "spool").glob("*.gz"))[:2]:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes({"cut": content[:-5], "emptied": b"", "changed": bytes(content)}[damage])
    assert _drain(spool) == requests[2:]
    assert spool.damaged_points == 3
    assert spool.points == 0
    assert len(list((tmp_path / "spool").glob("*.damaged"))) == 1


def test_what_is_no_file_is_left_alone(tmp_path: Path) -> None:
    """A pipe, a link or a directory of such a name keeps nothing else from being sent."""
    spool, directory = Spool(tmp_path / "spool", ROOMY), tmp_path / "spool"
    request = _noise(100)
    spool.add(request)
    os.mkfifo(directory / f"{1:020d}-5-aaaaaaaa.pb.gz")
    (directory / f"{2:020d}-5-aaaaaaaa.pb.gz").symlink_to("/dev/zero")
    (directory / f"{3:020d}-5-aaaaaaaa.pb.gz").mkdir()
    spool.look()
    assert spool.points == request.points
    assert _drain(spool) == [request]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    directory = tmp_path / "tiny"
    directory.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(directory)], check=False)
    if mounted.returncode:
        pytest.skip("needs the right to mount")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def test_a_full_disk_is_said_and_leaves_no_part_of_a_file(tiny_disk: Path) -> None:
    """What did fit is whole; what did not is the caller's to keep."""
    spool = Spool(tiny_disk / "spool", ROOMY)
    requests = [_noise(20_000) for _ in range(5)]
    kept = []

    def fill() -> None:
        for request in requests:
            spool.add(request)
            kept.append(request)

    with pytest.raises(OSError, match="No space left") as raised:
        fill()
    assert kept
    assert raised.value.errno == errno.ENOSPC
    names = {path.name for path in (tiny_disk / "spool").iterdir()}
    assert len(names) == len(kept) + 1
    assert "owner.lock" in names
    assert _drain(spool) == kept


def test_adding_from_two_threads_loses_nothing(tmp_path: Path) -> None:
    """The agent's own thread and its sender's may both spool at the end."""
    spool = Spool(tmp_path / "spool", ROOMY)
    threads = [threading.Thread(target=lambda: [spool.add(_noise(10)) for _ in range(20)]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(_drain(spool)) == 40


def test_what_an_agent_could_not_send_is_sent_by_the_next_one(place: Place) -> None:
    """An agent that ends while its endpoint is down leaves its points on disk; the next one delivers them all."""
    with http_receiver() as early:
        port = int(early.endpoint.rpartition(":")[2])
    settings = place.settings(endpoint=f"http://127.0.0.1:{port}")
    place.run(settings, "left", "time.sleep(0.3)")
    end_agent(settings)
    assert pending_points(settings)
    with http_receiver(port) as late:
        assert client.start_agent(settings)
        assert late.end("left").attributes["stepsize.outcome"] == "ok"
        assert client.flush(settings, 10)
    assert pending_points(settings) == 0


def test_a_disk_without_room_delays_no_task(place: Place, tiny_disk: Path) -> None:
    """With the spool on a full disk and the endpoint down, a task ends as soon and as well as ever."""
    settings = place.settings(endpoint="http://127.0.0.1:9", spool=tiny_disk / "spool")
    (tiny_disk / "filler").write_bytes(bytes(60_000))
    body = "import time\ns = time.monotonic(); task.end(Outcome.OK, 0); sys.exit(time.monotonic() - s > 0.2)"
    assert place.run(settings, "full", body, end=False).returncode == 0
    agent = wait_until(lambda: (found := status(settings)) and found.tasks == 0 and found)
    assert agent.unsent_points
    stop_agent(settings)


def test_where_it_is_follows_the_destination(place: Place) -> None:
    """Points for one endpoint are never sent to another; without a spool nothing is made."""
    one, two = place.settings(endpoint="http://a:1"), place.settings(endpoint="http://b:1")
    assert directory_of(one) != directory_of(two)
    assert directory_of(one).is_relative_to(one.data)
    assert directory_of(place.settings(spool=Path("/x"))).is_relative_to("/x")
    assert pending_points(one) == 0
    assert not one.data.exists()


def test_it_needs_the_standard_library_alone() -> None:
    """An agent without OpenTelemetry keeps its points just as well."""
    code = (
        "import sys; import stepsize.instrumentation.agent.spool, stepsize.instrumentation.agent.split; "
        "sys.exit(any(name.split('.')[0] in ('google', 'opentelemetry', 'requests', 'grpc') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
