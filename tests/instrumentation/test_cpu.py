"""The ledger of CPU time, against trees whose every tick is known."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from stepsize.instrumentation.agent.probes.cpu import CpuLedger
from stepsize.instrumentation.procfs import Stat

ROOT, INIT = 100, 1


@dataclass
class Process:
    pid: int
    parent: int
    used: int = 0
    children: int = 0


@dataclass
class Tree:
    """A tree as the kernel has it, and what all of its processes have really used."""

    live: dict[int, Process] = field(default_factory=lambda: {ROOT: Process(ROOT, INIT)})
    truth: int = 0
    next_pid: int = ROOT + 1

    def fork(self, which: int) -> None:
        self.live[self.next_pid] = Process(self.next_pid, self._pick(which).pid)
        self.next_pid += 1

    def burn(self, which: int, ticks: int) -> None:
        self._pick(which).used += ticks
        self.truth += ticks

    def end(self, which: int, *, waited_for: bool) -> None:
        process = self._pick(which)
        if process.pid == ROOT:
            return
        del self.live[process.pid]
        for other in self.live.values():
            if other.parent == process.pid:
                other.parent = INIT
        if waited_for and process.parent in self.live:
            self.live[process.parent].children += process.used + process.children

    def stats(self) -> dict[int, Stat]:
        return {
            p.pid: Stat(p.pid, b"S", p.parent, 1, 0, p.used, 0, p.children, 0, 1, p.pid, 0, 0, 0)
            for p in self.live.values()
        }

    def _pick(self, which: int) -> Process:
        pids = sorted(self.live)
        return self.live[pids[which % len(pids)]]


_WHICH = st.integers(0, 30)
_EVENT = st.one_of(
    st.tuples(st.just("fork"), _WHICH),
    st.tuples(st.just("burn"), _WHICH, st.integers(1, 50)),
    st.tuples(st.just("end"), _WHICH, st.booleans()),
    st.tuples(st.just("sample")),
)


def _play(tree: Tree, ledger: CpuLedger, events: list[tuple], *, all_waited_for: bool) -> list[int]:
    totals = [sum(ledger.update(tree.stats()))]
    for kind, *rest in events:
        if kind == "fork":
            tree.fork(*rest)
        elif kind == "burn":
            tree.burn(*rest)
        elif kind == "end":
            which, waited_for = rest
            tree.end(which, waited_for=waited_for or all_waited_for)
        else:
            totals.append(sum(ledger.update(tree.stats())))
    totals.append(sum(ledger.update(tree.stats())))
    return totals


@given(st.lists(_EVENT, max_size=60))
def test_the_total_never_falls_and_never_exceeds_what_was_used(events: list[tuple]) -> None:
    """Whoever comes and goes, waited for or not: monotonic, and no tick is counted twice."""
    tree = Tree()
    totals = _play(tree, CpuLedger(), events, all_waited_for=False)
    assert totals == sorted(totals)
    assert totals[-1] <= tree.truth


@given(st.lists(_EVENT, max_size=60))
def test_children_that_are_waited_for_are_counted_to_the_tick(events: list[tuple]) -> None:
    """Where the root waits for every child, the total is the truth, however short the children lived."""
    events = [("fork", 0) if event[0] == "fork" else event for event in events]
    tree = Tree()
    assert _play(tree, CpuLedger(), events, all_waited_for=True)[-1] == tree.truth


def test_what_was_seen_of_a_lost_process_is_kept() -> None:
    """A child that nobody waited for takes its time along; what the last sample saw of it stays."""
    tree, ledger = Tree(), CpuLedger()
    tree.fork(0)
    tree.burn(1, 30)
    assert sum(ledger.update(tree.stats())) == 30
    tree.burn(1, 5)
    tree.end(1, waited_for=False)
    assert sum(ledger.update(tree.stats())) == 30
    assert ledger.lost == (30, 0)


def test_a_child_that_is_waited_for_during_a_look_is_counted_once() -> None:
    """A parent that was read just before it waited, and a child that was gone when it was looked for: no tick is lost
    and none counted twice."""
    tree, ledger = Tree(), CpuLedger()
    tree.fork(0)
    tree.burn(1, 30)
    ledger.update(tree.stats())
    parent = tree.stats()[ROOT]
    tree.end(1, waited_for=True)
    assert sum(ledger.update({ROOT: parent}, again=tree.stats().get)) == 30
    assert sum(ledger.update(tree.stats(), again=tree.stats().get)) == 30
    assert ledger.lost == (0, 0)


def test_a_number_that_is_given_out_again_is_another_process() -> None:
    """A new process under the pid of one that is gone does not take its time over."""
    tree, ledger = Tree(), CpuLedger()
    tree.fork(0)
    tree.burn(1, 30)
    ledger.update(tree.stats())
    stats = tree.stats()
    stats[ROOT + 1] = stats[ROOT + 1]._replace(start=9999, user=2)
    assert sum(ledger.update(stats)) == 32
