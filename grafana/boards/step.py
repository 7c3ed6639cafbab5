"""One step: what its attempts use, how they differ, and what was asked for."""

from boards.parts import (
    ASKED,
    BAD,
    BYTES,
    CORES,
    GOOD,
    LIMIT,
    NUMBER,
    SECONDS,
    SHARE,
    USED,
    Board,
    Variable,
    bars,
    lines,
    numbers,
)
from boards.parts import rows as table

_FAILING = ((0.01, ASKED), (0.05, BAD))
_NEAR = ((0.9, BAD),)
BOARD = Board(
    uid="stepsize-step",
    title="stepsize / Step",
    description="One step, of all projects that have it: what its attempts used of what they asked for, and how far "
    "they lie apart.",
    window="now-30d",
    refresh="5m",
    variables=(
        Variable("flow", "Flow", "flow", all=False),
        Variable("step", "Step", "step", all=False),
        Variable("run", "Run", "run"),
    ),
    rows={
        "Request against use": (
            numbers(
                "step/summary",
                "$flow / $step",
                "Attempts that began in the time range. Recommended: by the newest nightly report, whatever the range; "
                "the highest where projects differ.",
                {
                    "Attempts": NUMBER,
                    "Runs": NUMBER,
                    "Not ok": SHARE,
                    "Duration, typical": SECONDS,
                    "Peak, typical": BYTES,
                    "Peak, highest": BYTES,
                    "Memory asked for": BYTES,
                    "Memory recommended": BYTES,
                },
                levels={"Not ok": _FAILING, "Memory recommended": ((0, GOOD),)},
            ),
            lines(
                "step/memory",
                "Memory peaks",
                "Of the attempts that began in each interval. A peak beyond the limit is killed.",
                BYTES,
                {"highest peak": USED, "typical peak": "light-blue", "asked for": ASKED, "limit": LIMIT},
                least="10m",
                joined=True,
            ),
            bars("step/peaks", "Distribution of peaks", "Attempts by their memory peak.", "Peak up to"),
            lines(
                "step/cpu",
                "Cores",
                "What was enough for 95 % of the time of the busiest attempt, and the typical mean.",
                CORES,
                {"95 % of the time": USED, "mean": "light-blue", "asked for": ASKED},
                least="10m",
                joined=True,
            ),
            lines(
                "step/duration",
                "Duration",
                "Of attempts that ended well.",
                SECONDS,
                {"typical": "light-blue", "longest": USED},
                least="10m",
                joined=True,
            ),
        ),
        "Spread": (
            table(
                "step/items",
                "Items of the foreach",
                "The 200 with the highest peaks.",
                {
                    "Not ok": SHARE,
                    "Peak, typical": BYTES,
                    "Peak, highest": BYTES,
                    "Of the request": SHARE,
                    "Duration, typical": SECONDS,
                    "Cores, 95 % of the time": CORES,
                },
                levels={"Not ok": _FAILING, "Of the request": _NEAR},
            ),
            table(
                "step/attempts",
                "Largest attempts",
                "The 50 with the highest peaks.",
                {"Duration": SECONDS, "Peak": BYTES, "Asked for": BYTES, "Cores": CORES},
            ),
        ),
    },
)
