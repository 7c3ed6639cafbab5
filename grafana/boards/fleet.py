"""Hosts: what there is, what is in use, what stands idle."""

from boards.parts import ASKED, BYTES, CORES, NUMBER, SHARE, USED, Board, lines, numbers
from boards.parts import rows as table

_IDLE = ((0.9, ASKED),)
BOARD = Board(
    uid="stepsize-fleet",
    title="stepsize / Fleet",
    description="Hosts that ran tasks, as their agents told while tasks ran there.",
    window="now-6h",
    refresh="1m",
    rows={
        "Hosts": (
            numbers(
                "fleet/summary",
                "At the end of the time range",
                "Newest readings of its last five minutes. A GPU is idle below 5 %.",
                {
                    "Hosts": NUMBER,
                    "Cores": NUMBER,
                    "Cores busy": SHARE,
                    "Memory": BYTES,
                    "Memory used": SHARE,
                    "GPUs": NUMBER,
                    "GPUs idle": NUMBER,
                },
                levels={"GPUs idle": ((1, ASKED),)},
            ),
            lines("fleet/cpu", "Cores", "Of all hosts.", CORES, {"in use": USED, "there": ASKED}, least="1m"),
            lines("fleet/memory", "Memory", "Of all hosts.", BYTES, {"in use": USED, "there": ASKED}, least="1m"),
            table(
                "fleet/hosts",
                "Hosts and packing, the least busy first",
                "Asked for now: by attempts that run there, of what the host has.",
                {
                    "Cores busy, mean": SHARE,
                    "Memory": BYTES,
                    "Memory used, most": SHARE,
                    "Cores asked for now": SHARE,
                    "Memory asked for now": SHARE,
                },
            ),
        ),
        "GPUs": (
            table(
                "fleet/gpus",
                "GPUs, the least busy first",
                "Idle: the share of readings below 5 %.",
                {"Busy, mean": SHARE, "Idle, of the time": SHARE, "Memory, most": BYTES, "Memory": BYTES},
                levels={"Idle, of the time": _IDLE},
            ),
        ),
    },
)
