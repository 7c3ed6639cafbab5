"""What every published rule promises: an answer, the same each time, from nothing but what was known."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.analyzer.backtest.baselines import RULES
from stepsize.analyzer.backtest.feedback import Mode
from stepsize.analyzer.backtest.records import Record, Records
from stepsize.analyzer.backtest.replay import replay
from stepsize.sizes import MIB
from tests.backtest.baseline_tasks import MACHINE_MIB, REQUEST_MIB, finished, retry_mib, size_mib

NAMES = (
    "requested", "max-1.2-all", "max-1.2-last5", "resource-tracker", "resource-tracker-exact", "vpa", "krr",
    "autopilot", "tovar-waste", "tovar-throughput", "witt-p95", "witt-lr", "witt-low-wastage", "ponder", "sizey",
    "greedy-bucketing", "exhaustive-bucketing",
)  # fmt: skip
BUCKETING = ("greedy-bucketing", "exhaustive-bucketing")
LARGEST_BYTES = 128 * 2**30


def test_the_rules_are_listed_in_a_fixed_order_with_what_they_do_and_their_source() -> None:
    """Each name leads to a rule of that name, one line on what it does, and where it comes from."""
    assert tuple(RULES) == NAMES
    assert all(rule.name == name and rule.description and rule.source for name, rule in RULES.items())


def test_the_documentation_lists_every_rule() -> None:
    """`docs/backtest.md` has a row for each, in their order, with what it does and its source."""
    page = (Path(__file__).parents[2] / "docs/backtest.md").read_text(encoding="utf-8")
    rows = [line.split(" | ")[:3] for line in page.splitlines() if line.startswith("| `")]
    assert rows == [[f"| `{rule.name}`", rule.description, rule.source] for rule in RULES.values()]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in BUCKETING])
def test_with_no_history_a_rule_asks_for_what_the_user_did(name: str) -> None:
    """A step that has never run gets its user's request."""
    assert size_mib(RULES[name].make()) == REQUEST_MIB


@pytest.mark.parametrize("name", BUCKETING)
def test_bucketing_samples_with_its_own_size(name: str) -> None:
    """A step that has never run gets cctools' 1000 MB, whatever its user asked for."""
    assert size_mib(RULES[name].make()) == 1000


@pytest.mark.parametrize("name", [name for name in NAMES if name != "requested"])
def test_a_rule_learns(name: str) -> None:
    """After a dozen tasks of 100 MiB each rule asks for less than the user, and for 100 MiB at least."""
    rule = RULES[name].make()
    for _ in range(12):
        rule.learn(finished(100))
    assert 100 <= size_mib(rule) * (1 + 1e-9) < 1000


@pytest.mark.parametrize("name", NAMES)
def test_a_repetition_gets_more(name: str) -> None:
    """After a failure each rule asks for more than what failed, however often it fails, until it has the machine."""
    rule = RULES[name].make()
    for peak in (100, 130, 90, 2000, 100, 110, 95, 105, 100, 120, 100, 90):
        rule.learn(finished(peak))
    tried = [size_mib(rule)]
    for _ in range(5):
        more = retry_mib(rule, *tried)
        assert more > tried[-1] or tried[-1] == MACHINE_MIB
        tried.append(more)


def test_a_step_does_not_know_of_another() -> None:
    """Two rules made by one factory share nothing."""
    for name, rule in RULES.items():
        one, other = rule.make(), rule.make()
        for _ in range(12):
            one.learn(finished(100))
        assert size_mib(other) == (1000 if name in BUCKETING else REQUEST_MIB)


@st.composite
def recorded(draw: st.DrawFn) -> tuple[Record, ...]:
    """Up to forty tasks of one step in the order of submission; in each list inputs and times are known or not."""
    with_inputs, with_times, with_requests = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    peaks = st.one_of(st.floats(1e6, 1e11), st.sampled_from([1e9, 2e9]))
    tasks = draw(
        st.lists(st.tuples(peaks, st.floats(0.01, 1e5), st.floats(0, 1e12), st.floats(0, 1e6)), min_size=2, max_size=40)
    )
    submitted = 0.0
    records = []
    for order, (peak, runtime, size, pause) in enumerate(tasks):
        submitted += pause
        records.append(
            Record(
                workflow="flow",
                task="step",
                submit_order=float(order),
                peak_bytes=peak,
                runtime_s=runtime,
                run=str(order // 7),
                input_bytes=size if with_inputs else None,
                submitted_at_s=submitted if with_times else None,
                ended_at_s=submitted + runtime if with_times else None,
                requested_bytes=8e9 if with_requests else None,
            )
        )
    return tuple(records)


def allocations(name: str, tasks: tuple[Record, ...], mode: Mode) -> list[tuple[float, float]]:
    """Each attempt's task and allocation."""
    found = replay(Records("made", tasks, LARGEST_BYTES), RULES[name].sizer(), mode)
    return [(attempt.record.submit_order, attempt.allocated_bytes) for attempt in found]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15, deadline=None)
@given(tasks=recorded(), mode=st.sampled_from(Mode), cut=st.floats(0.1, 1))
def test_what_comes_later_changes_nothing(name: str, tasks: tuple[Record, ...], mode: Mode, cut: float) -> None:
    """The attempts of the first tasks are the same where the list goes on, and where it is replayed again."""
    some = tasks[: max(1, int(cut * len(tasks)))]
    alone = allocations(name, some, mode)
    assert [pair for pair in allocations(name, tasks, mode) if pair[0] < len(some)] == alone


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15, deadline=None)
@given(tasks=recorded())
def test_every_answer_is_a_size(name: str, tasks: tuple[Record, ...]) -> None:
    """Whatever the tasks were, requests and repetitions are positive and finite."""
    rule = RULES[name].make()
    for record in tasks:
        ended = finished(
            record.peak_bytes / MIB,
            None if record.input_bytes is None else record.input_bytes / MIB,
            hours=record.hours,
            run=record.run,
            at_s=record.submitted_at_s,
        )
        answers = [rule.size(ended.task), rule.retry(ended.task, (1e8,))]
        assert all(math.isfinite(answer) and answer > 0 for answer in answers)
        rule.learn(ended)
