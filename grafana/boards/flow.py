"""Runs of flows: how many, how long, what they cost, what fails."""

from boards.parts import (
    ASKED,
    BAD,
    BYTES,
    CORES,
    GOOD,
    NUMBER,
    RANGE,
    RUN,
    SECONDS,
    SHARE,
    USED,
    Board,
    Variable,
    lines,
    numbers,
    to_step,
)
from boards.parts import rows as table

_FAILING = ((0.01, ASKED), (0.05, BAD))
BOARD = Board(
    uid="stepsize-flow",
    title="stepsize / Flow",
    description="Runs that began in the time range: how many, how long, what they cost, what failed.",
    window="now-7d",
    refresh="1m",
    variables=(Variable("flow", "Flow", "flow"),),
    rows={
        "Runs": (
            numbers(
                "flow/summary",
                "In all",
                "A run has failed where the last attempt of a task failed, was killed, ran out of memory or fell "
                "silent. Cost: each run at what one costs in the newest nightly report, of steps whose cost is known.",
                {
                    "Runs": NUMBER,
                    "Running": NUMBER,
                    "Failed": SHARE,
                    "Duration, typical": SECONDS,
                    "Attempts again": NUMBER,
                    "Cost, estimated": CORES,
                },
                levels={"Failed": _FAILING},
            ),
            lines(
                "flow/runs",
                "Runs",
                "By when they began.",
                NUMBER,
                {"well": GOOD, "failed": BAD, "running": USED},
                least="1h",
                bars=True,
            ),
            table(
                "flow/failures",
                "Newest failures",
                "A hundred attempts that failed, were killed, ran out of memory or fell silent within the range.",
                {"Duration": SECONDS, "Peak": BYTES, "May hold": BYTES},
                links={"Step": to_step(more=RUN)},
                span=12,
                height=8,
            ),
            lines(
                "flow/duration",
                "Duration of runs",
                "From the first attempt's start to the last one's end, of runs that are over.",
                SECONDS,
                {"typical": "light-blue", "longest": USED},
                least="1h",
                joined=True,
            ),
            lines(
                "flow/cost",
                "Cost of runs, estimated",
                "Runs that began, each at what one costs in the newest nightly report, as it is and as recommended; of "
                "steps where both are known.",
                CORES,
                {"as requested": ASKED, "as recommended": GOOD},
                least="1h",
                joined=True,
            ),
        ),
        "Steps": (
            table(
                "flow/steps",
                "Steps by the cores that they use",
                "Attempts that began in the time range.",
                {
                    "Not ok": SHARE,
                    "Duration, typical": SECONDS,
                    "Core·h used": CORES,
                    "Peak, highest": BYTES,
                    "Of the request": SHARE,
                },
                levels={"Not ok": _FAILING, "Of the request": ((0.9, BAD),)},
                links={"Step": to_step(more=RANGE)},
            ),
        ),
    },
)
