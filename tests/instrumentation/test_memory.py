"""The ledger of memory, against processes whose every byte is known."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stepsize.instrumentation.agent.probes.memory import MemoryLedger, ProcessMemory


def _process(pid: int, resident: int, peak: int, *, inherited: bool = False) -> ProcessMemory:
    return ProcessMemory((pid, pid), resident, resident, max(resident, peak), inherited)


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=1))
def test_the_peak_of_one_process_is_its_own_to_the_byte(steps: list[tuple[int, int]]) -> None:
    """Whatever lies between the samples, VmHWM has it and the ledger adds nothing."""
    ledger, highest = MemoryLedger(), 0
    for resident, extra in steps:
        highest = max(highest, resident + extra)
        assert ledger.update([_process(1, resident, highest)]) == resident
        assert ledger.peak_bytes == highest


@given(st.lists(st.integers(1, 100), min_size=2))
def test_processes_that_follow_one_another_are_not_added_up(sizes: list[int]) -> None:
    """Each is alone when it is there, so the peak is that of the largest."""
    ledger = MemoryLedger()
    for pid, size in enumerate(sizes, 1):
        ledger.update([_process(pid, size // 2, size)])
    assert ledger.peak_bytes == max(sizes)


@given(st.lists(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 50)), max_size=5), min_size=1))
def test_the_peak_lies_between_the_samples_and_the_sum_of_peaks(samples: list[list[tuple[int, int]]]) -> None:
    """Never below what was held at a sample, never above what all processes could have held at once."""
    ledger = MemoryLedger()
    peaks: dict[int, int] = {}
    for sample in samples:
        processes = []
        for pid, (resident, extra) in enumerate(sample):
            peaks[pid] = max(peaks.get(pid, 0), resident + extra)
            processes.append(_process(pid, resident, peaks[pid]))
        usage = ledger.update(processes)
        assert usage <= ledger.peak_bytes <= sum(peaks.values())


def test_a_spike_stands_beside_what_the_others_hold() -> None:
    """Two processes of 100, one of which touched 300 in between, were at 400."""
    ledger = MemoryLedger()
    ledger.update([_process(1, 100, 100), _process(2, 100, 100)])
    ledger.update([_process(1, 100, 100), _process(2, 100, 300)])
    assert ledger.peak_bytes == 400


def test_a_copy_inherits_its_parents_peak_without_having_had_it() -> None:
    """VmHWM of a forked child begins as the parent's: no spike of its own."""
    ledger = MemoryLedger()
    ledger.update([_process(1, 100, 500)])
    ledger.update([_process(1, 100, 500), ProcessMemory((2, 2), 0, 100, 500, inherited=True)])
    assert ledger.peak_bytes == 500


def test_the_last_word_raises_the_peak_beside_the_others() -> None:
    """A process that says at its end that it held more did so beside what the others held at the last sample."""
    ledger = MemoryLedger()
    ledger.update([_process(1, 100, 100), _process(2, 50, 50)])
    assert ledger.final((1, 1), 400) == 450
    assert ledger.final((1, 1), 90) == 450
