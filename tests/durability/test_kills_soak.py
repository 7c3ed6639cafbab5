"""Hundreds of kills of one lake's collectors: every named point with every action, and random ones (`make soak`).

The result is written where ``STEPSIZE_KILLS_RESULT`` says, as a table. It takes ``STEPSIZE_KILLS_ROUNDS``, and ends
before that when ``STEPSIZE_KILLS_SECONDS`` are over.
"""

from __future__ import annotations

import os
import platform
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.durability.campaign import RANDOM, Campaign
from tests.durability.points import POINTS

if TYPE_CHECKING:
    from collections import Counter

    from tests.durability.site import Site

_ROUNDS = int(os.environ.get("STEPSIZE_KILLS_ROUNDS", "2"))
_SECONDS = float(os.environ.get("STEPSIZE_KILLS_SECONDS", "inf"))
_RANDOM_EACH = 25
_RESULT = os.environ.get("STEPSIZE_KILLS_RESULT")


@pytest.mark.soak
def test_hundreds_of_kills(site: Site) -> None:
    """Every point and action, in random order, and random kills between."""
    rng = random.Random(os.environ.get("STEPSIZE_KILLS_SEED", "1"))
    campaign = Campaign(site, POINTS, seed=rng.randrange(1 << 30))
    started_s = time.monotonic()
    for _ in range(_ROUNDS):
        steps = [*POINTS, *(rng.choice(RANDOM) for _ in range(_RANDOM_EACH))]
        rng.shuffle(steps)
        for step in steps:
            if time.monotonic() - started_s > _SECONDS:
                break
            if isinstance(step, str):
                campaign.kill_at_random(step)
            else:
                campaign.kill_at(step)
    looks = campaign.finish()
    if _RESULT:
        _write(Path(_RESULT), campaign.kills, [s.acknowledged for s in campaign.senders], looks, started_s)


def _write(path: Path, kills: Counter[str], acknowledged: list[int], looks: int, started_s: float) -> None:
    rows = "\n".join(f"| {what} | {count} |" for what, count in sorted(kills.items()))
    path.write_text(
        f"""# Kills of a collector under load

`STEPSIZE_KILLS_RESULT=benchmarks/results/{path.name} pytest -m soak tests/durability/test_kills_soak.py` with
`STEPSIZE_KILLS_ROUNDS={_ROUNDS}` on {platform.platform()}, {os.cpu_count()} cores, a load of {os.getloadavg()[1]:.0f}
at the end, Python {platform.python_version()}:
{kills.total()} kills in {time.monotonic() - started_s:.0f} s of collectors that served one lake, under three senders
that number their points and send again what was not acknowledged, now and then what was.

- {sum(acknowledged)} requests acknowledged: each of their points in the lake once, none missing, none twice;
- `tasks` equal, in every column, to those of a run without a kill;
- every Parquet file that a manifest names whole; the log empty after the last collector's end;
- {looks} looks of a reader meanwhile: no error, no point twice, no hole, never fewer points than before.

*kill* ends the process before the call, *kill-after* after it; *end* and *end-after* its whole process group, receiver
and sink at once; *tear* writes half and kills; *cut* takes back what was written and not synced, new names included,
and ends the group, as a power cut may.

| point | kills |
| --- | --- |
{rows}
"""
    )
