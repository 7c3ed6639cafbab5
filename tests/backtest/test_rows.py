"""Files as tools write them: what is read of each is the same, and what is none is refused in one line."""

from __future__ import annotations

import gzip
import os
import threading
from pathlib import Path

import pytest

from stepsize.analyzer.backtest.records import Record, read
from stepsize.errors import UsageError

HEADER = "workflow,task,submit_order,peak_mem_bytes,runtime_s"
PLAIN = f"{HEADER}\nw,a,1,1000,10\nw,b,2,2000,20\n"
ALL = f"{HEADER},run,item,input_bytes,requested_mem_bytes,submit_ts,end_ts,exit_ok,cpu_pct,peak_disk_bytes,attempt\n"


def tasks(path: Path, content: bytes) -> tuple[Record, ...]:
    path.write_bytes(content)
    return read(path).tasks


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + PLAIN.encode(),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.rstrip("\n").encode(),
        ("\n\n" + PLAIN.replace("\n", "\n\n")).encode(),
        PLAIN.replace("w,a,1,1000,10", '"w","a","1","1000","10"').encode(),
        PLAIN.replace("1000", "1e3").replace("20\n", "20.0\n").encode(),
        PLAIN.replace(",", ", ").replace(", a", ",a").replace(", b", ",b").encode(),
        PLAIN.replace("0\n", "0,,\n").encode(),
        f"unknown,{HEADER}\n,w,a,1,1000,10\nx,w,b,2,2000,20\n".encode(),
        f"{HEADER},run,input_bytes\nw,a,1,1000,10,NA,nan\nw,b,2,2000,20,None,null\n".encode(),
        f"{HEADER},run\nw,a,1,1000,10\nw,b,2,2000,20,\n".encode(),
        f"{HEADER},exit_ok\nw,a,1,1000,10,T\nw,b,2,2000,20,yes\nw,b,3,5,5,F\nw,b,4,5,5,no\n".encode(),
        gzip.compress(PLAIN.encode()),
    ],
    ids=[
        "byte order mark", "windows", "no last line end", "empty lines", "quotes", "floats", "spaces",
        "trailing commas", "other columns", "not available", "short rows", "words", "gzip",
    ],
)  # fmt: skip
def test_one_table_however_it_was_written(tmp_path: Path, content: bytes) -> None:
    """Each gives the two tasks of the plain file."""
    assert tasks(tmp_path / "other.csv", content) == tasks(tmp_path / "plain.csv", PLAIN.encode())


def test_names_are_kept_to_the_letter(tmp_path: Path) -> None:
    """Commas, quotes, lines, spaces, other scripts, and what looks as if there were none: they are names."""
    lines = ['"a, ""b""","c\nd",1,1000,10', "é文🙂, e,2,1000,10", "NA,null,3,1000,10", ",,4,1000,10", "'f,#g,5,1000,10"]
    found = tasks(tmp_path / "names.csv", "\n".join([HEADER, *lines]).encode())
    assert [task.step for task in found] == [
        ('a, "b"', "c\nd"), ("é文🙂", " e"), ("NA", "null"), ("", ""), ("'f", "#g"),
    ]  # fmt: skip


def test_every_optional_column_may_be_empty(tmp_path: Path) -> None:
    """All of them there and nothing in them is the same as none of them."""
    rows = (f"w,{task},{order},{order}000,{order}0{',' * 10}" for order, task in ((1, "a"), (2, "b")))
    assert tasks(tmp_path / "all.csv", (ALL + "\n".join(rows)).encode()) == tasks(
        tmp_path / "plain.csv", PLAIN.encode()
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "has no column workflow, task, submit_order, peak_mem_bytes, runtime_s; it is a CSV file with commas"),
        (PLAIN.replace(",", "\t").encode(), "has no column workflow, task"),
        (f"{HEADER},task\nw,a,1,1000,10,b\n".encode(), "has more than one column task; keep the one that counts"),
        (PLAIN.replace("w,b", "w,b,b").encode(), ", task 2 has 6 cells and the header 5; quote what holds a comma"),
        (PLAIN.replace("w,b", '"w,b').encode(), "cannot be read as CSV: "),
        (PLAIN.replace("w,b", "\xe9,b").encode("latin-1"), "is no UTF-8 text"),
        (PLAIN.encode("utf-16"), "is no UTF-8 text"),
        (gzip.compress(PLAIN.encode())[:-9], "cannot be read: "),
    ],
    ids=["empty", "tabs", "a column twice", "too many cells", "an open quote", "latin 1", "utf-16", "half a gzip"],
)
def test_what_is_no_such_file(tmp_path: Path, content: bytes, says: str) -> None:
    """Nothing of it is guessed."""
    with pytest.raises(UsageError) as refused:
        tasks(tmp_path / "wrong.csv", content)
    assert f"wrong.csv {says}" in str(refused.value) or f"wrong.csv{says}" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such pipes here")
def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """As a shell's `<(…)` gives it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(PLAIN,), daemon=True)
    writer.start()
    found = read(pipe).tasks
    writer.join()
    assert [task.task for task in found] == ["a", "b"]
