"""What the report would have asked for on recorded tasks: ``python benchmarks/report_sizing.py TRACES``.

Takes each CSV file of a directory that holds several runs (`docs/backtest.md` says what is in one) as the history of
its steps, has the policies size them as ``stepsize report`` does, and counts what each step's own runs would have been
under the request that stood before them, the newest twenty of each: whole MB, never under 250, from three finished
tasks on (or two, see `docs/policies.md`). A retry has no more memory, so a run of a step fails with its first task that
needs more. With *lessons* a policy knows what the steps of all other files taught, else nothing but the step itself;
with *its own runs among them* also what came after each of its own.

Then it makes up steps whose runs differ as wholes more or less, and holds what is expected after some runs against what
comes of the next.

Prints, as Markdown, for each policy and for the rules that renew one request from all runs before: run of steps with
a task that needed more, such tasks, GB·h allocated over used (means over files), and beside what came, what had been
expected. Deterministic.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stepsize.analyzer.backtest.records import Record, read
from stepsize.analyzer.sizing.least_cost import balanced, cheap, safe
from stepsize.analyzer.sizing.lessons import ALONE, FlowKey, Lessons
from stepsize.analyzer.sizing.memory.exceedances import Exceedances
from stepsize.analyzer.sizing.memory.learner import Mean
from stepsize.analyzer.sizing.replays import NEWEST_RUNS
from stepsize.analyzer.sizing.rounding import round_up_mb
from stepsize.analyzer.usage import Attempt, StepEvidence
from stepsize.model import BYTES_PER_MB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from stepsize.analyzer.sizing.memory.static import Replayed
    from stepsize.analyzer.sizing.policy import Policy

    Steps = dict[tuple[str, str], list[list[Record]]]
    Told = Callable[[str, Steps], Iterator[tuple[int, Replayed]]]

_FEWEST_TASKS = 3
_KNOWN = (1, 2, 3, 5, 10, 1000)
"""Numbers of runs known, from which on rows of the second table count."""
_WITHIN = 0.2
"""Standard deviation of the logarithm of a made-up step's peaks within a run."""
_TASKS_MADE_UP, _STEPS_MADE_UP = 20, 300


def steps_of(path: Path) -> Steps:
    """The runs of each step of a file, in the order in which they began."""
    runs: dict[tuple[str, str], dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in read(path).tasks:
        runs[record.step][record.run or ""].append(record)
    return {step: list(of_step.values()) for step, of_step in runs.items()}


def evidence(step: tuple[str, str], runs: Sequence[Sequence[Record]]) -> StepEvidence:
    """A step's records as the lake would have them."""
    attempts = [
        Attempt(
            run=f"{number:06}",
            task=str(task),
            started_at_s=1e6 * number,
            duration_s=record.hours * 3600,
            memory_peak_bytes=round(record.peak_bytes),
            requested_memory_bytes=None if record.requested_bytes is None else round(record.requested_bytes),
        )
        for number, run in enumerate(runs)
        for task, record in enumerate(run)
    ]
    return StepEvidence(flow=step[0], step=step[1], attempts=tuple(attempts))


def taught(files: Sequence[Steps]) -> Lessons:
    """What the steps of these files teach."""
    exceedances = Exceedances()
    flows: dict[FlowKey, Mean] = defaultdict(Mean)
    for steps in files:
        for (flow, _), runs in steps.items():
            largest = 0.0
            for known, run in enumerate(runs):
                peaks = np.array([record.peak_bytes for record in run])
                if known:
                    exceedances.add(known, np.log(peaks / largest))
                largest = max(largest, float(peaks.max()))
                mean = flows[FlowKey(None, production=False, flow=flow)]
                mean.byte_hours += math.fsum(record.peak_bytes * record.hours for record in run)
                mean.tasks += len(run)
    return Lessons(exceedances, flows)


@dataclass(slots=True)
class Count:
    """What a policy's requests did."""

    runs: int = 0
    failed_runs: int = 0
    tasks: int = 0
    too_small: int = 0
    expected: float = 0.0
    allocated: list[float] = field(default_factory=list)
    used: list[float] = field(default_factory=list)

    def add(self, replayed: Replayed) -> None:
        """One run of one step."""
        self.runs += 1
        self.failed_runs += replayed.too_small > 0
        self.tasks += replayed.tasks
        self.too_small += replayed.too_small
        self.expected += replayed.expected_too_small
        self.allocated.append(replayed.allocated_byte_hours)
        self.used.append(replayed.used_byte_hours)

    @property
    def ratio(self) -> float:
        """Allocated over used."""
        return math.fsum(self.allocated) / math.fsum(self.used)


def of_policy(policy: Policy, lessons: Lessons, steps: Steps) -> Iterator[tuple[int, Replayed]]:
    """What the report would have asked for before each run, with how many runs it stands on."""
    for step, runs in steps.items():
        replayed = policy.recommend(evidence(step, runs), lessons).replayed
        yield from ((int(one.run), one) for one in replayed)


def of_rule(rule: Callable[[list[list[float]]], float], steps: Steps) -> Iterator[tuple[int, Replayed]]:
    """The same of a rule that makes a request from the peaks of the runs before."""
    from stepsize.analyzer.sizing.memory.static import Replayed as Made  # noqa: PLC0415 -- its name is a type above

    for runs in steps.values():
        before: list[list[float]] = []
        for known, run in enumerate(runs):
            peaks = [record.peak_bytes for record in run]
            if sum(map(len, before)) >= _FEWEST_TASKS and known >= len(runs) - NEWEST_RUNS:
                asked = round_up_mb(max(rule(before), 250.0 * BYTES_PER_MB)) * float(BYTES_PER_MB)
                yield (
                    known,
                    Made(
                        run=str(known),
                        request_bytes=asked,
                        tasks=len(run),
                        too_small=sum(peak > asked for peak in peaks),
                        expected_too_small=0.0,
                        allocated_byte_hours=math.fsum(max(asked, r.peak_bytes) * r.hours for r in run),
                        requested_byte_hours=None,
                        used_byte_hours=math.fsum(r.peak_bytes * r.hours for r in run),
                    ),
                )
            before.append(peaks)


def _largest(factor: float, newest: int | None = None) -> Callable[[list[list[float]]], float]:
    return lambda runs: factor * max(max(run) for run in (runs if newest is None else runs[-newest:]))


def made_up(draw: np.random.Generator, runs: int, ratio: float) -> tuple[float, tuple[float, float], float]:
    """Failures expected of 1,000 after so many runs of 20 tasks of a made-up step, their interval, and the rate that
    comes; log-normal, the variance between runs ``ratio`` times that within them (infinite: none is within)."""
    between, within = (0.5, 0.0) if math.isinf(ratio) else (_WITHIN * math.sqrt(ratio), _WITHIN)
    levels = draw.normal(math.log(1e9), between, runs)
    attempts = [
        Attempt(
            run=f"{run:06}",
            task=str(task),
            started_at_s=1e6 * run,
            duration_s=60.0,
            memory_peak_bytes=round(math.exp(level + draw.normal(0.0, within))),
        )
        for run, level in enumerate(levels)
        for task in range(_TASKS_MADE_UP)
    ]
    answer = safe().recommend(StepEvidence(flow="F", step="s", attempts=tuple(attempts)))
    asked, expected = answer.memory_mb.value, answer.failures_expected_per_1000
    if asked is None or expected is None or answer.failures_range_per_1000 is None:
        raise AssertionError("a step without a request is given one")
    beyond = math.log(asked * BYTES_PER_MB / 1e9) / math.hypot(between, within)
    return expected, answer.failures_range_per_1000, 500 * math.erfc(beyond / math.sqrt(2))


def _print_made_up() -> None:
    print("\n| variance between runs over that within | runs known | expected, of 1,000 | came | interval held it |")
    print("| --- | --- | --- | --- | --- |")
    for ratio in (0.0, 0.5, 2.0, math.inf):
        for runs in (1, 2, 4, 10):
            draw = np.random.default_rng(runs)
            found = [made_up(draw, runs, ratio) for _ in range(_STEPS_MADE_UP)]
            held = sum(low - 0.05 <= came <= high + 0.05 for _, (low, high), came in found)
            expected = math.fsum(one[0] for one in found) / len(found)
            came = math.fsum(one[2] for one in found) / len(found)
            print(f"| {ratio:g} | {runs} | {expected:.1f} | {came:.1f} | {held / len(found):.0%} |")


def main() -> None:
    """Replay, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("traces", type=Path, help="a directory of CSV files")
    files = {path.stem: steps_of(path) for path in sorted(parser.parse_args().traces.glob("*.csv"))}
    several = {name: steps for name, steps in files.items() if any(len(runs) > 1 for runs in steps.values())}
    others = {
        name: Lessons(
            taught([steps for other, steps in several.items() if other != name]).exceedances, taught([own]).flows
        )
        for name, own in several.items()
    }
    told: dict[str, Told] = {}
    for policy in (cheap(), balanced(), safe()):
        told[f"`{policy.name}`"] = lambda _, steps, policy=policy: of_policy(policy, ALONE, steps)  # type: ignore[misc] # a default argument is no part of the type
        told[f"`{policy.name}`, lessons"] = lambda name, steps, policy=policy: of_policy(policy, others[name], steps)  # type: ignore[misc] # as above
    everyone = taught(list(several.values())).exceedances
    among = {name: Lessons(everyone, others[name].flows) for name in several}
    told["`safe`, lessons, its own runs among them"] = lambda name, steps: of_policy(safe(), among[name], steps)
    for factor, newest in ((1.0, None), (1.2, None), (1.2, 5), (1.5, None), (2.0, None)):
        of = "all runs" if newest is None else f"the last {newest} runs"
        rule = _largest(factor, newest)
        told[f"{factor:g} times the largest of {of}"] = lambda _, steps, rule=rule: of_rule(rule, steps)  # type: ignore[misc] # as above
    _print(several, told)
    _print_made_up()


def _print(files: dict[str, Steps], told: dict[str, Told]) -> None:
    print(
        f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, {os.cpu_count()} CPUs; {', '.join(files)}\n"
    )
    print("| policy | runs of steps that fail, of 1,000 | tasks that need more, of 1,000 | allocated / used |")
    print("| --- | --- | --- | --- |")
    by_known: dict[str, dict[int, Count]] = {}
    for who, tell in told.items():
        counts = []
        by_known[who] = {known: Count() for known in _KNOWN[:-1]}
        for name, steps in files.items():
            count = Count()
            for known, replayed in tell(name, steps):
                count.add(replayed)
                by_known[who][max(low for low in _KNOWN[:-1] if low <= known)].add(replayed)
            counts.append(count)
        failed = sum(1000 * count.failed_runs / count.runs for count in counts) / len(counts)
        missed = sum(1000 * count.too_small / count.tasks for count in counts) / len(counts)
        ratio = math.exp(sum(math.log(count.ratio) for count in counts) / len(counts))
        print(f"| {who} | {failed:.1f} | {missed:.2f} | {ratio:.3f} |")
    print("\n| policy | runs known | tasks sized | needed more, of 1,000 | expected, of 1,000 |")
    print("| --- | --- | --- | --- | --- |")
    for who in (who for who in told if who.startswith("`")):
        for (known, count), beyond in zip(by_known[who].items(), _KNOWN[1:], strict=True):
            if count.tasks:
                span = (
                    f"{known}"
                    if beyond == known + 1
                    else f"{known} to {beyond - 1}"
                    if beyond < _KNOWN[-1]
                    else f"{known} and more"
                )
                came, likely = 1000 * count.too_small / count.tasks, 1000 * count.expected / count.tasks
                print(f"| {who} | {span} | {count.tasks:,} | {came:.1f} | {likely:.1f} |")


if __name__ == "__main__":
    main()
