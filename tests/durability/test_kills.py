"""Whatever is killed, and wherever: what was acknowledged is there, once, and nobody ever reads anything else."""

from __future__ import annotations

import pytest

from tests.durability.campaign import RANDOM, Campaign
from tests.durability.points import POINTS, Point
from tests.durability.site import Site

_SHARES = 3


def share(number: int) -> list[Point]:
    """A part of the named points: over all, each call to each kind of file but its opening; actions take turns."""
    calls = list(dict.fromkeys((point.what, point.operation) for point in POINTS if point.operation != "open"))
    chosen = []
    for index, call in enumerate(calls):
        actions = [point for point in POINTS if (point.what, point.operation) == call]
        chosen.append(actions[index % len(actions)])
    return chosen[number::_SHARES]


@pytest.mark.parametrize("number", range(_SHARES))
def test_killed_at_named_points(site: Site, number: int) -> None:
    """At each call that makes something last a process is killed, or the power cut, under load: all is well after."""
    points = share(number)
    campaign = Campaign(site, points, seed=number)
    for point in points:
        campaign.kill_at(point)
    campaign.finish()
    assert campaign.kills.total() == len(points)


def test_killed_at_random(site: Site) -> None:
    """Receiver, sink, both one after the other, and all at once, at any moment: all is well after."""
    campaign = Campaign(site, [], seed=1)
    for whom in RANDOM:
        campaign.kill_at_random(whom)
    campaign.finish()
