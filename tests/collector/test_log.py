"""Lines for the operator, as pure text: nobody can forge one, none becomes a flood."""

from __future__ import annotations

import contextlib
import json
import threading

from hypothesis import given
from hypothesis import strategies as st

from stepsize.collector.telemetry.lines import Lines, LineStream
from stepsize.collector.telemetry.log import Log

NASTY = "x\nstepsize collect: forged \x1b[2J\x00\r\u2028\u202e"


@given(st.text(), st.text())
def test_one_line_whatever_is_said(message: str, field: str) -> None:
    """Every line is one line of printable characters, as text and as JSON."""
    for encoding in ("console", "json"):
        lines: list[str] = []
        Log(lines.append, encoding=encoding).warn(message, field=field)
        (line,) = lines
        assert line.isprintable()
        assert len(line.splitlines()) == 1


def test_forged_lines_and_long_ones() -> None:
    """Ends of lines and commands to a terminal are escaped, long values are cut."""
    lines: list[str] = []
    log = Log(lines.append)
    log.error(NASTY, flow="x" * 10_000)
    assert lines[0].startswith(r"error: x\nstepsize collect: forged \x1b[2J\x00\r\u2028\u202e flow=xxx")
    assert lines[0].endswith("(10000 characters)")
    assert len(lines[0]) < 2200
    Log(lines.append, encoding="json", wall_s=lambda: 12.3456)("said", count=3, flow=NASTY)
    assert json.loads(lines[1]) == {"ts": 12.346, "level": "info", "msg": "said", "count": 3, "flow": NASTY}


def test_levels() -> None:
    """Only what is at the level or above is written; calling the log is level info."""
    lines: list[str] = []
    log = Log(lines.append, level="warn")
    for say in (log.debug, log.info, log, log.warn, log.error):
        say("said")
    assert lines == ["warn: said", "error: said"]


def test_repetition_is_bounded() -> None:
    """Of the same line ten are written in ten seconds, then every hundredth, which says how many were left out."""
    now_s = 0.0
    lines: list[str] = []
    log = Log(lines.append, clock_s=lambda: now_s)
    for _ in range(500):
        log("again")
    assert lines == ["again"] * 10 + ["again repeated=99"] * 4
    log("another")
    assert lines[-1] == "another"
    now_s = 11.0
    log("again")
    assert lines[-1] == "again repeated=90"
    lines.clear()
    for number in range(5000):
        log(f"line {number}")
    assert len(lines) < 1100


def test_nobody_waits_for_who_reads_lines() -> None:
    """Lines that cannot be written wait up to a bound, then are left out and counted; what is there stays in order."""
    written: list[str] = []
    is_reading, is_stuck = threading.Event(), threading.Event()

    def write(line: str) -> None:
        is_stuck.set()
        is_reading.wait()
        written.append(line)

    with contextlib.closing(Lines(write, max_characters=1000, last_word_s=20.0)) as lines:
        log = Log(lines, encoding="json")
        lines.left_out = log.left_out
        log("0")
        assert is_stuck.wait(20)
        for number in range(1, 101):
            log(str(number))
        is_reading.set()
    said = [json.loads(line) for line in written]
    count = len(said) - 1
    assert [row["msg"] for row in said[:-1]] == [str(number) for number in range(count)]
    assert 1 < count < 100
    assert said[-1]["msg"].startswith(f"{101 - count} lines before this one were left out")


def test_the_end_does_not_wait_for_ever() -> None:
    """What is written to nobody is given up at the end; lines that cannot be written are lost, and others are not."""
    never = threading.Event()
    with contextlib.closing(Lines(lambda _line: bool(never.wait(20)), last_word_s=0.01)) as lines:
        lines("a line")
    never.set()
    written: list[str] = []

    def write(line: str) -> None:
        if line == "bad":
            raise BrokenPipeError
        written.append(line)

    with contextlib.closing(Lines(write, last_word_s=20.0)) as lines:
        for line in ("first", "bad", "last"):
            lines(line)
    assert written == ["first", "last"]


def test_what_writes_to_standard_error_itself_waits_for_nobody_either() -> None:
    """Warnings and the interpreter's own words come a part at a time; whole lines go on, in order."""
    lines: list[str] = []
    stream = LineStream(lines.append)
    print("a warning", "of two\nlines", file=stream)
    stream.write("and a ")
    assert lines == ["a warning of two", "lines"]
    stream.write("third\n")
    stream.flush()
    assert lines[2:] == ["and a third"]
