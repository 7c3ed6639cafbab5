"""What platforms take, and the smallest of it that covers a need."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import replace
from importlib import resources
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.analyzer.sizing.targets import (
    TARGETS,
    Need,
    Pairs,
    Sizes,
    Steps,
    Target,
    changes,
    named,
    round_to,
    written,
)
from stepsize.errors import UsageError

MB, MIB, GIB = 10**6, 2**20, 2**30
FARGATE, BATCH, KUBERNETES = TARGETS["fargate"], TARGETS["batch"], TARGETS["kubernetes"]
GB_COSTS = 1 / 9
"""Of what a vCPU costs on Fargate: 0.004445 of 0.04048 USD an hour in us-east-1."""

PAIR = "AWS Fargate takes cores and memory in pairs: 1 vCPU with 2,048 MiB is the smallest that covers 1 with 600."

targets = st.sampled_from(list(TARGETS.values()))
cores = st.floats(0.01, 40) | st.sampled_from([0.25, 0.5, 1, 2, 4, 8, 16, 32])
memory_bytes = st.floats(1, 300 * 1024 * MIB) | st.integers(1, 300).map(lambda gib: gib * 1024.0 * MIB)


@pytest.mark.parametrize(
    ("cpu", "memory_mib", "expected"),
    [
        (0.1, 100, Sizes(0.25, 512)),
        (0.25, 512, Sizes(0.25, 512)),
        (0.25, 513, Sizes(0.25, 1024)),
        (0.25 + 1e-12, 2048 * (1 + 1e-12), Sizes(0.25, 2048)),  # floating point's
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
    assert round_to(FARGATE, Need(cpu=cpu, memory_bytes=memory_mib * MIB)) == expected


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
    assert round_to(target, Need(cpu=cpu, memory_bytes=size_bytes)) == expected


@given(targets, cores, memory_bytes, st.tuples(st.booleans(), st.booleans()))
def test_an_answer_covers_the_need_and_stays_when_asked_again(
    target: Target, cpu: float, size_bytes: float, keeps: tuple[bool, bool]
) -> None:
    """Never less than was needed, but for what floating point adds; what is allowed already is left as it is."""
    need = Need(cpu=cpu, memory_bytes=size_bytes, keeps_cpu=keeps[0], keeps_memory=keeps[1])
    sizes = round_to(target, need)
    if sizes is None:
        assert "are more than AWS Fargate has: 32 and 249,856 at most." in written(target, need)[0]
        return
    assert written(target, need)[0] == (
        f"On {target.title} write cpu={sizes.cpu:g}, memory={sizes.memory} ({target.memory_unit})."
    )
    assert sizes.cpu >= cpu * (1 - 1e-6)
    assert sizes.memory * target.memory_unit_bytes >= size_bytes * (1 - 1e-6)
    again = Need(cpu=sizes.cpu, memory_bytes=sizes.memory * target.memory_unit_bytes)
    for kept in (False, True) if keeps == (False, False) else (True,):
        assert round_to(target, replace(again, keeps_cpu=kept, keeps_memory=kept)) == sizes


@given(targets, cores, cores, memory_bytes, memory_bytes)
def test_more_is_never_answered_with_less(
    target: Target, cpu: float, more_cpu: float, size_bytes: float, more_bytes: float
) -> None:
    """More cores or memory never get fewer cores, nor less memory with the same cores."""
    (cpu, more_cpu), (size_bytes, more_bytes) = sorted((cpu, more_cpu)), sorted((size_bytes, more_bytes))
    less = round_to(target, Need(cpu=cpu, memory_bytes=size_bytes))
    more = round_to(target, Need(cpu=more_cpu, memory_bytes=more_bytes))
    if less is None:
        assert more is None
    elif more is not None:
        assert (less.cpu, less.memory) <= (more.cpu, more.memory)


@given(cores, memory_bytes)
def test_the_pair_is_the_cheapest_that_covers(cpu: float, size_bytes: float) -> None:
    """None of all pairs that cover costs less; a billionth more than one has is rounding."""
    assert isinstance(FARGATE.sizes, Pairs)

    def price(cpu: float, memory_mib: float) -> float:
        return cpu + memory_mib / 1024 * GB_COSTS

    covering = [
        price(row_cpu, amount)
        for row_cpu, amounts in FARGATE.sizes.rows
        for amount in amounts
        if row_cpu >= cpu * (1 - 1e-9) and amount >= size_bytes / MIB * (1 - 1e-9)
    ]
    sizes = round_to(FARGATE, Need(cpu=cpu, memory_bytes=size_bytes))
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


@pytest.mark.parametrize(
    ("target", "cpu", "size_bytes", "expected"),
    [
        (KUBERNETES, 1, 4096 * MB, Sizes(1, 4096)),  # Metaflow's default
        (KUBERNETES, 0.3, 601 * MB, Sizes(0.3, 601)),
        (KUBERNETES, 0.0004, 600.5 * MB, Sizes(0.001, 610)),  # which it does not take
        (KUBERNETES, 1, 4096 * MIB, Sizes(1, 4300)),
        (BATCH, 4, 16_000 * MIB, Sizes(4, 16_000)),
        (BATCH, 1.5, 16_000 * MB, Sizes(2, 15_360)),
        (TARGETS["slurm"], 3, 5001 * MIB, Sizes(3, 5001)),
        (TARGETS["gcp-batch"], 0.7, 5001 * MIB, Sizes(0.7, 5001)),
        (FARGATE, 4, 30_720 * MIB, Sizes(4, 30_720)),
        (FARGATE, 1, 4096 * MB, Sizes(1, 4096)),
    ],
)
def test_a_request_that_the_platform_takes_stays_as_it_is(
    target: Target, cpu: float, size_bytes: float, expected: Sizes
) -> None:
    """Where a request is to be kept nothing else is written, unless the platform has no such size."""
    assert round_to(target, Need(cpu=cpu, memory_bytes=size_bytes, keeps_cpu=True, keeps_memory=True)) == expected


@pytest.mark.parametrize(
    ("target", "need", "expected"),
    [
        (KUBERNETES, Need(cpu=2, memory_bytes=590 * MB), False),
        (KUBERNETES, Need(cpu=1, memory_bytes=4096 * MB, keeps_cpu=True, keeps_memory=True), False),
        (KUBERNETES, Need(cpu=2, memory_bytes=4096 * MB), True),
        (BATCH, Need(cpu=1, memory_bytes=590 * MB), True),
        (BATCH, Need(cpu=1, memory_bytes=4096 * MIB, keeps_cpu=True, keeps_memory=True), False),
        (BATCH, Need(cpu=1, memory_bytes=4096 * MIB), True),  # 4,295 in the report
        (FARGATE, Need(cpu=1, memory_bytes=4096 * MIB, keeps_cpu=True, keeps_memory=True), False),
        (FARGATE, Need(cpu=1, memory_bytes=4096 * MIB, gpu=1, keeps_cpu=True, keeps_memory=True), True),
        (FARGATE, Need(cpu=64, memory_bytes=MIB), True),
    ],
)
def test_what_a_report_says_already_is_no_change(target: Target, need: Need, expected: bool) -> None:
    """A report is in MB of 10^6 bytes: what is to be written in others is told, and what is kept is not."""
    assert changes(target, need) is expected


@pytest.mark.parametrize(
    ("target", "need", "expected"),
    [
        (
            FARGATE,
            Need(cpu=1, memory_bytes=600 * MIB),
            (PAIR,),
        ),
        (FARGATE, Need(cpu=1, memory_bytes=2048 * MIB), ()),
        (BATCH, Need(cpu=1.5, memory_bytes=600 * MIB), ()),
        (
            FARGATE,
            Need(cpu=1, memory_bytes=2048 * MIB, gpu=1),
            ("AWS Fargate has no GPUs: what needs one runs elsewhere.",),
        ),
        (
            FARGATE,
            Need(cpu=1, memory_bytes=2048 * MIB, disk_bytes=30.5 * GIB),
            ("For disk write ephemeral_storage=31 (GiB).",),
        ),
        (
            FARGATE,
            Need(cpu=1, memory_bytes=2048 * MIB, disk_bytes=20.5 * GIB),
            ("For disk write ephemeral_storage=21 (GiB).",),
        ),
        (
            FARGATE,
            Need(cpu=1, memory_bytes=2048 * MIB, disk_bytes=20 * GIB),
            ("20 GiB of disk come without asking: ephemeral_storage is not needed.",),
        ),
        (
            FARGATE,
            Need(cpu=1, memory_bytes=2048 * MIB, disk_bytes=201 * GIB),
            ("201 GiB of disk are more than AWS Fargate has: 200 at most.",),
        ),
        (KUBERNETES, Need(cpu=1, memory_bytes=2048 * MIB, gpu=1, disk_bytes=201 * GIB), ()),
    ],
)
def test_what_a_reader_would_wonder_about_is_said(target: Target, need: Need, expected: tuple[str, ...]) -> None:
    """Where a pair brings more than was needed; devices and disk that a platform has not got."""
    assert written(target, need)[1:] == expected


def test_a_need_of_no_size_is_said() -> None:
    """With the largest that there is, and without devices that there are none of."""
    assert written(FARGATE, Need(cpu=4, memory_bytes=300_000 * MIB, gpu=1)) == (
        "4 cores and 300,000 MiB are more than AWS Fargate has: 32 and 249,856 at most.",
        "AWS Fargate has no GPUs: what needs one runs elsewhere.",
    )


def test_every_platform_divides_cores_no_finer_than_it_takes_them() -> None:
    """What a person would write is what the platform takes."""
    for target in TARGETS.values():
        if isinstance(target.sizes, Steps):
            assert (target.sizes.cpu * target.sizes.cpus_per_core).is_integer()


def test_targets_are_found_by_name() -> None:
    """By what an option calls them; a name that is none says which there are."""
    assert named("fargate") is FARGATE
    assert not FARGATE.gpus
    with pytest.raises(UsageError, match="no target is called 'azure'; known are kubernetes, batch, fargate"):
        named("azure")
