"""What runs now, and what is about to go wrong.

Its queries look at windows up to now(), in a text that is the same for all viewers: the endpoint answers them once.
"""

from boards.parts import (
    ASKED,
    BAD,
    BYTES,
    CORES,
    LIMIT,
    NUMBER,
    RUN,
    SECONDS,
    SHARE,
    USED,
    Board,
    Variable,
    lines,
    numbers,
    to_flow,
    to_step,
)
from boards.parts import rows as table

_NEAR = ((0.8, ASKED), (0.9, BAD))
BOARD = Board(
    uid="stepsize-live",
    title="stepsize / Live",
    description="Tasks that run now: what they use of what they asked for.",
    window="now-15m",
    refresh="5s",
    is_live=True,
    variables=(Variable("flow", "Flow", "flow"),),
    rows={
        "Now": (
            numbers(
                "live/now",
                "Now",
                "Running attempts, and the newest reading of the last minute of each.",
                {
                    "Running tasks": NUMBER,
                    "Cores in use": CORES,
                    "Cores asked for": CORES,
                    "Memory in use": BYTES,
                    "Memory asked for": BYTES,
                    "GPUs busy": CORES,
                    "GPUs held": CORES,
                },
                levels={},
            ),
            table(
                "live/tasks",
                "Nearest to what they may hold",
                "A hundred running attempts. They may hold the smaller of request and container's limit; beyond the "
                "latter they are killed.",
                {
                    "Running for": SECONDS,
                    "Cores": CORES,
                    "Memory": BYTES,
                    "Peak": BYTES,
                    "May hold": BYTES,
                    "Of what it may hold": SHARE,
                },
                levels={"Of what it may hold": _NEAR},
                links={"Flow": to_flow(), "Step": to_step(more=RUN)},
            ),
        ),
        "The last 15 minutes": (
            lines(
                "live/memory",
                "Memory",
                "Of all running tasks together. The limit is that of those that have one.",
                BYTES,
                {"in use": USED, "asked for": ASKED, "limit": LIMIT},
            ),
            lines(
                "live/cpu",
                "Cores",
                "Of all running tasks together. The limit is that of those that have one.",
                CORES,
                {"in use": USED, "asked for": ASKED, "limit": LIMIT},
            ),
            lines(
                "live/gpu",
                "GPUs",
                "Busy: shares of time added up, so 2 is two devices all the time. Held: asked for, or else used.",
                CORES,
                {"busy": USED, "held": ASKED},
                span=24,
            ),
        ),
    },
)
