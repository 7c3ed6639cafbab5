"""A fleet allows what its file says, as Karpenter reads it."""

from __future__ import annotations

from typing import Any

import pytest

from stepsize.analyzer.matching import Catalog, Need
from stepsize.analyzer.matching.fleet import parse
from stepsize.errors import UsageError
from tests.analyzer.shipped import rows

POOL = """
apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {name: general}
spec:
  template:
    spec:
      nodeClassRef: {group: karpenter.k8s.aws, kind: EC2NodeClass, name: default}
      requirements: %s
  limits: {cpu: 1000}
"""


def pool(*requirements: str) -> str:
    """A NodePool with these requirements, each as ``key operator value ...``."""
    lines = []
    for requirement in requirements:
        key, operator, *values = requirement.split()
        lines.append({"key": key, "operator": operator, "values": values})
    return POOL % lines


def offered(text: str, **more: Any) -> set[tuple[str, str, str]]:
    """Server, region and allocation of everything that fits one core under a fleet."""
    with Catalog.open(fleet=parse(text, "fleet")) as catalog:
        need = Need(1, 0, **({"allocation": None} | more))
        return {(o.server_id, o.region, o.allocation) for o in catalog.cheapest(need, 100_000)}


def servers(text: str, **more: Any) -> set[str]:
    return {server for server, _, _ in offered(text, **more)}


@pytest.fixture(scope="module")
def catalogued() -> list[dict[str, Any]]:
    """The servers of the catalogue, which need not be opened to be judged."""
    return rows("servers")


def test_a_list_of_types_is_all_there_is() -> None:
    """Names and globs in lines, with comments, allow those types, one that AWS calls previous among them."""
    found = servers("# ours\nm5.large\nc7g.*, aws/r6i.large\n")
    assert {"m5.large", "r6i.large", "c7g.xlarge"} <= found
    assert {name.partition(".")[0] for name in found} == {"m5", "c7g", "r6i"}


@pytest.mark.parametrize("text", ["- m5.large\n- m5.xlarge\n", '["m5.large", "m5.xlarge"]', "m5.large m5.xlarge"])
def test_lists_may_be_yaml_json_or_words(text: str) -> None:
    """The same two types, however they are listed."""
    assert servers(text) == {"m5.large", "m5.xlarge"}


@pytest.mark.parametrize(
    ("requirement", "inside", "outside"),
    [
        ("karpenter.k8s.aws/instance-local-nvme DoesNotExist", "m5.large", "m5d.large"),
        ("node.kubernetes.io/instance-type In m5.large", "m5.large", "m5.xlarge"),
        ("node.kubernetes.io/instance-type NotIn m5.large", "m5.xlarge", "m5.large"),
        ("karpenter.k8s.aws/instance-category In c m", "m5.large", "r5.large"),
        ("karpenter.k8s.aws/instance-generation Gt 6", "m7g.large", "m6g.large"),
        ("karpenter.k8s.aws/instance-generation Gte 6", "m6g.large", "m5.large"),
        ("karpenter.k8s.aws/instance-family In g4dn", "g4dn.xlarge", "g5.xlarge"),
        ("karpenter.k8s.aws/instance-size NotIn nano micro", "t3.small", "t3.micro"),
        ("karpenter.k8s.aws/instance-cpu Lt 5", "m5.xlarge", "m5.2xlarge"),
        ("karpenter.k8s.aws/instance-cpu In 4 8", "m5.2xlarge", "m5.large"),
        ("karpenter.k8s.aws/instance-memory Gt 8191", "m5.large", "c5.large"),
        ("karpenter.k8s.aws/instance-gpu-count Exists", "g4dn.xlarge", "m5.large"),
        ("karpenter.k8s.aws/instance-gpu-count DoesNotExist", "m5.large", "g4dn.xlarge"),
        ("karpenter.k8s.aws/instance-gpu-name In t4", "g4dn.xlarge", "g5.xlarge"),
        ("karpenter.k8s.aws/instance-local-nvme Exists", "m5d.large", "m5.large"),
        ("eks.amazonaws.com/instance-category In m", "m5.large", "r5.large"),
        ("kubernetes.io/arch In arm64", "m7g.large", "m5.large"),
        ("kubernetes.io/os In linux", "m5.large", "Standard_D2s_v3"),
    ],
)
def test_requirements_are_karpenters(
    catalogued: list[dict[str, Any]], requirement: str, inside: str, outside: str
) -> None:
    """Each label and operator lets in what Karpenter's would, and nothing of another vendor."""
    found = {allowed.server_id for allowed in parse(pool(requirement), "fleet").allowed(catalogued)}
    assert inside in found
    assert outside not in found


def test_requirements_hold_together_and_pools_add_up() -> None:
    """Within a NodePool all lines hold; of two NodePools either is enough."""
    small = pool("karpenter.k8s.aws/instance-family In m5", "karpenter.k8s.aws/instance-cpu Lt 5")
    other = pool("node.kubernetes.io/instance-type In r5.large")
    assert servers(small) == {"m5.large", "m5.xlarge"}
    assert servers(f"{small}\n---\n{other}") == {"m5.large", "m5.xlarge", "r5.large"}


def test_what_a_list_names_and_nobody_has_a_price_of_is_told() -> None:
    """A type of the list without a price is not offered, and named; vendors are read in any case of letters."""
    fleet = parse("AWS/M5.large\np6-b200.48xlarge\nc7g.*", "fleet")
    with Catalog.open(fleet=fleet) as catalog:
        assert catalog.unpriced(fleet) == ["p6-b200.48xlarge"]
        offered = {offer.server_id for offer in catalog.cheapest(Need(1, 0), 100)}
    assert {"m5.large", "c7g.large"} <= offered


def test_regions_zones_and_capacity() -> None:
    """A NodePool's region, or that of its zones, and its capacity types bound what is offered."""
    here = pool("karpenter.k8s.aws/instance-family In m5", "topology.kubernetes.io/zone In eu-west-1a eu-west-1b")
    assert {region for _, region, _ in offered(here)} == {"eu-west-1"}
    with pytest.raises(UsageError, match="no server that has a price"):
        offered(pool("karpenter.k8s.aws/instance-family In m5", "karpenter.sh/capacity-type In spot"))


def test_a_region_that_is_left_out_is_not_offered() -> None:
    """A region may be refused; of a zone that is refused the region's other zones remain."""
    family = "karpenter.k8s.aws/instance-family In m5"
    without = {region for _, region, _ in offered(pool(family, "topology.kubernetes.io/region NotIn us-east-1"))}
    zone = {region for _, region, _ in offered(pool(family, "topology.kubernetes.io/zone NotIn us-east-1a"))}
    assert "us-east-1" not in without
    assert "us-east-1" in zone


def test_an_older_pool_is_of_its_node_classs_vendor(catalogued: list[dict[str, Any]]) -> None:
    """v1beta1 names its node class by apiVersion; without any sign of a vendor every one is allowed."""
    linux = pool("kubernetes.io/os In linux")
    older = linux.replace("group: karpenter.k8s.aws", "apiVersion: karpenter.k8s.aws/v1beta1")
    nobody = linux.replace("group: karpenter.k8s.aws, ", "")
    now, before, any_vendors = (
        {(place.vendor_id, place.server_id) for place in parse(text, "fleet").allowed(catalogued)}
        for text in (linux, older, nobody)
    )
    assert before == now
    assert any_vendors > now


def test_what_the_catalogue_cannot_judge_is_named() -> None:
    """A label that is not in the catalogue lets everything in, and is told."""
    fleet = parse(pool("karpenter.k8s.aws/instance-hypervisor In nitro"), "fleet")
    assert fleet.not_considered == ("karpenter.k8s.aws/instance-hypervisor",)


def test_values_are_read_as_they_are_written() -> None:
    """What YAML takes for a day that there is none of, for one, is a value like any other."""
    fleet = parse(pool("a In b").replace("'b'", "2026-99-99"), "fleet")
    assert fleet.pools[0].requirements[0].values == ("2026-99-99",)


def test_nothing_fits_within_a_fleet() -> None:
    """What would have to give is told of the fleet's servers, not of others."""
    with Catalog.open(fleet=parse("m5.large", "fleet")) as catalog:
        (way,) = catalog.relaxations(Need(cpu=4, memory_mib=0))
        assert str(way) == "cpu 2 instead of 4"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "neither"),
        ("kind: Pod\nspec: {}", "neither"),
        ("kind: [", "no YAML"),
        ("3", "named '3'"),
        ("[" * 3000, "nests too deep"),
        (pool("a In b").replace("'b'", "[b]"), "requirements"),
        ("- m5.large\n- [m5.large]", "neither"),
        ("m5.enormous", "m5.enormous"),
        ("kind: NodePool\nspec: {}", "requirements"),
        (pool("karpenter.k8s.aws/instance-cpu Over 4"), "operator"),
        (pool("karpenter.k8s.aws/instance-cpu Gt four"), "whole number"),
        (pool("karpenter.k8s.aws/instance-family In z99"), "no server that has a price"),
    ],
)
def test_what_is_no_fleet_is_refused(text: str, words: str) -> None:
    """One line names the file and what is wrong with it."""
    with pytest.raises(UsageError, match=words):
        servers(text)
