"""What platforms take, and the smallest of it that covers a need."""

from __future__ import annotations

import gzip
import json
import re
from importlib import resources
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.analyzer.sizing.targets import TARGETS, Pairs, Sizes, Target, named, round_to, why_more, why_none
from stepsize.errors import UsageError

MIB = 2**20
FARGATE, BATCH, KUBERNETES = TARGETS["fargate"], TARGETS["batch"], TARGETS["kubernetes"]
GB_COSTS = 1 / 9
"""Of what a vCPU costs on Fargate: 0.004445 of 0.04048 USD an hour in us-east-1."""

targets = st.sampled_from(list(TARGETS.values()))
cores = st.floats(0.01, 40) | st.sampled_from([0.25, 0.5, 1, 2, 4, 8, 16, 32])
memory_bytes = st.floats(1, 300 * 1024 * MIB) | st.integers(1, 300).map(lambda gib: gib * 1024.0 * MIB)


@pytest.mark.parametrize(
    ("cpu", "memory_mib", "expected"),
    [
        (0.1, 100, Sizes(0.25, 512)),
        (0.25, 512, Sizes(0.25, 512)),
        (0.25, 513, Sizes(0.25, 1024)),
        (0.25, 2049, Sizes(0.5, 3072)),
        (1, 600, Sizes(1, 2048)),
        (1, 8193, Sizes(2, 9216)),
        (3, 1000, Sizes(4, 8192)),
        (4, 30_721, Sizes(8, 32_768)),
        (8, 17_000, Sizes(8, 20_480)),
        (16, 122_880, Sizes(16, 122_880)),
        (16, 122_881, Sizes(32, 249_856)),
        (17, 1, Sizes(32, 61_440)),
        (32, 249_857, None),
        (33, 1, None),
    ],
)
def test_fargate_takes_pairs(cpu: float, memory_mib: float, expected: Sizes | None) -> None:
    """The fewest cores that go with enough memory; nothing where a step needs more than there is."""
    assert round_to(FARGATE, cpu, memory_mib * MIB) == expected


@pytest.mark.parametrize(
    ("target", "cpu", "size_bytes", "expected"),
    [
        (KUBERNETES, 1.2, 600 * 10**6, Sizes(1.25, 600)),
        (KUBERNETES, 0.1, 601 * 10**6, Sizes(0.25, 610)),
        (BATCH, 1.2, 600 * 10**6, Sizes(2, 576)),  # 572.2 MiB
        (BATCH, 4, 4096 * MIB, Sizes(4, 4096)),
        (TARGETS["slurm"], 0.2, 1024 * MIB, Sizes(1, 1024)),
        (TARGETS["gcp-batch"], 1.5, 10**9, Sizes(1.5, 960)),
    ],
)
def test_others_take_steps_in_their_own_unit(target: Target, cpu: float, size_bytes: float, expected: Sizes) -> None:
    """MB of 10^6 bytes on Kubernetes, MiB elsewhere; whole cores on EC2 and SLURM, quarters elsewhere."""
    assert round_to(target, cpu, size_bytes) == expected


@given(targets, cores, memory_bytes)
def test_an_answer_covers_the_need_and_stays_when_asked_again(target: Target, cpu: float, size_bytes: float) -> None:
    """Never less than was needed, but for what floating point adds; what is allowed already is left as it is."""
    sizes = round_to(target, cpu, size_bytes)
    if sizes is None:
        assert why_none(target, cpu, size_bytes)
        return
    assert not why_none(target, cpu, size_bytes)
    assert sizes.cpu >= cpu * (1 - 1e-6)
    assert sizes.memory * target.memory_unit_bytes >= size_bytes * (1 - 1e-6)
    assert round_to(target, sizes.cpu, sizes.memory * target.memory_unit_bytes) == sizes


@given(targets, cores, cores, memory_bytes, memory_bytes)
def test_more_is_never_answered_with_less(
    target: Target, cpu: float, more_cpu: float, size_bytes: float, more_bytes: float
) -> None:
    """More cores or memory never get fewer cores, nor less memory with the same cores."""
    (cpu, more_cpu), (size_bytes, more_bytes) = sorted((cpu, more_cpu)), sorted((size_bytes, more_bytes))
    less, more = round_to(target, cpu, size_bytes), round_to(target, more_cpu, more_bytes)
    if less is None:
        assert more is None
    elif more is not None:
        assert (less.cpu, less.memory) <= (more.cpu, more.memory)


@given(cores, memory_bytes)
def test_the_pair_is_the_cheapest_that_covers(cpu: float, size_bytes: float) -> None:
    """None of all pairs that cover costs less."""
    assert isinstance(FARGATE.sizes, Pairs)

    def price(cpu: float, memory_mib: float) -> float:
        return cpu + memory_mib / 1024 * GB_COSTS

    covering = [
        price(row_cpu, amount)
        for row_cpu, amounts in FARGATE.sizes.rows
        for amount in amounts
        if row_cpu >= cpu and amount * MIB >= size_bytes
    ]
    sizes = round_to(FARGATE, cpu, size_bytes)
    assert min(covering, default=inf) == (price(sizes.cpu, sizes.memory) if sizes else inf)


def test_every_pair_is_one_that_aws_names() -> None:
    """Against the text of AWS's own API description, as its client library brings it."""
    packed = resources.files("botocore").joinpath("data/batch/2016-08-10/service-2.json.gz").read_bytes()
    described = json.loads(gzip.decompress(packed))["shapes"]["ResourceRequirement"]["members"]["value"]
    text = re.sub(r"<[^>]+>", " ", described["documentation"]).partition('type="VCPU"')[2]
    named_there = {
        float(cpu): {int(amount) for amount in re.findall(r"\d{3,}", amounts)}
        for cpu, amounts in re.findall(r"value = ([\d.]+)\s+MEMORY\s+= ([\d, or]+)", text)
    }
    assert isinstance(FARGATE.sizes, Pairs)
    ours = {cpu: set(amounts) for cpu, amounts in FARGATE.sizes.rows}
    assert ours.keys() <= named_there.keys()
    assert [sorted(amounts - named_there[cpu]) for cpu, amounts in ours.items()] == [[]] * len(ours)


def test_pairs_are_explained_where_they_cost_more() -> None:
    """A sentence where a pair brings more than was needed, none where it does not; one where there is no pair."""
    assert why_more(FARGATE, 1, 600 * MIB) == (
        "AWS Batch on Fargate takes cores and memory in pairs: 1 vCPU with 2,048 MiB is the smallest that covers "
        "1 with 600."
    )
    assert why_more(FARGATE, 1, 2048 * MIB) == ""
    assert why_more(BATCH, 1.5, 600 * MIB) == ""
    assert why_none(FARGATE, 4, 300_000 * MIB) == (
        "4 cores and 300,000 MiB are more than AWS Batch on Fargate has: 32 and 249,856 at most."
    )


def test_targets_are_found_by_name() -> None:
    """By what an option calls them; a name that is none says which there are."""
    assert named("fargate") is FARGATE
    assert not FARGATE.gpus
    with pytest.raises(UsageError, match="no target is called 'azure'; known are kubernetes, batch, fargate"):
        named("azure")
