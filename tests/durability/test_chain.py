"""Whatever is killed of two collectors, one of which sends on to the other: the second has all that the first took."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

import pytest

from tests.durability.chain import POINTS, RANDOM, Chain
from tests.durability.site import Site
from tests.places import short_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ROUNDS = int(os.environ.get("STEPSIZE_CHAIN_ROUNDS", "2"))
_EVERY_DAY = {("rename", "kill"), ("unlink", "end-after")}


@pytest.fixture
def second(tmp_path: Path) -> Iterator[Site]:
    """Where the second collector is; nothing goes wrong there but kills."""
    home = tmp_path / "second" / "disk"
    home.mkdir(parents=True)
    with short_directory() as runtime:
        made = Site(home, runtime)
        yield made
        made.close()


def test_killed_anywhere(site: Site, second: Site) -> None:
    """Calls of the exporters that last, and a process of each collector at any moment: each point is there once."""
    points = [point for point in POINTS if (point.operation, point.action) in _EVERY_DAY]
    chain = Chain(site, second, points, seed=1)
    for point in points:
        chain.kill_at(point)
    for whom in ("exporters", "first's group", "second"):
        chain.kill_at_random(whom)
    chain.finish()
    assert chain.kills.total() == len(points) + 3


@pytest.mark.soak
def test_killed_again_and_again(site: Site, second: Site) -> None:
    """Every point and action, in random order, and random kills between."""
    rng = random.Random(os.environ.get("STEPSIZE_KILLS_SEED", "1"))
    chain = Chain(site, second, POINTS, seed=rng.randrange(1 << 30))
    started_s = time.monotonic()
    for _ in range(_ROUNDS):
        steps = [*POINTS, *(rng.choice(RANDOM) for _ in range(2 * len(POINTS)))]
        rng.shuffle(steps)
        for step in steps:
            if isinstance(step, str):
                chain.kill_at_random(step)
            else:
                chain.kill_at(step)
    looks = chain.finish()
    acknowledged = sum(sender.acknowledged for sender in chain.senders)
    print(
        f"{chain.kills.total()} kills in {time.monotonic() - started_s:.0f} s, {acknowledged} requests acknowledged "
        f"and sent on, each point once in both lakes, {looks} looks of a reader: {dict(sorted(chain.kills.items()))}"
    )
