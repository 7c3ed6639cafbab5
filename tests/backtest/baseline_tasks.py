"""Tasks made for the tests of published rules. Sizes are in MiB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.memory.history import Finished, Task
from stepsize.sizes import MIB

if TYPE_CHECKING:
    from stepsize.analyzer.backtest.sizer import Rule

REQUEST_MIB = 6000.0
MACHINE_MIB = 128 * 1024.0
DAY_S = 86400.0


def task(
    input_mib: float | None = None, *, run: str | None = None, at_s: float | None = None, request_known: bool = True
) -> Task:
    """A task that asks for 6000 MiB on a machine of 128 GiB."""
    return Task(
        requested_bytes=REQUEST_MIB * MIB,
        input_bytes=None if input_mib is None else input_mib * MIB,
        run=run,
        submitted_at_s=at_s,
        largest_bytes=MACHINE_MIB * MIB,
        request_known=request_known,
    )


def finished(
    peak_mib: float,
    input_mib: float | None = None,
    *,
    hours: float = 1.0,
    run: str | None = None,
    at_s: float | None = None,
    killed_mib: tuple[float, ...] = (),
) -> Finished:
    """Such a task that ended, after attempts that were killed with so much."""
    killed = tuple(limit * MIB for limit in killed_mib)
    return Finished(task(input_mib, run=run, at_s=at_s), peak_mib * MIB, hours, killed)


def taught(rule: Rule, *peaks_mib: float) -> Rule:
    """The rule, after tasks with these peaks."""
    for peak_mib in peaks_mib:
        rule.learn(finished(peak_mib))
    return rule


def size_mib(rule: Rule, of: Task | None = None) -> float:
    """What the rule asks for."""
    return rule.size(of or task()) / MIB


def retry_mib(rule: Rule, *killed_mib: float, of: Task | None = None) -> float:
    """What it asks for after attempts that were too small."""
    return rule.retry(of or task(), tuple(killed * MIB for killed in killed_mib)) / MIB
