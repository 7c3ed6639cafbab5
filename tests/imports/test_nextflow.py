"""Nextflow's traces: their fields are those of Nextflow 24.10 (`TraceRecord.groovy`), the rows are ours."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.imports.conftest import Place

USUAL = (
    *("task_id", "hash", "native_id", "name", "status", "exit", "submit", "duration", "realtime", "%cpu"),
    *("peak_rss", "peak_vmem", "rchar", "wchar"),
)
"""What a trace has unless `trace.fields` says otherwise."""
ASKED = (
    *("task_id", "hash", "process", "tag", "name", "status", "exit", "start", "complete", "realtime", "%cpu"),
    *("peak_rss", "read_bytes", "write_bytes", "attempt", "cpus", "memory", "disk", "time", "hostname"),
)
HOUR_MS = 3_600_000
START_MS = 1_793_000_000_000


def usual(number: int, **more: str) -> dict[str, str]:
    said = {
        "task_id": str(number),
        "hash": f"ab/{number:06x}",
        "native_id": str(4000 + number),
        "name": f"ALIGN (s{number})",
        "status": "COMPLETED",
        "exit": "0",
        "submit": f"2026-11-01 10:{number:02d}:00.500",
        "duration": "1m 10s",
        "realtime": "1m",
        "%cpu": "150.0%",
        "peak_rss": "1.2 GB",
    }
    return said | more


def asked(number: int, **more: str) -> dict[str, str]:
    """A row of `trace.raw = true`."""
    said = {
        "task_id": str(number),
        "hash": f"cd/{number:06x}",
        "process": "RNA:ALIGN",
        "tag": f"s{number}",
        "name": f"RNA:ALIGN (s{number})",
        "status": "COMPLETED",
        "exit": "0",
        "start": str(START_MS + number * HOUR_MS),
        "complete": str(START_MS + number * HOUR_MS + 60_000),
        "realtime": "59000",
        "%cpu": "200.0",
        "peak_rss": str(1000 * 2**20 + number),
        "read_bytes": "5000",
        "write_bytes": "7000",
        "attempt": "1",
        "cpus": "4",
        "memory": str(8 << 30),
        "disk": str(20 << 30),
        "time": str(2 * HOUR_MS),
        "hostname": "node1",
    }
    return said | more


def trace(path: Path, fields: tuple[str, ...], *rows: dict[str, str], separator: str = "\t") -> str:
    lines = [separator.join(fields), *(separator.join(row.get(name, "-") for name in fields) for row in rows)]
    text = "\n".join(lines) + "\n"
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return str(path)


def test_a_trace_becomes_advice(place: Place) -> None:
    """Twelve tasks of one run that asked for 8 GB and used one: the report says what to ask for."""
    path = trace(place.home / "trace.txt", ASKED, *map(asked, range(12)))
    said = place.imported("nextflow", path, "--flow", "rnaseq")
    assert said["steps"] == [{"flow": "rnaseq", "step": "RNA:ALIGN", "runs": 1, "attempts": 12}]
    advice = place.advice()["rnaseq/RNA:ALIGN"]
    assert advice["requested"]["memory_mb"] == pytest.approx(8 * 1.073741824e3, abs=1)
    assert 1048 <= advice["recommended"]["memory_mb"] < 3000
    assert advice["recommended"]["cpu"] == 4
    assert "It used 2 cores on average, by CPU time." in advice["reasons"]
    assert any("comes from samples alone" in reason for reason in advice["reasons"])


def test_raw_numbers_are_exact(place: Place) -> None:
    """Milliseconds since 1970, bytes, and percent of a core."""
    place.imported("nextflow", trace(place.home / "trace.txt", ASKED, asked(1)), "--flow", "rnaseq", "--run", "r1")
    (row,) = place.tasks()
    assert (row["run"], row["step"], row["task"], row["item"]) == ("r1", "RNA:ALIGN", "RNA:ALIGN (s1)", "s1")
    assert row["started_at"].timestamp() == START_MS / 1000 + 3600
    assert (row["duration_s"], row["cpu_seconds"], row["cpu_mean"]) == (59.0, 118.0, 2.0)
    assert (row["memory_peak_bytes"], row["memory_source"]) == (1000 * 2**20 + 1, "nextflow")
    assert (row["requested_cpu"], row["requested_memory_bytes"]) == (4.0, 8 << 30)
    assert (row["requested_disk_bytes"], row["requested_timeout_s"], row["host"]) == (20 << 30, 7200.0, "node1")
    assert (row["disk_read_bytes"], row["disk_write_bytes"]) == (5000, 7000)
    assert (row["outcome"], row["exit_code"], row["exit_signal"]) == ("ok", 0, None)


def test_a_trace_of_the_usual_fields(place: Place) -> None:
    """A task's start is what it took before its submission and all of it together; a peak is the most it may mean."""
    path = trace(place.home / "trace.txt", USUAL, usual(1))
    place.imported("nextflow", path, "--flow", "rnaseq", "--timezone", "Europe/Berlin")
    (row,) = place.tasks()
    assert row["started_at"].isoformat() == "2026-11-01T09:01:10.500000+00:00"
    assert (row["step"], row["item"], row["cpu_seconds"]) == ("ALIGN", "s1", 90.0)
    assert row["memory_peak_bytes"] == int(1.25 * 2**30)
    assert row["requested_memory_bytes"] is None
    assert row["run"].startswith("2026-11-01T10:01:00-")


def test_a_trace_of_an_older_version(place: Place) -> None:
    """Before 19.02 the peak is called `rss`, and decimals are those of the locale; a number with groups is none."""
    fields = tuple("rss" if name == "peak_rss" else name for name in USUAL)
    told = {"rss": "1,2 GB", "%cpu": "150,5%"}
    rows = usual(1, **told), usual(2, rss="1,200 MB"), usual(3, rss="-")
    said = place.imported("nextflow", trace(place.home / "trace.txt", fields, *rows), "--flow", "rnaseq")
    assert [line["line"] for line in said["bad_lines"]] == [3]
    old, unknown = place.tasks()
    assert (old["memory_peak_bytes"], old["cpu_seconds"]) == (int(1.25 * 2**30), pytest.approx(90.3))
    assert unknown["memory_peak_bytes"] is None


def test_where_clocks_are_put_back_no_task_ends_before_it_began(place: Place) -> None:
    """What it took is known, and so is its end."""
    clocks = usual(1, start="2026-10-25 02:50:00.000", complete="2026-10-25 02:10:00.000", realtime="20m")
    path = trace(place.home / "trace.txt", (*USUAL, "start", "complete"), clocks)
    place.imported("nextflow", path, "--flow", "rnaseq", "--timezone", "Europe/Berlin")
    (row,) = place.tasks()
    assert (row["ended_at"] - row["started_at"]).total_seconds() == row["duration_s"] == 1200


def test_a_trace_that_has_grown_adds_what_is_new(place: Place) -> None:
    """Its run keeps its name; another run's trace of the same tasks is another run."""
    first = trace(place.home / "trace.txt", USUAL, *map(usual, range(3)))
    assert place.imported("nextflow", first, "--flow", "rnaseq")["added"] == 3
    assert place.imported("nextflow", first, "--flow", "rnaseq")["added"] == 0
    trace(place.home / "trace.txt", USUAL, *map(usual, range(5)))
    grown = place.imported("nextflow", first, "--flow", "rnaseq")
    assert (grown["added"], grown["already_there"]) == (2, 3)
    other = trace(place.home / "other.txt", USUAL, *(usual(number, hash=f"ff/{number}") for number in range(5)))
    assert place.imported("nextflow", other, "--flow", "rnaseq")["added"] == 5


def test_retries_are_attempts_of_one_task(place: Place) -> None:
    """A retry has a number and a hash of its own in Nextflow, and the same name."""
    failed = asked(1, status="FAILED", exit="137", peak_rss="-")
    retried = asked(2, name="RNA:ALIGN (s1)", tag="s1", attempt="2", memory=str(16 << 30))
    place.imported("nextflow", trace(place.home / "trace.txt", ASKED, failed, retried), "--flow", "rnaseq")
    rows = [(row["task"], row["attempt"], row["outcome"], row["exit_signal"]) for row in place.tasks()]
    assert rows == [("RNA:ALIGN (s1)", 0, "killed", 9), ("RNA:ALIGN (s1)", 1, "ok", None)]


def test_an_exit_code_may_mean_that_memory_ran_out(place: Place) -> None:
    """Where the user says so: then more than the request was needed, and the report asks for it."""
    done = [asked(number, peak_rss=str(5 << 30)) for number in range(8)]
    killed = asked(20, status="FAILED", exit="137", peak_rss="-")
    path = trace(place.home / "trace.txt", ASKED, *done, killed)
    place.imported("nextflow", path, "--flow", "rnaseq", "--oom-exit-code", "137")
    assert [row["outcome"] for row in place.tasks() if row["task"].endswith("(s20)")] == ["oom"]
    assert place.advice()["rnaseq/RNA:ALIGN"]["recommended"]["memory_mb"] > 8600


def test_tasks_of_one_name_are_two(place: Place) -> None:
    """Names come from tags, which need not differ; the hash does."""
    path = trace(place.home / "trace.txt", ASKED, asked(1), asked(2, name="RNA:ALIGN (s1)", tag="s1"))
    assert place.imported("nextflow", path, "--flow", "rnaseq")["added"] == 2
    assert place.imported("nextflow", path, "--flow", "rnaseq")["added"] == 0


def test_what_did_not_run_here_or_has_not_ended_is_passed_over(place: Place) -> None:
    """From the cache of an earlier run; submitted when the trace was closed."""
    rows = asked(1), asked(2, status="CACHED"), asked(3, status="SUBMITTED"), asked(4, status="ABORTED", exit="-")
    said = place.imported("nextflow", trace(place.home / "trace.txt", ASKED, *rows), "--flow", "rnaseq")
    assert said["passed_over"] == {"had not ended": 1, "taken from the cache: ran in another run": 1}
    assert [row["outcome"] for row in place.tasks()] == ["ok", "killed"]


def test_runs_that_were_resumed_are_runs_of_their_own(place: Place) -> None:
    """Though their traces begin with the same cached task: each is named after the first that ran in it."""
    cached = asked(1, status="CACHED")
    for number in (2, 3):
        path = trace(
            place.home / f"{number}.txt", ASKED, cached, asked(9, hash=f"ee/{number}", start=str(START_MS + number))
        )
        assert place.imported("nextflow", path, "--flow", "rnaseq")["added"] == 1
    assert len({row["run"] for row in place.tasks()}) == 2


def test_lines_that_cannot_be_read_are_told(place: Place) -> None:
    """Each with its number and why; the others count."""
    wrong = asked(2, peak_rss="much"), asked(3, status="DREAMING"), asked(4, attempt=str(2**31))
    path = trace(place.home / "trace.txt", ASKED, asked(1), *wrong)
    with Path(path).open("a") as file:
        file.write("two\tcolumns\n" + "x" * (1 << 21) + "\n")
    done = place.run("import", "nextflow", path, "--flow", "rnaseq")
    assert done.returncode == 0
    assert "1 attempt added" in done.stdout
    assert "5 of 6 could not be read" in done.stdout
    assert f"{path}:3: 'much' is no amount of memory" in done.stderr
    assert f"{path}:4: 'DREAMING' is no status of a task" in done.stderr
    assert f"{path}:5: '2147483648' is no number of an attempt" in done.stderr
    assert f"{path}:6: 2 columns where the header has {len(ASKED)}" in done.stderr
    assert f"{path}:7: longer than" in done.stderr


def test_where_nothing_can_be_read_the_command_fails(place: Place) -> None:
    """Exit code 1 where no line can, 2 where the file is none or the options are wrong; nothing is written."""
    broken = trace(place.home / "broken.txt", ASKED, asked(1, peak_rss="much"))
    (place.home / "other.txt").write_text("a\tb\n1\t2\n")
    assert place.run("import", "nextflow", broken, "--flow", "rnaseq").returncode == 1
    for arguments in ((str(place.home / "other.txt"), "--flow", "x"), (str(place.home / "none.txt"), "--flow", "x")):
        done = place.run("import", "nextflow", *arguments)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
    assert place.run("import", "nextflow", broken).returncode == 2
    assert place.run("import", "nextflow", broken, "--flow", "").returncode == 2
    assert place.run("import", "nextflow", broken, "--flow", "x", "--timezone", "Moon").returncode == 2


def test_files_may_be_packed_come_by_a_pipe_or_have_another_separator(place: Place) -> None:
    """What is in them is the same."""
    packed = trace(place.home / "trace.txt.gz", ASKED, asked(1))
    commas = trace(place.home / "trace.csv", ASKED, asked(1), separator=",")
    assert place.imported("nextflow", packed, "--flow", "rnaseq", "--run", "r")["added"] == 1
    assert place.imported("nextflow", commas, "--flow", "rnaseq", "--run", "r")["already_there"] == 1
    text = gzip.decompress(Path(packed).read_bytes()).decode()
    assert place.imported("nextflow", "-", "--flow", "rnaseq", "--run", "r", stdin=text)["already_there"] == 1


def test_a_packed_file_that_was_cut_off_adds_nothing(place: Place) -> None:
    """One line says so, with exit code 1."""
    path = place.home / "trace.txt.gz"
    trace(path, ASKED, *map(asked, range(50)))
    path.write_bytes(path.read_bytes()[:-20])
    done = place.run("import", "nextflow", str(path), "--flow", "rnaseq")
    assert (done.returncode, done.stdout) == (1, "")
    assert "is damaged" in done.stderr
    assert not place.data.exists()
