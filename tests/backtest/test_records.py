"""What is read of a file of recorded tasks, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from stepsize.analyzer.backtest.records import Record, Records, read
from stepsize.errors import UsageError

GIB = 2.0**30
HEADER = "workflow,task,run,submit_order,peak_mem_bytes,runtime_s,requested_mem_bytes,submit_ts,end_ts,exit_ok"


def written(path: Path, *rows: str, header: str = HEADER) -> Path:
    file = path / "tasks.csv"
    file.write_text("\n".join([header, *rows]) + "\n")
    return file


def test_rows_are_read_in_the_order_of_submission(tmp_path: Path) -> None:
    """Failed rows and those without a peak are left out; what is empty is not known."""
    found = read(
        written(
            tmp_path,
            "w,t,1,3,300,1,,,,1",
            "w,t,1,1,100,2.5,4096,10,20,",
            "w,t,1,2,200,1,,,,0",
            "w,t,1,4,,1,,,,1",
        )
    )
    assert [(task.submit_order, task.peak_bytes, task.requested_bytes) for task in found.tasks] == [
        (1, 100, 4096),
        (3, 300, None),
    ]
    assert (found.tasks[0].submitted_at_s, found.tasks[0].ended_at_s, found.tasks[1].ended_at_s) == (10, 20, None)


def test_a_name_is_no_pattern(tmp_path: Path) -> None:
    """A file called `a[1].csv` is that file, not `a1.csv`."""
    for name, peak in (("a[1].csv", 100), ("a1.csv", 200)):
        written(tmp_path, f"w,t,1,1,{peak},1,,,,1").rename(tmp_path / name)
    assert [task.peak_bytes for task in read(tmp_path / "a[1].csv").tasks] == [100]


def test_when_a_task_ended(tmp_path: Path) -> None:
    """What was recorded, an end at the epoch too; else its submission and run time tell, and without one nothing."""
    rows = ("w,t,1,1,9,50,,1000,,1", "w,t,1,2,9,50,,,1200,1", "w,t,1,3,9,50,,-50,0,1", "w,t,1,4,9,50,,,,1")
    assert [task.ended_at_s for task in read(written(tmp_path, *rows)).tasks] == [1050, 1200, 0, None]


@pytest.mark.parametrize(("peak_gib", "largest_gib"), [(119, 128), (120, 128), (121, 1024)])
def test_the_most_that_can_be_had(tmp_path: Path, peak_gib: int, largest_gib: int) -> None:
    """128 GiB, or 1 TiB in a file with a peak above 120 GiB."""
    assert read(written(tmp_path, f"w,t,1,1,{peak_gib * 2**30},1,,,,1")).largest_bytes == largest_gib * GIB


def test_nobody_uses_more_than_can_be_had(tmp_path: Path) -> None:
    """A peak above 1 TiB counts as 1 TiB: no attempt could have held it, so no more can be used of one."""
    found = read(written(tmp_path, f"w,t,1,1,{2000 * 2**30},1,,,,1", "w,t,1,2,1e300,1,,,,1", "w,t,1,3,5,1,,,,1"))
    assert [task.peak_bytes for task in found.tasks] == [1024 * GIB, 1024 * GIB, 5]


def test_nanoseconds_keep_their_order(tmp_path: Path) -> None:
    """Seven nanoseconds apart, these numbers are one as floats; tasks go by them, and keep them to the digit."""
    orders = [1763371234123456789 + 7 * number for number in range(5)]
    found = read(written(tmp_path, *(f"w,t,1,{order},100,1,,,,1" for order in reversed(orders))))
    assert [task.submit_order for task in found.tasks] == orders


def test_orders_that_are_no_whole_numbers(tmp_path: Path) -> None:
    """They stand among whole ones, and rows of equal order stay as they are."""
    found = read(written(tmp_path, *(f"w,{order},1,{order},100,1,,,,1" for order in ("2", "1e1", "1.5", "2.0", "-3"))))
    assert [task.task for task in found.tasks] == ["-3", "1.5", "2", "2.0", "1e1"]


@pytest.mark.parametrize(
    ("word", "kept"),
    [("True", 1), ("true", 1), ("TRUE", 1), ("1.0", 1), ("", 1), ("False", 0), ("false", 0), ("0.0", 0)],
)
def test_how_it_is_said_that_a_task_ended_well(tmp_path: Path, word: str, kept: int) -> None:
    """1 and 0 as numbers, true and false as Python, R and JSON write them; nothing at all is well."""
    tasks = read(written(tmp_path, f"w,t,1,1,100,1,,,,{word}", "w,t,1,2,100,1,,,,1")).tasks
    assert len(tasks) == kept + 1


@pytest.mark.parametrize("peak", ["0", "-5", "0.4", "1e-300", "5e-324", "nan", ""])
def test_less_than_a_byte_is_no_peak(tmp_path: Path, peak: str) -> None:
    """Such a row is left out."""
    found = read(written(tmp_path, f"w,t,1,1,{peak},1,,,,1", "w,t,1,2,1,1,,,,1"))
    assert [task.submit_order for task in found.tasks] == [2]


@pytest.mark.parametrize(
    ("written_as", "known"),
    [("1000", 1000.0), ("0", 0.0), ("1", 1.0), ("0.3", None), ("5e-324", None), ("1e19", None), ("inf", None)],
)
def test_what_is_no_size_is_no_input(tmp_path: Path, written_as: str, known: float | None) -> None:
    """A share of a byte and more than any file system holds are not known, so that no rule has to compute with them."""
    header = "workflow,task,submit_order,peak_mem_bytes,runtime_s,input_bytes"
    found = read(written(tmp_path, f"w,t,1,100,1,{written_as}", header=header))
    assert [task.input_bytes for task in found.tasks] == [known]


@pytest.mark.parametrize(
    ("rows", "header", "says"),
    [
        (["w,t,1"], "workflow,task,submit_order", " has no column peak_mem_bytes, runtime_s"),
        (["w,t,1,0,9,1,,,,1", "w,t,1,1,many,1,,,,1"], HEADER, ", task 2: peak_mem_bytes is 'many', which is no number"),
        (["w,t,1,1,100,1,,,,0"], HEADER, " holds no task that ended well"),
        (["w,t,1,NaN,100,1,,,,1"], HEADER, ", task 1: submit_order is 'NaN'; it is the number by which"),
        (["w,t,1,,100,1,,,,1"], HEADER, ", task 1: submit_order is ''"),
        (["w,t,1,first,100,1,,,,1"], HEADER, ", task 1: submit_order is 'first', which is no number"),
        (["w,t,1,1,100,1,,,,fine"], HEADER, ", task 1: exit_ok is 'fine'; it is 1 or 0, true or false"),
        (["w,t,1,1,100,inf,,,,1"], HEADER, ", task 1: runtime_s is infinite; leave it empty"),
        (["w,t,1,1,1e400,1,,,,1"], HEADER, ", task 1: peak_mem_bytes is infinite; leave it empty"),
        (["w,t,1,1,100,1e308,,,,1"], HEADER, r", task 1: runtime_s is 1e\+308, more than a hundred years"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(tmp_path: Path, rows: list[str], header: str, says: str) -> None:
    """It names the file, the task, and what is wrong with it."""
    with pytest.raises(UsageError, match=rf"tasks\.csv{says}") as refused:
        read(written(tmp_path, *rows, header=header))
    assert "\n" not in str(refused.value)


def test_another_process_gets_what_was_read(tmp_path: Path) -> None:
    """Pickled and back, the tasks are the same."""
    found = read(written(tmp_path, "w,t,1,1,100,2.5,4096,10,20,", "w,t,,2.5,1e9,1,,,,1"))
    assert pickle.loads(pickle.dumps(found)) == found


def test_tasks_made_elsewhere_are_held_to_the_same_bound() -> None:
    """Records that come from no file are bounded as those that do."""
    task = Record(workflow="w", task="t", submit_order=0, peak_bytes=2e15, runtime_s=1.0)
    found = Records.of("made", [task])
    assert (found.largest_bytes, found.tasks[0].peak_bytes) == (1024 * GIB, 1024 * GIB)
