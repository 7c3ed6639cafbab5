"""Erasure: what is meant goes from everywhere, what is not stays as it is, row by row."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from stepsize.collector.decode.decoder import Decoder
from stepsize.collector.upkeep.erase import obey
from stepsize.collector.upkeep.logs import erase_logs
from stepsize.collector.upkeep.raw import count_in_log, erase_aside
from stepsize.collector.upkeep.requests import EraseRequest, ask, open_requests, withdraw_answered
from stepsize.collector.wal.format import HEADER, encode_record, segment_name
from stepsize.collector.wal.positions import ReaderPosition, write_position
from stepsize.collector.wal.reader import read_records
from stepsize.errors import LakeError
from stepsize.store.erasure import Matcher, Selection
from stepsize.store.manifest import WalPosition, read_manifest, read_manifests
from stepsize.store.writer import LakeWriter, writer_lock
from tests.collector.otlp import RequestBuilder, identity
from tests.collector.pipelines.backend import Backend
from tests.collector.running import CONFIG, Place, wait_for
from tests.places import short_directory
from tests.upkeep.lake import FIRST, SECOND_WRITER, commit, commit_tasks, samples, seen

OFTEN = CONFIG.replace("parquet: {}", "parquet: {linger: 1s}")
"""Attempts that linger for a second have the sink look every quarter of it; they go on for longer than the test."""
COMMAND = (sys.executable, "-m", "stepsize", "erase")


def erase(data: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, in an environment of its own."""
    with short_directory() as runtime:
        return subprocess.run(
            [*COMMAND, "--data", str(data), *arguments],
            env=environment(home, runtime),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=home,
        )


def environment(home: Path, runtime: Path) -> dict[str, str]:
    """One in which nothing of the caller's is found."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("OTEL_", "STEPSIZE"))}
    return {**clean, "HOME": str(home), "STEPSIZE_RUNTIME": str(runtime)}


def owned(user: str | None, days_ago: int = 1, **more: Any) -> list[dict[str, Any]]:
    """Points whose resource names its user, or does not."""
    resource = {"a": 1} if user is None else {"stepsize.user": user, "stepsize.project": more.pop("project", "p")}
    return samples(days_ago, 5, resource=json.dumps(resource), **more)


def task(flow: str, task: str, user: str | None, **more: Any) -> dict[str, Any]:
    return {"flow": flow, "run": "1", "step": "train", "task": task, "attempt": 0, "user": user, **more}


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Two writers, both gone, with rows of three users in the same files."""
    data = tmp_path / "lake"
    for writer in (FIRST, SECOND_WRITER):
        commit(data, writer, *owned("anouk", task="1"), *owned("bob", task="2"))
        commit(data, writer, *owned("bob", task="3"), level=1)
        commit(data, writer, *owned(None, task="4"), *owned(None, task="5"), *owned(None, flow="Other", task="1"))
    commit(data, FIRST, *owned("anouk", days_ago=3, flow="Flow", run="2", task="1"))
    commit_tasks(data, FIRST, "month=2026-09", task("Flow", "1", "anouk"), task("Flow", "2", "bob"))
    commit_tasks(data, FIRST, "month=2026-10", task("Flow", "4", "anouk"), task("Flow", "5", "anouk"))
    commit_tasks(data, SECOND_WRITER, "open", task("Flow", "5", "bob"), task("Flow", "7", "anouk"))
    return data


def rows(data: Path) -> list[Any]:
    points = "SELECT flow, run, task, resource, time_unix_nano, value_double, day FROM exact_points ORDER BY ALL"
    return [*seen(data, points), *seen(data, 'SELECT flow, run, task, "user" FROM tasks ORDER BY ALL')]


def test_a_user_is_erased_and_nobody_else(lake: Path, tmp_path: Path) -> None:
    """Points that name the user, those of the user's attempts that name nobody, and the attempts; what two users share
    stays. No file on the disk holds a row of the user afterwards, and the name is in none."""
    before = rows(lake)
    dry = erase(lake, tmp_path, "--user", "anouk", "--dry-run", "--format", "json")
    assert json.loads(dry.stdout)["before"]["points"] == 5 * (2 + 1 + 2), dry.stderr
    assert rows(lake) == before
    done = erase(lake, tmp_path, "--user", "anouk", "--now", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said["before"] == {**dict.fromkeys(said["before"], 0), "points": 25, "tasks": 4}
    assert set(said["after"].values()) == {0}

    def is_anouks(row: tuple[Any, ...]) -> bool:
        return "anouk" in (row[3] or "") or (row[0] == "Flow" and row[2] == "4")

    assert rows(lake) == [row for row in before if not is_anouks(row)]
    files = [path for path in lake.rglob("*") if path.is_file() and path.suffix in (".parquet", ".tmp", ".json")]
    assert len(files) > 5
    assert not [path for path in files if b"anouk" in path.read_bytes()]
    assert not list(lake.glob(".erase/*"))


@pytest.mark.parametrize(
    ("arguments", "points", "tasks"),
    [
        (["--flow", "Other"], 10, 0),
        (["--flow", "Flow"], 55, 6),
        (["--run", "Flow/2"], 5, 0),
        (["--flow", "Flow", "--project", "q"], 0, 0),
        (["--user", "bob", "--project", "p"], 20, 0),
        (["--user", "nobody"], 0, 0),
    ],
)
def test_what_is_meant(lake: Path, tmp_path: Path, arguments: list[str], points: int, tasks: int) -> None:
    """A flow, a run of one flow, a user within a project, nobody."""
    done = erase(lake, tmp_path, *arguments, "--dry-run", "--format", "json")
    found = json.loads(done.stdout)["before"]
    assert (found["points"], found["tasks"]) == (points, tasks), done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "one of --user"),
        (["--user", "a", "--flow", "b"], "one of --user"),
        (["--user", ""], "empty"),
        (["--run", "17"], "write FLOW/RUN"),
    ],
)
def test_who_is_meant_has_to_be_said(tmp_path: Path, arguments: list[str], said: str) -> None:
    """One of the three, or nothing is done."""
    done = erase(tmp_path / "nowhere", tmp_path, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "nowhere").exists()


def sent(user: str, number: int) -> bytes:
    builder = RequestBuilder(identity(str(number), **{"stepsize.user": user}))
    return builder.gauge("stepsize.task.memory.usage", [(time.time_ns(), number)]).content()


def test_a_collector_erases_what_it_serves(place: Place) -> None:
    """While requests come in: of the user nothing is left, in the lake, the log, or what the roll-up remembers; others
    lose nothing, and attempts that go on keep what they were."""
    collector = place.collect(OFTEN)
    for number in range(6):
        assert collector.post(sent("anouk" if number % 2 else "bob", number))[0] == 200
    collector.flush()
    assert collector.post(sent("anouk", 7))[0] == 200
    done = erase(place.settings.data, place.home, "--user", "anouk", "--now", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["before"]["points"] == 4
    for number in (0, 8):
        assert collector.post(sent("bob", number))[0] == 200
    collector.flush()
    assert place.rows("SELECT value_int FROM points ORDER BY 1") == [(0,), (0,), (2,), (4,), (8,)]
    assert place.rows("SELECT task FROM tasks ORDER BY 1") == [("0",), ("2",), ("4",), ("8",)]
    held = [path for path in place.settings.data.rglob("*") if path.is_file() and b"anouk" in path.read_bytes()]
    assert held == []
    assert collector.terminate() == 0


def test_a_collector_is_asked_before_it_has_stored_anything(place: Place) -> None:
    """It is one of the lake's writers from its start on."""
    collector = place.collect(OFTEN)
    (manifest,) = read_manifests(place.settings.data)
    assert manifest.files == ()
    assert collector.terminate() == 0


def two_pipelines(exporter: str) -> str:
    """Into the lake, and by ``exporter`` somewhere else."""
    return f"""
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:0"}}}}}}}}
exporters: {{parquet: {{}}, {exporter}}}
processors: {{attributes: {{actions: [{{key: site, value: a, action: insert}}]}}}}
service:
  pipelines:
    metrics: {{receivers: [otlp], exporters: [parquet]}}
    metrics/on: {{receivers: [otlp], processors: [attributes], exporters: [{exporter.partition(":")[0]}]}}
"""


def logged(state: Path) -> list[bytes]:
    """The requests in the logs besides the main one."""
    end = WalPosition(segment=2**62)
    logs = sorted((state / "logs").glob("*"))
    return [record.request for log in logs for record, _ in read_records(log, WalPosition(), end)]


def test_a_stopped_collector_with_two_pipelines(place: Place) -> None:
    """What its second log still holds goes too, though all of it was written out before it ended."""
    out = place.home / "out.json"
    collector = place.collect(two_pipelines(f'file: {{path: "{out}", flush_interval: 10ms}}'))
    assert collector.post(sent("anouk", 1))[0] == 200
    wait_for(lambda: out.exists() and b"anouk" in out.read_bytes(), "the file")
    assert collector.terminate() == 0
    done = erase(place.settings.data, place.home, "--user", "anouk", "--now")
    assert done.returncode == 0, done.stderr
    assert logged(place.settings.state_dir) == []


def test_what_an_exporter_has_yet_to_send(place: Place) -> None:
    """Of a collector that was stopped: what is meant is taken out of its log, and the rest goes out once it is back."""
    backend = Backend()
    backend.always = (503, {}, b"")
    with backend.http() as server:
        config = two_pipelines(f'otlphttp: {{endpoint: "http://127.0.0.1:{server.server_port}"}}')
        collector = place.collect(config)
        mixed = RequestBuilder(identity("1", **{"stepsize.user": "anouk"})).gauge("n", [(1, 1), (2, 2)])
        mixed.message.MergeFrom(RequestBuilder(identity("2", **{"stepsize.user": "bob"})).gauge("n", [(1, 3)]).message)
        for content in (sent("anouk", 1), mixed.content(), sent("bob", 4)):
            assert collector.post(content)[0] == 200
        assert collector.terminate() == 0
        lengths = list(map(len, logged(place.settings.state_dir)))
        assert len(lengths) == 3
        done = erase(place.settings.data, place.home, "--user", "anouk", "--now")
        assert done.returncode == 0, done.stderr
        assert list(map(len, logged(place.settings.state_dir))) == lengths
        assert not any(b"anouk" in request for request in logged(place.settings.state_dir))
        backend.always = None
        collector = place.collect(config)
        wait_for(lambda: sorted(backend.values()) == [3, 4], "what is left of it")
        assert collector.terminate() == 0
    assert not any(b"anouk" in request for request in backend.taken)


@given(st.binary(max_size=300), st.integers(0, 300))
def test_a_request_keeps_its_length(tail: bytes, more: int) -> None:
    """Whatever is taken out of a request in a log, it takes up what it took, and says the rest of what it said."""
    rest = RequestBuilder(identity("2", note=tail.hex(), **{"stepsize.user": "bob"})).gauge("n", [(1, 3)])
    both = RequestBuilder(identity("1", note="x" * more, **{"stepsize.user": "anouk"})).gauge("n", [(1, 1)])
    both.message.MergeFrom(rest.message)
    with TemporaryDirectory() as name:
        log = Path(name, "logs", "other")
        log.mkdir(parents=True)
        write_position(log, "exporter", ReaderPosition(WalPosition(1)))
        records = [encode_record(both.content(), 5), encode_record(rest.content(), 6)]
        (log / segment_name(1)).write_bytes(HEADER + b"".join(records))
        assert erase_logs(Path(name), WalPosition(), Matcher(Selection(user="anouk"))) == 1
        found = [(record, position) for record, position in read_records(log, WalPosition(), WalPosition(2))]
    ends = [len(HEADER) + len(records[0]), len(HEADER) + len(records[0]) + len(records[1])]
    assert [position.offset for _, position in found] == ends
    assert [record.received_at_unix_nano for record, _ in found] == [5, 6]
    decoder = Decoder()
    for record, _ in found:
        message = ExportMetricsServiceRequest.FromString(record.request)
        message.DiscardUnknownFields()
        assert message == rest.message
        batch = decoder.begin()
        decoder.add(batch, [record.request], [5])
        assert batch.count == 1


def test_old_files_wait_for_their_readers(lake: Path, place: Place) -> None:
    """Without --now the command says that it waits, and old files stay meanwhile."""
    process = subprocess.Popen(
        [*COMMAND, "--data", str(lake), "--user", "anouk"],
        env=place.environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            assert process.stderr
            assert "go in 10 minutes, or now with --now" in process.stderr.readline()
            assert not [row for row in rows(lake) if "anouk" in (row[3] or "")]
            assert [path for path in lake.glob("points/*/*.parquet") if b"anouk" in path.read_bytes()]
        finally:
            process.kill()
    # whoever asks again finds what was left, and ends it
    assert erase(lake, place.home, "--user", "anouk", "--now").returncode == 0
    assert not [path for path in lake.glob("points/*/*.parquet") if b"anouk" in path.read_bytes()]


def test_what_agents_keep_is_erased(lake: Path, tmp_path: Path) -> None:
    """Requests in a spool lose the points that are meant, and keep the others."""
    spool = lake / "spool" / "0123456789abcdef"
    spool.mkdir(parents=True)
    both = RequestBuilder(identity("1", **{"stepsize.user": "anouk"})).gauge("n", [(1, 1)])
    both.message.MergeFrom(RequestBuilder(identity("2", **{"stepsize.user": "bob"})).gauge("n", [(1, 2)]).message)
    for name, content in (("1-00000001", both.content()), ("2-00000002", sent("anouk", 3))):
        points, salt = name.split("-")
        path = spool / f"{int(points):020d}-{2 if points == '1' else 1}-{salt}.pb.gz"
        path.write_bytes(gzip.compress(content))
    done = erase(lake, tmp_path, "--user", "anouk", "--now", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["before"]["spool"] == 2
    (left,) = spool.glob("*.gz")
    content = gzip.decompress(left.read_bytes())
    assert b"anouk" not in content
    assert b"bob" in content
    assert "-1-" in left.name


def test_a_living_writer_is_waited_for(lake: Path, place: Place) -> None:
    """A writer whose collector lives is not touched by anybody else: the request waits for it in the lake."""
    named = read_manifest(lake, FIRST).files
    with writer_lock(lake, FIRST).held(1.0):
        process = subprocess.Popen(
            [*COMMAND, "--data", str(lake), "--user", "anouk", "--now"],
            env=place.environment(),
            stdout=subprocess.DEVNULL,
        )
        with process:
            try:
                wait_for(lambda: list(lake.glob(f".erase/*.{SECOND_WRITER}.done")), "the other writer's answer")
                assert read_manifest(lake, FIRST).files == named
                assert LakeWriter(lake, FIRST).manifest.files == named
            finally:
                process.kill()
    assert list(lake.glob(".erase/*.json"))


def test_what_was_set_aside_is_erased(tmp_path: Path) -> None:
    """Requests that could not be decoded lose the points that are meant; bytes that are none go where they hold the
    name, and stay where they do not."""
    mixed = RequestBuilder(identity("1", **{"stepsize.user": "anouk"})).gauge("n", [(1, 1), (2, 2)])
    mixed.message.MergeFrom(RequestBuilder(identity("2", **{"stepsize.user": "bob"})).gauge("n", [(1, 2)]).message)
    (tmp_path / "undecodable-1-8.bin").write_bytes(mixed.content())
    (tmp_path / "damaged-1-9.bin").write_bytes(b"\xff\x05anouk\xff")
    (tmp_path / "damaged-2-9.bin").write_bytes(b"\xff\x06anouks\xff")
    matcher = Matcher(Selection(user="anouk"))
    assert count_in_log(tmp_path, matcher) == 3
    assert erase_aside(tmp_path, matcher) == 3
    assert count_in_log(tmp_path, matcher) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged-2-9.bin", "undecodable-1-8.bin"]
    assert count_in_log(tmp_path, Matcher(Selection(user="bob"))) == 1


def test_a_number_that_names_a_run(tmp_path: Path) -> None:
    """Senders may send it as one."""
    builder = RequestBuilder(identity("1", **{"stepsize.run.id": 17})).gauge("n", [(1, 1)])
    (tmp_path / "undecodable-1-8.bin").write_bytes(builder.content())
    assert count_in_log(tmp_path, Matcher(Selection(flow="TrainFlow", run="17"))) == 1
    assert count_in_log(tmp_path, Matcher(Selection(flow="TrainFlow", run="1"))) == 0


def test_a_later_writer_is_not_asked(tmp_path: Path) -> None:
    """A request that somebody left behind erases nothing that came after it."""
    commit(tmp_path, FIRST, *owned("anouk"))
    ask(tmp_path, EraseRequest(Selection(user="anouk"), (), (FIRST,), now=True))
    commit(tmp_path, SECOND_WRITER, *owned("anouk"))
    for writer in (FIRST, SECOND_WRITER):
        obey(tmp_path, tmp_path, writer, set())
    assert len(seen(tmp_path)) == 5
    assert read_manifest(tmp_path, FIRST).files == ()
    commit(tmp_path, FIRST, *owned("anouk", days_ago=2))
    obey(tmp_path, tmp_path, FIRST, set())
    assert len(seen(tmp_path)) == 10


def test_a_file_that_cannot_be_read_ends_no_sink(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The request stays open, is not tried again by this process, and the command says what is wrong."""
    commit(tmp_path, FIRST, *owned("anouk"))
    (stored,) = read_manifest(tmp_path, FIRST).files
    (tmp_path / stored.path).write_bytes(b"junk")
    ask(tmp_path, EraseRequest(Selection(user="anouk"), (), (FIRST,), now=True))
    failed: set[str] = set()
    for _ in range(2):
        obey(tmp_path, tmp_path, FIRST, failed)
    assert len(failed) == 1
    assert capsys.readouterr().err.count("erasing failed") == 1
    done = erase(tmp_path, tmp_path, "--user", "anouk", "--now")
    assert done.returncode == 1
    assert f"{stored.path} cannot be read" in done.stderr
    assert done.stderr.count("\n") == 1


def asked_otherwise(data: Path, **changes: Any) -> Path:
    """A request as another version, or nobody, would have written it; where it lies."""
    request = EraseRequest(Selection(user="anouk"), (("Flow", "1", "train", "1", 0),), (FIRST,), now=True)
    ask(data, request)
    path = data / ".erase" / f"{request.name}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return path


UNREADABLE: list[dict[str, Any]] = [
    {"since": 1},
    {"selection": {"user": "anouk", "host": "a"}},
    {"selection": {"user": None}},
    {"selection": {"user": 1}},
    {"selection": None},
    {"attempts": [[["Flow"], "1", "train", "1", 0]]},
    {"attempts": [["Flow", "1"]]},
    {"attempts": 1},
    {"now": "yes"},
    {"name": "another"},
    {"writers": None},
    {"writers": [FIRST, 1]},
]


@pytest.mark.parametrize("changes", UNREADABLE, ids=str)
def test_a_request_that_cannot_be_read_is_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any]
) -> None:
    """A sink says so once, erases nothing for it and does what others ask; a command says which file it is."""
    commit(tmp_path, FIRST, *owned("anouk"), *owned("bob"))
    path = asked_otherwise(tmp_path, **changes)
    passed_over: set[str] = set()
    for _ in range(2):
        assert open_requests(tmp_path, FIRST, passed_over) == []
    obey(tmp_path, tmp_path, FIRST, passed_over)
    assert len(seen(tmp_path)) == 10
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert str(path) in said
    with pytest.raises(LakeError, match=f"{path.name} cannot be read.*update stepsize, or remove the file"):
        withdraw_answered(tmp_path)
    ask(tmp_path, EraseRequest(Selection(user="bob"), (), (FIRST,), now=True))
    obey(tmp_path, tmp_path, FIRST, passed_over)
    assert len(seen(tmp_path)) == 5


@pytest.mark.parametrize("content", [b"", b'{"writers": ', b"\xff", b"[]", b"[" * 100_000])
def test_a_damaged_request_is_one_line(tmp_path: Path, content: bytes) -> None:
    """The command names the file, and works once it is removed."""
    commit(tmp_path, FIRST, *owned("anouk"))
    path = asked_otherwise(tmp_path)
    path.write_bytes(content)
    assert open_requests(tmp_path, FIRST, set()) == []
    done = erase(tmp_path, tmp_path, "--user", "anouk", "--now")
    assert done.returncode == 1
    assert f"{path} cannot be read" in done.stderr
    assert done.stderr.count("\n") == 1
    path.unlink()
    assert erase(tmp_path, tmp_path, "--user", "anouk", "--now").returncode == 0


def test_what_others_are_asked_is_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A request of another version that asks other writers is no matter of this one."""
    asked_otherwise(tmp_path, since=1)
    assert open_requests(tmp_path, SECOND_WRITER, set()) == []
    assert capsys.readouterr().err == ""


def test_a_damaged_answer_is_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody can tell whether it was one: a sink says so once, and a command names it."""
    path = asked_otherwise(tmp_path)
    answer = path.with_name(f"{path.stem}.{FIRST}.done")
    answer.write_text("[]")
    passed_over: set[str] = set()
    for _ in range(2):
        assert open_requests(tmp_path, FIRST, passed_over) == []
    assert capsys.readouterr().err.count(str(answer)) == 1
    with pytest.raises(LakeError, match="cannot be read"):
        withdraw_answered(tmp_path)
