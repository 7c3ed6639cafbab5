"""The rules of the replay, worked out by hand, and what no policy may do."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepsize.analyzer.backtest import baselines
from stepsize.analyzer.backtest.feedback import Mode
from stepsize.analyzer.backtest.learned import LearnedSizer
from stepsize.analyzer.backtest.records import DEFAULT_REQUEST_BYTES, Record, Records
from stepsize.analyzer.backtest.replay import Attempt, replay
from stepsize.analyzer.backtest.score import Scorer
from stepsize.analyzer.backtest.sizer import Sizer
from stepsize.analyzer.sizing.presets import PRESETS

GIB = 2.0**30


def records(*peaks_gib: float, request_gib: float | None = 1.0, run_of: int = 1, hours: float = 1.0) -> Records:
    """Tasks of one step of an hour each, one after another, ``run_of`` of them a run."""
    return Records(
        "made",
        tuple(
            Record(
                workflow="w",
                task="t",
                run=str(number // run_of),
                submit_order=number,
                peak_bytes=peak * GIB,
                runtime_s=3600 * hours,
                requested_bytes=None if request_gib is None else request_gib * GIB,
                submitted_at_s=1000.0 * number,
                ended_at_s=1000.0 * number + 2500.0,
            )
            for number, peak in enumerate(peaks_gib)
        ),
        largest_bytes=128 * GIB,
    )


def by_rule(name: str) -> Sizer:
    return baselines.RULES[name].sizer()


def allocated_gib(found: Records, name: str, mode: Mode = Mode.ONLINE) -> list[float]:
    return [attempt.allocated_bytes / GIB for attempt in replay(found, by_rule(name), mode)]


def test_an_allocation_below_the_peak_fails_and_is_doubled() -> None:
    """A peak of 3 GiB under a request of 1: 1 and 2 fail, 4 is enough; the next task gets 1.2 times 3."""
    found = list(replay(records(3, 3), by_rule("max-1.2-all"), Mode.ONLINE))
    assert [(one.attempt, one.allocated_bytes / GIB, one.failed) for one in found] == [
        (0, 1.0, True),
        (1, 2.0, True),
        (2, 4.0, False),
        (0, pytest.approx(3.6), False),
    ]


def test_no_request_on_record_is_metaflows_default() -> None:
    """4096 MiB for the first task of the step."""
    assert allocated_gib(records(1, request_gib=None), "max-1.2-all") == [DEFAULT_REQUEST_BYTES / GIB]


def test_failed_attempts_are_charged_for_their_share_of_the_run_time() -> None:
    """1 and 2 GiB for half an hour each, then 4 for an hour: 5.5 GB·h for a task that used 3, with two failures."""
    scorer = Scorer(time_to_failure=0.5)
    for attempt in replay(records(3), by_rule("max-1.2-all"), Mode.ONLINE):
        scorer.add(attempt)
    total = scorer.score().total
    assert (total.tasks, total.failures, total.allocated_gb_h, total.used_gb_h) == (1, 2, 5.5, 3.0)
    assert total.wastage_gb_h == 2.5
    assert scorer.score().warm.tasks == 0


@pytest.mark.parametrize(
    ("mode", "unknown"),
    [
        (Mode.ONLINE, 1),
        (Mode.CAUSAL, 3),  # a task takes 2500 s, and one is submitted every 1000 s
        (Mode.RUN, 2),  # two tasks a run
    ],
)
def test_when_a_task_is_known(mode: Mode, unknown: int) -> None:
    """So many tasks get what was asked for, 4 GiB; then 1.2 times the peak of 2 GiB is known."""
    allocated = allocated_gib(records(2, 2, 2, 2, 2, 2, request_gib=4, run_of=2), "max-1.2-all", mode)
    assert allocated == [4.0] * unknown + [pytest.approx(2.4)] * (6 - unknown)


def test_the_oracle_wastes_nothing() -> None:
    """It is given every peak."""
    scorer = Scorer(1.0)
    for attempt in replay(records(0.5, 3, 7), by_rule("requested"), Mode.ONLINE, knows_peaks=True):
        scorer.add(attempt)
    assert scorer.score().total.wastage_gb_h == pytest.approx(0)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=40)
@given(
    peaks=st.lists(st.floats(0.2, 100.0), min_size=2, max_size=25),
    cut=st.integers(1, 24),
    preset=st.sampled_from(sorted(PRESETS)),
    mode=st.sampled_from(Mode),
    run_of=st.integers(1, 5),
)
def test_a_longer_file_changes_nothing_at_its_beginning(
    peaks: list[float], cut: int, preset: str, mode: Mode, run_of: int
) -> None:
    """Nothing that comes later is looked at: the attempts of the first tasks are the same without the others."""

    def attempts(of: list[float]) -> list[tuple[float, int, float]]:
        sizer = LearnedSizer(PRESETS[preset], static=mode is Mode.RUN)
        found: list[Attempt] = list(replay(records(*of, run_of=run_of), sizer, mode))
        return [(one.record.submit_order, one.attempt, one.allocated_bytes) for one in found]

    short = attempts(peaks[:cut])
    assert attempts(peaks)[: len(short)] == short


@settings(deadline=None, max_examples=40)
@given(peaks=st.lists(st.floats(0.2, 100.0), min_size=1, max_size=25), preset=st.sampled_from(sorted(PRESETS)))
def test_every_task_ends_and_every_attempt_is_within_bounds(peaks: list[float], preset: str) -> None:
    """One attempt of each task is enough, those before it were not and are smaller, none is outside [128 MiB, 128
    GiB]."""
    found = list(replay(records(*peaks), LearnedSizer(PRESETS[preset]), Mode.ONLINE))
    assert sum(not attempt.failed for attempt in found) == len(peaks)
    for attempt in found:
        assert 2**27 <= attempt.allocated_bytes <= 128 * GIB
        assert attempt.failed == (attempt.allocated_bytes < attempt.record.peak_bytes)


def test_in_mode_run_a_step_has_one_request_a_run() -> None:
    """As `@resources` carries it: the first attempts of a run's tasks are all the same."""
    thirty = records(*[1 + number % 3 for number in range(30)], run_of=5)
    by_run: dict[str | None, set[float]] = {}
    for attempt in replay(thirty, LearnedSizer(4.0, static=True), Mode.RUN):
        if attempt.attempt == 0:
            by_run.setdefault(attempt.record.run, set()).add(attempt.allocated_bytes)
    assert [len(requests) for requests in by_run.values()] == [1] * 6
