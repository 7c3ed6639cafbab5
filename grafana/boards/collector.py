"""The collector's own health, as it sends it to its own lake, and what agents could not bring it."""

from boards.parts import ASKED, BAD, BYTES, NUMBER, SECONDS, USED, Board, lines, numbers
from boards.parts import rows as table

_BEHIND = ((60, ASKED), (300, BAD))
BOARD = Board(
    uid="stepsize-collector",
    title="stepsize / Collector",
    description="Collectors that send their own metrics to the lake (docs/grafana.md says how).",
    window="now-6h",
    refresh="30s",
    rows={
        "Health": (
            numbers(
                "collector/summary",
                "At the end of the time range",
                "Newest readings of its last five minutes. Behind: age of the oldest points that are not in the lake.",
                {
                    "Collectors": NUMBER,
                    "Sinks up": NUMBER,
                    "Up for": SECONDS,
                    "Behind": SECONDS,
                    "In the log": BYTES,
                    "Memory": BYTES,
                },
                levels={"Behind": _BEHIND},
            ),
            lines(
                "collector/points",
                "Points a second",
                "Taken and refused, of all collectors.",
                NUMBER,
                {"taken": USED, "refused": BAD},
                least="2m",
            ),
            lines(
                "collector/refused",
                "Refused, by the bound that was broken",
                "Requests that were turned away and points that were left out. Agents try again where that may help.",
                NUMBER,
                {},
                least="2m",
                bars=True,
            ),
            lines(
                "collector/lag",
                "Behind",
                "The age of the oldest points that are on disk and not in the lake, or not in the object store.",
                SECONDS,
                {"lake": USED, "object store": "light-blue"},
                least="2m",
            ),
            lines(
                "collector/memory",
                "Memory",
                "Resident, of the largest collector.",
                BYTES,
                {"receivers": USED, "sink": "light-blue"},
                least="2m",
            ),
        ),
        "Agents": (
            lines(
                "collector/waiting",
                "Points that wait at agents",
                "By where they wait: of the agent with the most.",
                NUMBER,
                {"spool": USED, "memory": "light-blue"},
                least="1m",
            ),
            table(
                "collector/lost",
                "Points that agents gave up",
                "By host and reason, those of agents that told in the time range.",
                {"Points": NUMBER},
                span=12,
                height=8,
            ),
        ),
    },
)
