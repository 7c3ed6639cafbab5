"""Backtests of files: a policy beside what the users asked for and beside every published rule.

What comes in: paths, the name of a policy, how to replay. What goes out: a frozen :class:`Result` for each file, in the
order of the paths; the attempts of the policy in a CSV where asked for. Files are replayed in processes beside this
one.
"""

from __future__ import annotations

import csv
import functools
import os
import signal
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.analyzer.backtest import baselines
from stepsize.analyzer.backtest.feedback import Mode
from stepsize.analyzer.backtest.learned import LearnedSizer
from stepsize.analyzer.backtest.records import read
from stepsize.analyzer.backtest.replay import replay
from stepsize.analyzer.backtest.score import Scorer
from stepsize.analyzer.sizing.presets import PRESETS
from stepsize.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from multiprocessing.connection import Connection
    from pathlib import Path

    from stepsize.analyzer.backtest.records import Records
    from stepsize.analyzer.backtest.replay import Attempt
    from stepsize.analyzer.backtest.score import Score
    from stepsize.analyzer.backtest.sizer import Sizer

    _Files = Mapping[Path, Records]
    _Job = tuple[Path, str, "Plan", bool]
    _Done = tuple[Score, list[tuple[object, ...]]]

ORACLE = "oracle"
REQUESTED = "requested"
ATTEMPT_COLUMNS = ("workflow", "task", "submit_order", "attempt", "allocated_bytes", "failed", "policy", "file")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to replay: the policy, when evidence arrives, the share of the run time after which an attempt that is too
    small fails, and whether siblings help a step that never ran. ``compare`` also replays every baseline."""

    policy: str = "balanced"
    mode: Mode = Mode.ONLINE
    time_to_failure: float = 1.0
    cold_start: bool = True
    compare: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What the tasks of one file would have cost: by the policy, as their users asked, by each baseline."""

    file: str
    policy: str
    score: Score
    requested: Score
    baselines: tuple[tuple[str, Score], ...]


def policies() -> tuple[str, ...]:
    """The names that a plan may give."""
    return (*PRESETS, *baselines.RULES, ORACLE)


def backtest(
    paths: Sequence[Path], plan: Plan, *, attempts: Path | None = None, advanced: Callable[[], object] = lambda: None
) -> Iterator[Result]:
    """The result of each file, as it is done, in the order of ``paths``.

    ``attempts`` is written with every attempt of the plan's policy; ``advanced`` is called ``jobs`` times in all.

    Raises:
        UsageError: there is no such policy, or a file cannot be read.
    """
    if plan.policy not in policies():
        raise UsageError(f"no policy is called {plan.policy!r}; there are {', '.join(policies())}")
    if attempts is not None and attempts.resolve() in {path.resolve() for path in paths}:
        raise UsageError(f"{attempts} is one of the files to replay; give another --attempts")
    files = {path: read(path) for path in paths}  # what cannot be read is said before anything is written
    names = _names(plan)
    work = [(path, name, plan, attempts is not None and name == plan.policy) for path in paths for name in names]
    with _scored(files, work) as scored, _attempts_file(attempts) as write:
        for path in paths:
            scores: dict[str, Score] = {}
            for name in names:
                scores[name], rows = next(scored)
                write(rows)
                advanced()
            others = tuple((name, scores[name]) for name in names if name not in PRESETS)
            yield Result(
                file=str(path),
                policy=plan.policy,
                score=scores[plan.policy],
                requested=scores[REQUESTED],
                baselines=others,
            )


def jobs(files: int, plan: Plan) -> int:
    """How many replays a backtest of so many files is."""
    return files * len(_names(plan))


def _names(plan: Plan) -> tuple[str, ...]:
    """The policy, then what it is compared with, each once; what the users asked for is always among them."""
    others = (*baselines.RULES, ORACLE) if plan.compare else (REQUESTED,)
    return tuple(dict.fromkeys((plan.policy, *others)))


@contextmanager
def _scored(files: _Files, work: Sequence[_Job]) -> Iterator[Iterator[_Done]]:
    """What each job gives, in order: here, or in processes where more than one can work."""
    workers = min(len(work), _cores())
    if workers <= 1:
        yield (_score(files, job) for job in work)
        return
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415 - who reads one file needs no processes
    from multiprocessing import get_context  # noqa: PLC0415 - as above

    # Not forked: the caller may have threads (a progress bar, DuckDB).
    context = get_context("spawn")
    ends, held = context.Pipe(duplex=False)
    with held, ProcessPoolExecutor(workers, context, _hold, (files, ends)) as pool:
        try:
            with _deaf():
                results = pool.map(_score_held, work)
            yield results
        except BaseException:
            held.close()  # what they are at is of no use any more
            raise


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes that are started meanwhile leave an interrupt to this one, which hears of it afterwards."""
    if sys.platform == "win32":
        yield
        return
    with _later():
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # what is started now begins so
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _later() -> Iterator[None]:
    """An interrupt is told at the end: a thread without that mask may take it, and has the main thread hear of it."""
    if threading.current_thread() is not threading.main_thread():
        yield  # it hears of none
        return
    heard: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler if handler is None else handler)
        if heard:
            signal.raise_signal(signal.SIGINT)


@functools.cache
def _held() -> dict[Path, Records]:
    """What this process was handed when it began: a file is replayed with many policies, and handed over once."""
    return {}


def _hold(files: _Files, ends: Connection) -> None:
    _held().update(files)
    threading.Thread(target=_end_with, args=(ends,), daemon=True).start()


def _end_with(ends: Connection) -> None:
    """A worker is of no use once the other end is closed: by who started it, or with it, however it ended."""
    ends.poll(None)
    os._exit(1)


def _score_held(job: _Job) -> _Done:
    return _score(_held(), job)


def _cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS and Windows have no such thing


def _score(files: _Files, job: _Job) -> _Done:
    path, name, plan, keep = job
    records = files[path]
    scorer = Scorer(plan.time_to_failure)
    kept: list[tuple[object, ...]] = []
    for attempt in replay(records, _sizer(name, plan), plan.mode, knows_peaks=name == ORACLE):
        scorer.add(attempt)
        if keep:
            kept.append(_row(attempt, name, path))
    return scorer.score(), kept


def _sizer(name: str, plan: Plan) -> Sizer:
    price = PRESETS.get(name)
    if price is not None:
        return LearnedSizer(price, plan.time_to_failure, static=plan.mode is Mode.RUN, cold_start=plan.cold_start)
    return baselines.RULES[REQUESTED if name == ORACLE else name].sizer()


def _row(attempt: Attempt, policy: str, path: Path) -> tuple[object, ...]:
    record = attempt.record
    return (
        record.workflow,
        record.task,
        record.submit_order,
        attempt.attempt,
        repr(attempt.allocated_bytes),
        int(attempt.failed),
        policy,
        str(path),
    )


@contextmanager
def _attempts_file(path: Path | None) -> Iterator[Callable[[Sequence[tuple[object, ...]]], None]]:
    if path is None:
        yield lambda _rows: None
        return
    try:
        with path.open("w", newline="", encoding="utf-8") as out:
            writer = csv.writer(out)
            writer.writerow(ATTEMPT_COLUMNS)
            yield writer.writerows
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; give another --attempts") from None
