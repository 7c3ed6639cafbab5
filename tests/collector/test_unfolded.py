"""Points that are in the lake before they are rolled up, and what becomes of them when the sink ends there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from stepsize.collector.rollup import table as rollup_table
from stepsize.collector.sink import open_files
from stepsize.collector.sink import sink as sinks
from tests.collector.otlp import SECOND, RequestBuilder, cpu_samples
from tests.collector.rollup_log import T0, WRITER, Log, attempt, final_rows, time_of

if TYPE_CHECKING:
    from pathlib import Path


def usage(task: str, second: int, cores: float = 1.0) -> RequestBuilder:
    """One sample of a task, so many seconds after its start."""
    request = attempt(task)
    request.gauge("stepsize.task.cpu.usage", [(T0 + second * SECOND, cores)], unit="{cpu}")
    request.sum("stepsize.task.cpu.time", T0, [(T0 + second * SECOND, float(second))], unit="s", cpu__mode="user")
    return request


def store(log: Log, *requests: RequestBuilder | bytes) -> None:
    """Bring points into the lake, and leave `tasks` as it is."""
    log.append(*requests)
    log.sink.fold(log.durable, T0, roll_up=False)


def points(log: Log) -> int:
    with log.lake.connect() as connection:
        (count,) = connection.execute("SELECT count(*) FROM points").fetchone() or (0,)
    return int(count)


def manifest(log: Log) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((log.lake.data / "manifests" / f"{WRITER}.json").read_text())
    return content


def open_pages(log: Log) -> set[str]:
    return {one["name"] for one in manifest(log)["files"] if one["partition"] == "open"}


def test_points_are_there_before_their_attempt(log: Log) -> None:
    """Points can be asked for at once; `tasks` shows them with the next roll-up, all at once."""
    for second in range(1, 4):
        store(log, usage("1", second))
        assert points(log) == 2 * second
        assert log.tasks() == []
    assert log.sink.folded < log.sink.position
    log.sink.fold(log.durable, T0)
    assert log.sink.folded == log.sink.position
    (row,) = log.tasks()
    assert (row["samples"], row["cpu_seconds"], row["cpu_mean"]) == (3, 3.0, 1.0)


@pytest.mark.parametrize("lost", range(6))
def test_a_new_sink_reads_again_what_was_not_rolled_up(tmp_path: Path, lost: int) -> None:
    """Whichever commit a sink ends after, the points are there once and `tasks` is what it would have been."""
    log = Log(tmp_path)
    again = usage("2", 2).content()
    steps: list[tuple[bool, list[RequestBuilder | bytes]]] = [
        (True, [usage("1", 1), usage("2", 1)]),
        (False, [usage("1", 2, 3.0), again]),
        (False, [again, usage("3", 1)]),
        (True, [usage("3", 2)]),
        (False, [attempt("1").end(T0 + 5 * SECOND, "ok"), again]),
        (False, [usage("2", 3)]),
    ]
    for number, (rolls_up, requests) in enumerate(steps):
        log.append(*requests)
        log.sink.fold(log.durable, T0, roll_up=rolls_up)
        if number == lost:
            log.make_sink()
    log.sink.fold(log.durable, T0)
    assert points(log) == 15
    rows = {row["task"]: (row["samples"], row["cpu_seconds"], row["cpu_max"], row["outcome"]) for row in log.tasks()}
    assert rows == {"1": (2, 2.0, 3.0, "ok"), "2": (3, 3.0, 1.0, None), "3": (2, 2.0, 1.0, None)}


def test_the_log_is_kept_as_long_as_it_is_needed(log: Log) -> None:
    """Segments stay until `tasks` shows what is in them."""
    for second in range(1, 4):
        store(log, usage("1", second))
    assert len(list(log.wal.glob("*.wal"))) == 3
    log.sink.fold(log.durable, T0)
    assert len(list(log.wal.glob("*.wal"))) == 1


def test_a_row_that_is_final_is_opened_again_by_a_later_roll_up(log: Log) -> None:
    """Late points are stored first; the final row stays as it is until they are rolled up, then there is one row."""
    log.fold(usage("1", 1).end(T0 + 2 * SECOND, "ok"), usage("2", 1).end(T0 + 2 * SECOND, "ok"))
    log.sink.tick(time_of(log) + 61 * SECOND)
    assert final_rows(log) == 2
    store(log, usage("1", 4))
    assert [row["samples"] for row in log.tasks()] == [1, 1]
    log.make_sink()
    log.sink.fold(log.durable, T0)
    assert [(row["task"], row["samples"]) for row in log.tasks()] == [("1", 2), ("2", 1)]
    assert final_rows(log) == 1


def test_much_is_rolled_up_before_it_becomes_too_much(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not rolled up is bounded in memory and in the log, whatever the caller says."""
    monkeypatch.setattr(rollup_table, "MAX_GATHERED", 3)
    monkeypatch.setattr(sinks, "MAX_UNFOLDED", 7)
    for second in range(1, 4):
        store(log, usage("1", second))
    assert log.tasks() == []
    store(log, usage("1", 4))
    assert [row["samples"] for row in log.tasks()] == [4]


def test_only_pages_with_news_are_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many open attempts a commit writes the pages of those that have points; every attempt stays in one page."""
    monkeypatch.setattr(open_files, "PAGE_ROWS", 4)
    log = Log(tmp_path)
    log.fold(*(usage(f"{task:02d}", 1) for task in range(12)))
    before = open_pages(log)
    assert len(before) == 3
    log.fold(usage("05", 2))
    assert len(open_pages(log) & before) == 2
    assert [row["samples"] for row in log.tasks()] == [1] * 5 + [2] + [1] * 6


def test_pages_that_empty_are_filled_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts that end leave their page, and what is left of pages is put together; also by a new sink."""
    monkeypatch.setattr(open_files, "PAGE_ROWS", 4)
    log = Log(tmp_path)
    log.fold(*(usage(f"{task:02d}", 1) for task in range(12)))
    log.fold(*(attempt(f"{task:02d}").end(T0 + 2 * SECOND, "ok") for task in range(12) if task % 4))
    log.sink.tick(time_of(log) + 61 * SECOND)
    assert len(open_pages(log)) == 1
    log.make_sink()
    log.fold(usage("04", 2), usage("99", 1))
    rows = log.tasks()
    assert len(rows) == 13
    assert {row["task"]: row["samples"] for row in rows if row["outcome"] is None} == {
        "00": 1, "04": 2, "08": 1, "99": 1,
    }  # fmt: skip


def test_new_attempts_open_no_files_of_old_ones(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt that says when it began is looked for only where some began about then."""
    log.fold(usage("1", 1).end(T0 + 2 * SECOND, "ok"))
    log.sink.tick(time_of(log) + 61 * SECOND)
    (stored,) = (one for one in manifest(log)["files"] if one["table"] == "tasks")
    path = log.lake.data / "tasks" / stored["partition"] / stored["name"]
    later = T0 + 86_400 * SECOND
    request = attempt("9").gauge("stepsize.task.cpu.usage", cpu_samples(later, [1.0]), unit="{cpu}")
    request.sum("stepsize.task.cpu.time", later, [(later + SECOND, 1.0)], unit="s", cpu__mode="user")
    log.append(request)
    log.make_sink()
    content = path.read_bytes()
    footer_bytes = int.from_bytes(content[-8:-4], "little") + 8
    path.write_bytes(bytes(len(content) - footer_bytes) + content[-footer_bytes:])  # its rows can be read no more
    log.sink.fold(log.durable, T0)
    names = {one["name"] for one in manifest(log)["files"] if one["table"] == "tasks"}
    assert len(names) == 2
    assert stored["name"] in names
