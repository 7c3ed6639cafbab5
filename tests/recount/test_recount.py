"""Tasks counted anew from points, by DuckDB: beside what the collector's own roll-up made of the same points."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stepsize.collector.recount.engine import sql_of
from stepsize.collector.recount.on_duckdb import DuckDBEngine
from stepsize.collector.recount.recount import recount
from stepsize.collector.recount.rows import Rules, plan
from stepsize.collector.recount.stored_rows import MADE
from stepsize.errors import UsageError
from tests.collector.otlp import SECOND, cpu_samples
from tests.collector.rollup_log import T0, Log, attempt, time_of
from tests.collector.test_tasks import full_attempt
from tests.recount import lakes

MEMORY = 1 << 30


def test_rows_are_those_of_the_collector(tmp_path: Path) -> None:
    """Every column of every attempt is what the roll-up as points arrive made of it."""
    log, until_ns = lakes.write(tmp_path / "from")
    recount(log.lake.data, tmp_path / "out", DuckDBEngine(MEMORY), until_ns)
    assert lakes.differences(lakes.rows(log.lake.data), lakes.rows(tmp_path / "out")) == []


def test_a_task_whose_points_went_to_two_collectors_is_whole(tmp_path: Path) -> None:
    """Each collector has a row of the part it saw; counted anew, the sums and peaks of both are in one row."""
    first, second = attempt(), attempt()
    first.gauge("stepsize.task.cpu.usage", cpu_samples(T0, [1.0, 1.0]), unit="{cpu}")
    second.gauge("stepsize.task.cpu.usage", cpu_samples(T0 + 2 * SECOND, [4.0, 4.0]), unit="{cpu}")
    log = Log(tmp_path / "from")
    log.fold(first)
    lakes.beside(log, tmp_path / "other").fold(
        second.gauge("stepsize.task.memory.peak", [(T0, 9)]).end(T0 + 5 * SECOND, "ok")
    )
    recount(log.lake.data, tmp_path / "out", DuckDBEngine(MEMORY), T0)
    (parted,), (whole,) = lakes.rows(log.lake.data), lakes.rows(tmp_path / "out")
    assert parted["samples"] == 2
    assert (whole["samples"], whole["cpu_seconds"], whole["memory_peak_bytes"], whole["outcome"]) == (4, 10.0, 9, "ok")


def test_the_roll_up_before_is_replaced_whole(tmp_path: Path) -> None:
    """A second roll-up to the same place leaves the rows of the second alone."""
    log = Log(tmp_path / "from")
    log.fold(attempt("1").end(T0, "ok"))
    recount(log.lake.data, tmp_path / "out", DuckDBEngine(MEMORY), T0)
    log.fold(attempt("2").end(T0, "failed"))
    done = recount(log.lake.data, tmp_path / "out", DuckDBEngine(MEMORY), T0)
    assert (done.attempts, done.points) == (2, 2)
    assert [row["outcome"] for row in lakes.rows(tmp_path / "out")] == ["ok", "failed"]


def test_a_lake_that_others_write_is_no_place_for_it(tmp_path: Path) -> None:
    """Neither the lake that is read nor another collector's is written to; both stay as they are."""
    log, other = Log(tmp_path / "from"), Log(tmp_path / "other")
    log.fold(attempt("1").end(T0, "ok"))
    other.fold(attempt("2").end(T0, "ok"))
    for place in (log.lake.data, other.lake.data):
        with pytest.raises(UsageError, match="a directory of its own"):
            recount(log.lake.data, place, DuckDBEngine(MEMORY), T0)
    assert [row["task"] for row in lakes.rows(other.lake.data)] == ["2"]


def test_an_attempt_is_lost_only_after_the_silence(tmp_path: Path) -> None:
    """What was heard of less than ten minutes before the roll-up still runs."""
    log = Log(tmp_path / "from")
    log.fold(attempt("1").gauge("stepsize.task.memory.usage", [(T0, 1)]))
    for silent_s, outcome in ((599, None), (601, "lost")):
        recount(log.lake.data, tmp_path / "out", DuckDBEngine(MEMORY), time_of(log) + silent_s * SECOND)
        assert [row["outcome"] for row in lakes.rows(tmp_path / "out")] == [outcome]


def test_no_number_of_the_expression_is_a_decimal_to_spark() -> None:
    """Spark takes 0.5 for a decimal, in which sums lose digits: numbers are whole, or texts that are cast."""
    planned = plan(Rules(until_ns=T0))
    for rows in (*(stage.rows for stage in planned.stages), planned.rows):
        without_texts = re.sub(r"'(?:[^'\\]|\\.)*'", "''", sql_of(rows, "pyspark"))
        assert re.findall(r"\d\.\d|\d[eE][-+]?\d", without_texts) == []


def test_every_column_of_tasks_is_counted() -> None:
    """A column that is added to `tasks` has to be added here too."""
    assert set(plan(Rules(until_ns=T0)).rows.schema().names) == set(MADE.names)


def test_the_command_makes_a_lake_that_report_reads(tmp_path: Path) -> None:
    """It says what it did; a directory without a lake is one line and no traceback."""
    log = Log(tmp_path / "from")
    log.fold(*full_attempt())
    finished = rollup(tmp_path, "--data", str(log.lake.data), "--out", "out")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert re.fullmatch(r"1 attempts from \d+ points in \d+ files\n", finished.stdout)
    assert len(lakes.rows(tmp_path / "out")) == 1
    failed = rollup(tmp_path, "--data", str(tmp_path / "none"), "--out", "out")
    assert failed.returncode == 1
    assert failed.stderr.startswith("stepsize: no data in ")


def rollup(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    command = [sys.executable, "-m", "stepsize", "rollup", *arguments]
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False, timeout=60)
