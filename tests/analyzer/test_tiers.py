"""A step that ran on dearer GPUs than it used is told so, with the prices that say it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stepsize.analyzer.costs import Amounts, Quotes, price
from stepsize.analyzer.matching import Catalog
from stepsize.analyzer.matching.fleet import parse
from tests.analyzer.rows import attempt, evidence

GPU = Amounts(cpu=4, memory_mb=10_000, gpu=1, vram_mb=9000)
NONE = Amounts(cpu=4, memory_mb=10_000, gpu=0)


@pytest.fixture(scope="module")
def catalog() -> Iterator[Catalog]:
    with Catalog.open() as opened:
        yield opened


def told(catalog: Catalog, instance_type: str | None, advised: Amounts) -> str:
    """What the costs of a step say of its GPU tier."""
    seen = evidence(attempt(instance_type=instance_type, duration_s=3600.0))
    reasons = price(seen, GPU, advised, Quotes(catalog)).reasons
    return " ".join(reason for reason in reasons if "GPU tier" in reason)


def test_less_gpu_memory_than_the_tier_has(catalog: Catalog) -> None:
    """9 GB of a V100's server fit a cheaper GPU; how fast that is nobody knows."""
    text = told(catalog, "p3.2xlarge", GPU)
    assert "p3.2xlarge (1x V100 16GiB, 3.06 USD an hour)" in text
    assert "2025-03-02" in text
    assert "How fast it runs there is not known." in text


def test_no_gpu_at_all(catalog: Catalog) -> None:
    """A step that should ask for none could leave for a server without."""
    text = told(catalog, "g5.xlarge", NONE)
    assert "(no GPU" in text
    assert "How fast" not in text


def test_a_fleet_bounds_where_it_could_go(catalog: Catalog) -> None:
    """Within a fleet of one GPU type there is no other tier."""
    with Catalog.open(fleet=parse("g4dn.* p3.*", "fleet")) as fleet:
        assert "g4dn.xlarge" in told(fleet, "p3.2xlarge", GPU)
        assert told(fleet, "g4dn.xlarge", GPU) == ""


def test_gpu_memory_that_was_not_read_fits_nothing(catalog: Catalog) -> None:
    """Where nobody knows how much GPU memory the step needs, no lesser GPU is named."""
    assert told(catalog, "p3.2xlarge", Amounts(cpu=4, memory_mb=10_000, gpu=1)) == ""


@pytest.mark.parametrize("instance_type", [None, "m5.large", "laptop"])
def test_nothing_is_said_without_a_tier(catalog: Catalog, instance_type: str | None) -> None:
    """Servers without GPUs, unknown ones and none at all give no sentence."""
    assert told(catalog, instance_type, GPU) == ""


def test_a_spot_price_says_nothing_of_a_tier() -> None:
    """What the server it ran on costs is known on demand; a market's price beside that says nothing."""
    text = """
kind: NodePool
spec:
  template:
    spec:
      nodeClassRef: {group: karpenter.azure.com}
      requirements: [{key: karpenter.sh/capacity-type, operator: In, values: [%s]}]
"""
    for terms, said in (("spot", False), ("on-demand", True)):
        with Catalog.open(fleet=parse(text % terms, "fleet")) as fleet:
            assert bool(told(fleet, "p3.2xlarge", NONE)) is said
