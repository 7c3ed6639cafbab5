"""A child process that is kept alive: what it says, what it is told, how it ends and what comes after it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import textwrap
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from stepsize.collector.processes.supervised import Launch, Supervised
from stepsize.errors import LakeError
from tests.collector.pipelines.logs import wait_until
from tests.collector.running import DEADLINE_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.collector.running import Place

MODULE = "child_of_a_test"


@dataclass
class Supervisor:
    """Supervises the program that a test has written, and keeps what it heard."""

    home: Path
    program: str
    news: Callable[[], list[str]] = list
    heard: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    async def __aenter__(self) -> Supervised:
        source = f"import os, signal, sys, time\n{textwrap.dedent(self.program)}"
        (self.home / f"{MODULE}.py").write_text(source)
        self.child = Supervised(
            "the child",
            Launch(MODULE, self.home),
            news=self.news,
            hear=self._hear,
            log=self.lines.append,
            failure=LakeError,
        )
        return self.child

    async def __aexit__(self, *_: object) -> None:
        await self.child.stop(0.0)

    def _hear(self, word: str, rest: str) -> bool:
        self.heard.append(f"{word} {rest}")
        return bool(int(rest))


def test_a_child_that_cannot_begin_says_why(tmp_path: Path) -> None:
    """Its own words, or the exit code of one that says nothing; what it had for the operator before is told."""

    async def scenario() -> None:
        supervisor = Supervisor(tmp_path, 'print("log a word before"); print("error no room")')
        async with supervisor as child:
            with pytest.raises(LakeError, match=r"^no room$"):
                await child.start()
        assert supervisor.lines == ["a word before"]
        async with Supervisor(tmp_path, "sys.exit(3)") as child:
            with pytest.raises(LakeError, match="the child ended with 3"):
                await child.start()

    asyncio.run(scenario())


def test_another_comes_ever_later_until_one_gets_somewhere(tmp_path: Path) -> None:
    """A child that ends at once is started again more and more slowly, one that has got somewhere at once."""
    program = """
        print("ready", flush=True)
        with open("begun", "a") as begun:
            print(time.monotonic(), file=begun)
        number = len(open("begun").readlines())
        print("did", int(number == 3), flush=True)
        """

    async def scenario() -> list[float]:
        async with Supervisor(tmp_path, program) as child:
            await child.start()
            await wait_until(lambda: child.restarts >= 4, "four restarts")
        return [float(line) for line in (tmp_path / "begun").read_text().split()]

    begun = asyncio.run(scenario())
    waits_s = [after - before for before, after in pairwise(begun)]
    assert waits_s[0] >= 0.1
    assert waits_s[1] >= 0.2
    assert waits_s[2] >= 0.1
    assert waits_s[2] < waits_s[1] + 0.1, "what got somewhere is not waited for as long as what did not"


def test_nonsense_ends_a_child(tmp_path: Path) -> None:
    """A line that nobody understands, or one without end, is told, and another process goes on."""
    program = """
        print("ready", flush=True)
        if not os.path.exists("second"):
            open("second", "w").close()
            print("did what?", flush=True)
        elif not os.path.exists("third"):
            open("third", "w").close()
            print("x" * 1_000_000, flush=True)
        else:
            print("did 1", flush=True)
        sys.stdin.read()
        """

    async def scenario() -> None:
        supervisor = Supervisor(tmp_path, program)
        async with supervisor as child:
            await child.start()
            await wait_until(lambda: "did 1" in supervisor.heard, "sense")
            assert child.is_alive
        assert len([line for line in supervisor.lines if "said what nobody understands" in line]) == 2

    asyncio.run(scenario())


def test_news_does_not_pile_up(tmp_path: Path) -> None:
    """What a child does not take while it is busy stays small; in the end it has heard the last word."""
    program = """
        print("ready", flush=True)
        signal.signal(signal.SIGUSR1, lambda *_: None)
        print("paused 1", flush=True)
        signal.pause()
        print("took", sum(map(len, sys.stdin)), flush=True)
        """
    told: list[str] = []

    def news() -> list[str]:
        told.append(f"{len(told)} {'x' * 50_000}")
        return told[-1:]

    async def scenario() -> None:
        supervisor = Supervisor(tmp_path, program, news)
        async with supervisor as child:
            await child.start()
            await wait_until(lambda: "paused 1" in supervisor.heard, "a child that does not listen")
            for _ in range(100):
                child.tell_soon()
                await asyncio.sleep(0.01)  # not to wait for anything: a second of news
            assert len(told) < 25, "50 turns would have been 2.5 MB"
            assert child.pid
            os.kill(child.pid, signal.SIGUSR1)
            assert await child.stop(20.0)
            assert supervisor.heard[-1] == f"took {sum(len(line) + 1 for line in told)}"

    asyncio.run(scenario())


def test_one_that_does_not_end_is_killed(tmp_path: Path) -> None:
    """Who stops a child that has no end is told so, and it is gone when that returns."""

    async def scenario() -> None:
        async with Supervisor(tmp_path, 'print("ready", flush=True)\nwhile True: time.sleep(60)') as child:
            await child.start()
            pid = child.pid
            assert pid
            assert not await child.stop(0.1)
            assert not psutil.pid_exists(pid)

    asyncio.run(scenario())


def test_replaced(tmp_path: Path) -> None:
    """One with other arguments goes on, which is no failure that anybody has to hear of."""
    program = """
        print("ready", flush=True)
        print("number", sys.argv[1] if sys.argv[1:] else 0, flush=True)
        sys.stdin.read()
        """

    async def scenario() -> None:
        supervisor = Supervisor(tmp_path, program)
        async with supervisor as child:
            await child.start()
            await wait_until(lambda: supervisor.heard, "the first")
            child.replace(Launch(MODULE, tmp_path, ("7",)))
            await wait_until(lambda: supervisor.heard == ["number 0", "number 7"], "the second")
        assert supervisor.lines == []

    asyncio.run(scenario())


def test_signals_to_the_group_are_the_collectors_own(place: Place) -> None:
    """A terminal that closes, a Ctrl-C and a stop that reach the sink too do not end it: it has to drain."""
    collector = place.collect()
    sink = collector.sink()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        sink.send_signal(number)
    collector.flush()
    assert sink.is_running()
    assert collector.sink().pid == sink.pid


def test_killed_the_moment_it_is_forked(place: Place) -> None:
    """However early a child ends, before it runs a program of its own too, another one comes."""
    collector = place.collect()
    pid = collector.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children")
    killed: set[int] = set()
    until_s = time.monotonic() + DEADLINE_S
    while len(killed) < 5 and time.monotonic() < until_s:  # without a pause: a fork lasts a millisecond
        for child in {int(one) for one in children.read_text().split()} - killed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            killed.add(child)
    assert len(killed) == 5
    collector.flush()
