"""What steps that grow from run to run are asked for: ``python benchmarks/sizing_growth.py``.

Makes up steps of a dozen kinds that grow, with noise and without, or seem to, sizes each after 8, 12, 20 and 36 runs,
one request for all its tasks, and holds that against the seven runs that come: as if no step grew (what the policy did
before it looked for growth), for the next run, and for all seven. Prints Markdown; ``--results`` leaves it in a
directory. Deterministic. None of the seeds was looked at while the method was made.
"""

from __future__ import annotations

import argparse
import math
import platform
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stepsize.analyzer.sizing.memory.history import Finished, Task
from stepsize.analyzer.sizing.memory.learner import Settings, Workspace
from stepsize.analyzer.sizing.memory.predictors.constant import Constant
from stepsize.analyzer.sizing.memory.static import Run, size_step, static_settings
from stepsize.analyzer.sizing.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from stepsize.analyzer.sizing.memory.arrays import Floats

    Made = Callable[[np.random.Generator], Floats]
    """Makes the peaks of a step's runs up: shape (runs,) or (runs, tasks)."""

_KNOWN = (8, 12, 20, 36)
_WEEK = 7
_RUNS: Floats = np.arange(max(_KNOWN) + _WEEK, dtype=np.float64)
_STEPS, _SEED = 30, 51_000
_POLICIES = ("balanced", "safe")
_ITEMS = 20


@dataclass(frozen=True, slots=True)
class Came:
    """A request, and what came: over the peak of the next run, over the largest of seven, whether the next run had too
    little, and which share of the seven."""

    over_next: float
    over_week: float
    next_failed: bool
    week_failed: float


def _noise(draw: np.random.Generator, spread: float, shape: tuple[int, ...] = (len(_RUNS),)) -> Floats:
    noise: Floats = np.exp(spread * draw.standard_normal(shape))
    return noise


def _line(draw: np.random.Generator) -> Floats:
    return 1 + draw.uniform(0.01, 0.3) * _RUNS


def _power(draw: np.random.Generator) -> Floats:
    grown: Floats = np.exp(draw.uniform(0.005, 0.1) * _RUNS)
    return grown


def _foreach(draw: np.random.Generator) -> Floats:
    return np.outer(_line(draw), _noise(draw, 0.2, (_ITEMS,))) * _noise(draw, 0.03, (len(_RUNS), _ITEMS))


def _ends(draw: np.random.Generator) -> Floats:
    return 1 + draw.uniform(0.02, 0.3) * np.minimum(_RUNS, float(draw.integers(6, 30)))


def _jumps(draw: np.random.Generator) -> Floats:
    first = float(draw.integers(5, 30))
    return 1 + draw.uniform(0.3, 2) * (first <= _RUNS).astype(np.float64)


def _walk(draw: np.random.Generator) -> Floats:
    walked: Floats = np.exp(np.cumsum(0.03 * draw.standard_normal(len(_RUNS))))
    return walked


def _input(draw: np.random.Generator) -> Floats:
    return 0.3 + (1 + draw.uniform(0.01, 0.08) * _RUNS) * _noise(draw, 0.1)


def _weekly(draw: np.random.Generator) -> Floats:
    on_one_day: Floats = (_RUNS % _WEEK == 3).astype(np.float64)
    return 1 + draw.uniform(0.1, 0.6) * on_one_day


def _teeth(draw: np.random.Generator) -> Floats:
    length = float(draw.integers(5, 16))
    return 1 + draw.uniform(0.3, 1.5) * (_RUNS % length) / length


_KINDS: dict[str, Made] = {
    "line": _line,
    "line, 2 % noise": lambda draw: _line(draw) * _noise(draw, 0.02),
    "line, 10 % noise": lambda draw: _line(draw) * _noise(draw, 0.1),
    "by a share": _power,
    "by a share, 10 % noise": lambda draw: _power(draw) * _noise(draw, 0.1),
    "with its input": _input,
    "foreach of 20, line": _foreach,
    "line, weekly": lambda draw: _line(draw) * _weekly(draw) * _noise(draw, 0.02),
    "line that ends": lambda draw: _ends(draw) * _noise(draw, 0.01),
    "line that jumps": lambda draw: _line(draw) * _jumps(draw) * _noise(draw, 0.02),
    "jump alone": lambda draw: _jumps(draw) * _noise(draw, 0.02),
    "teeth": lambda draw: _teeth(draw) * _noise(draw, 0.01),
    "weekly alone": lambda draw: _weekly(draw) * _noise(draw, 0.02),
    "random walk": _walk,
    "noise of 5 %": lambda draw: _noise(draw, 0.05),
    "noise of 30 %": lambda draw: _noise(draw, 0.3),
}


def main() -> None:
    """Make up, size, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, help="where to leave sizing_growth.md")
    arguments = parser.parse_args()
    text = "\n".join(_told()) + "\n"
    print(text)
    if arguments.results:
        (arguments.results / "sizing_growth.md").write_text(text, "utf-8")


def _told() -> Iterator[str]:
    yield "# Steps that grow from run to run\n"
    yield (
        f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, numpy {np.__version__}. Command: "
        "`python benchmarks/sizing_growth.py`. Nothing here is measured by a clock.\n"
    )
    yield (
        f"{_STEPS} made-up steps of each kind, sized after {', '.join(map(str, _KNOWN))} runs. In a cell: the request "
        "over the peak of the next run, and over the largest of the next seven (geometric means); of 1,000 next runs "
        "those that had too little, and of 1,000 of the next seven. *Steady* takes no step to grow."
    )
    for policy in _POLICIES:
        yield f"\n## {policy}\n"
        yield "| kind | steady | for the next run | for seven runs |"
        yield "| --- | --- | --- | --- |"
        price = PRESETS[policy]
        ways = (
            replace(static_settings(price), predictors=lambda: (Constant(covers_seen=True),)),
            static_settings(price),
            static_settings(price, ahead=_WEEK),
        )
        for kind, made in _KINDS.items():
            yield f"| {kind} | {' | '.join(_cell(list(_came(made, settings))) for settings in ways)} |"


def _came(made: Made, settings: Settings) -> Iterator[Came]:
    for seed in range(_SEED, _SEED + _STEPS):
        peaks = made(np.random.default_rng(seed)).reshape(len(_RUNS), -1)
        highs = peaks.max(axis=1)
        for known in _KNOWN:
            asked = _request(peaks[:known], settings)
            week = highs[known : known + _WEEK]
            yield Came(
                over_next=asked / week[0],
                over_week=asked / float(week.max()),
                next_failed=bool(asked < week[0]),
                week_failed=float((asked < week).mean()),
            )


def _request(peaks: Floats, settings: Settings) -> float:
    task = Task(requested_bytes=math.inf)
    runs = [
        Run(run=str(number), finished=tuple(Finished(task, 1e9 * float(peak), 0.5) for peak in of_run))
        for number, of_run in enumerate(peaks)
    ]
    static = size_step(Workspace(settings=settings).step("flow"), runs, replays=0)
    if static is None:
        raise AssertionError("a step of which tasks ended well is sized")
    return static.request_bytes / 1e9


def _cell(came: Sequence[Came]) -> str:
    over_next, over_week = (
        math.exp(math.fsum(math.log(over) for over in overs) / len(came))
        for overs in ([one.over_next for one in came], [one.over_week for one in came])
    )
    failed = 1000 * sum(one.next_failed for one in came) / len(came)
    week = 1000 * math.fsum(one.week_failed for one in came) / len(came)
    return f"{over_next:.2f}, {over_week:.2f} at {failed:.0f}, {week:.0f}"


if __name__ == "__main__":
    main()
