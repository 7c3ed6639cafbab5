"""Snakemake's benchmarks: columns and units are those of its `benchmark.py`, the jobs are ours."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.imports.conftest import Place

PLAIN = ["s", "h:m:s", "max_rss", "max_vms", "max_uss", "max_pss", "io_in", "io_out", "mean_load", "cpu_time"]
EXTENDED = [
    *PLAIN,
    *("jobid", "rule_name", "wildcards", "params", "threads", "cpu_usage", "resources", "input_size_mb"),
]
RESOURCES = {"tmpdir": "/tmp", "_nodes": 1, "runtime": 30, "mem_mb": 8000, "mem": "8 GB", "disk_mb": 500, "_cores": 4}


def row(number: int, **more: str) -> dict[str, str]:
    said = dict.fromkeys(PLAIN, "0.00") | {
        "s": "60.50",
        "h:m:s": "0:01:00",
        "max_rss": f"{1000 + number}.25",
        "cpu_time": "90.75",
    }
    extended = {
        "jobid": str(number),
        "rule_name": "align",
        "wildcards": f"{{'sample': 's{number}'}}",
        "params": "{}",
        "threads": "4",
        "resources": str(RESOURCES),
        "input_size_mb": f"{{'a.fq': {number}.5, 'b.fq': 1.5}}",
    }
    return said | extended | more


def benchmark(path: Path, *rows: dict[str, str], columns: list[str] = EXTENDED) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(columns), *("\t".join(one.get(name, "-") for name in columns) for one in rows)]
    path.write_text("\n".join(lines) + "\n")
    os.utime(path, (1_793_527_200, 1_793_527_200))
    return str(path)


def test_extended_benchmarks_become_advice(place: Place) -> None:
    """A directory of them: rows say the rule, what it asked for and how large its input was."""
    for number in range(9):
        benchmark(place.home / f"benchmarks/{number}.tsv", row(number))
    (place.home / "benchmarks/notes.txt").write_text("nothing\n")
    said = place.imported("snakemake", "benchmarks", "--flow", "wgs")
    assert said["steps"] == [{"flow": "wgs", "step": "align", "runs": 1, "attempts": 9}]
    assert said["passed_over"] == {"no benchmark file": 1}
    assert said["bad"] == 0
    advice = place.advice()["wgs/align"]
    assert advice["requested"]["memory_mb"] == 8000
    assert 1058 <= advice["recommended"]["memory_mb"] < 3000
    assert advice["recommended"]["cpu"] == 4


def test_what_a_row_says(place: Place) -> None:
    """MB of memory are 2^20 bytes, those that a rule asks for 10^6; the file was written when the job ended."""
    place.imported("snakemake", benchmark(place.home / "b.tsv", row(3)), "--flow", "wgs", "--run", "r1")
    (found,) = place.tasks()
    assert found["memory_peak_bytes"] == int(1003.25 * 2**20)
    assert (found["memory_source"], found["duration_s"], found["cpu_seconds"]) == ("snakemake", 60.5, 90.75)
    assert (found["requested_memory_bytes"], found["requested_disk_bytes"]) == (8 * 10**9, 5 * 10**8)
    assert (found["requested_cpu"], found["requested_timeout_s"]) == (4.0, 1800.0)
    assert (found["run"], found["item"], found["outcome"]) == ("r1", "sample=s3", "ok")
    assert found["ended_at"].timestamp() == 1_793_527_200
    assert json.loads(found["annotations"]) == {"input_bytes": 5 << 20}


def test_paths_name_what_plain_benchmarks_do_not(place: Place) -> None:
    """By a pattern of their end; without one the command says what to do."""
    path = benchmark(place.home / "run7/benchmarks/align/s1.tsv", row(1), row(2), columns=PLAIN)
    done = place.run("import", "snakemake", path, "--flow", "wgs")
    assert done.returncode == 2
    assert "--pattern" in done.stderr
    pattern = ("--pattern", "{run}/benchmarks/{step}/{task}.tsv")
    assert place.imported("snakemake", path, "--flow", "wgs", *pattern)["added"] == 2
    assert {(one["run"], one["step"], one["task"].partition("@")[0]) for one in place.tasks()} == {
        ("run7", "align", "s1")
    }
    other = benchmark(place.home / "other.tsv", row(1))
    said = place.imported("snakemake", other, "--flow", "wgs", *pattern)
    assert said["passed_over"] == {"its path is not as --pattern says": 1}


@pytest.mark.parametrize("pattern", ["{step}/{step}.tsv", "{rule}.tsv", "{step.tsv", "{}.tsv"])
def test_patterns_that_mean_nothing_are_refused(place: Place, pattern: str) -> None:
    """Before anything is read."""
    done = place.run("import", "snakemake", "none", "--flow", "wgs", "--pattern", pattern)
    assert done.returncode == 2
    assert "--pattern" in done.stderr


def test_a_benchmark_that_was_written_anew_is_added(place: Place) -> None:
    """The rule ran again; one that did not adds nothing, wherever its file has been moved to."""
    first = benchmark(place.home / "b.tsv", row(1))
    assert place.imported("snakemake", first, "--flow", "wgs")["added"] == 1
    Path(first).rename(place.home / "moved.tsv")
    assert place.imported("snakemake", "moved.tsv", "--flow", "wgs")["added"] == 0
    again = benchmark(place.home / "b.tsv", row(1, max_rss="1200.00"))
    assert place.imported("snakemake", again, "--flow", "wgs")["added"] == 1


def test_jobs_that_were_too_short_have_no_peak(place: Place) -> None:
    """`NA` is no zero; a repeated benchmark has a row each time, equal or not."""
    short = row(1, max_rss="NA", cpu_time="NA", s="0.03", resources="{'_cores': 1", input_size_mb="-")
    place.imported("snakemake", benchmark(place.home / "b.tsv", short, short), "--flow", "wgs")
    for found in place.tasks():
        assert found["memory_peak_bytes"] is found["cpu_seconds"] is found["annotations"] is None
        assert found["requested_memory_bytes"] is None
    assert len(place.tasks()) == 2


def test_repeats_ran_one_after_another(place: Place) -> None:
    """The file was written when the last had ended; before there was a CPU time, its mean says it."""
    rows = [row(number, s=f"{number}0.00", mean_load="150.00") for number in (1, 2, 3)]
    older = [name for name in EXTENDED if name != "cpu_time"]
    place.imported("snakemake", benchmark(place.home / "b.tsv", *rows, columns=older), "--flow", "wgs")
    first, second, third = sorted(place.tasks(), key=lambda one: one["duration_s"])
    assert third["ended_at"].timestamp() == 1_793_527_200
    assert (first["ended_at"], second["ended_at"]) == (second["started_at"], third["started_at"])
    assert [one["cpu_seconds"] for one in (first, second, third)] == [15.0, 30.0, 45.0]


def test_lines_of_json(place: Place) -> None:
    """As Snakemake writes them where the file's name says so."""
    said = {
        "s": 60.5,
        "max_rss": 100.0,
        "cpu_time": 3.5,
        "rule_name": "sort",
        "threads": 2,
        "resources": {"mem_mb": 500},
    }
    path = place.home / "b.jsonl"
    path.write_text(json.dumps(said) + "\n{}\n")
    assert place.imported("snakemake", str(path), "--flow", "wgs")["bad_lines"][0]["line"] == 2
    (found,) = place.tasks()
    assert (found["step"], found["memory_peak_bytes"], found["requested_memory_bytes"]) == (
        "sort",
        100 << 20,
        500 * 10**6,
    )
