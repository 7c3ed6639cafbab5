"""What the platforms that run a step take: units, smallest steps, pairs of cores and memory. Data and arithmetic, pure.

What comes in: a target's name, cores and bytes. What goes out: the smallest sizes of that target that cover them, in
its own unit. A size that a platform does not take is refused there, or is raised silently to one that costs more.

Sources are with each target (read 2026-11); ``docs/targets.md`` says what Metaflow makes of these numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.rounding import round_up, round_up_binary
from stepsize.errors import UsageError
from stepsize.model import BYTES_PER_MB

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MIB = 2**20
_BYTES_PER_UNIT = {"MB": BYTES_PER_MB, "MiB": _MIB}
_SLACK = 1 - 1e-9
"""What floating point may put above a size that fits."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What to ask a target for: cores, and memory in the target's unit."""

    cpu: float
    memory: int


@dataclass(frozen=True, slots=True)
class Pairs:
    """Cores that exist, the fewest first, each with the amounts of memory that go with it, the smallest first."""

    rows: tuple[tuple[float, tuple[int, ...]], ...]

    def smallest(self, cpu: float, memory: float) -> Sizes | None:
        """The pair with the fewest cores, of these that with the least memory; None where none covers both.

        That is the cheapest too: a row further would add more in cores than it can save in memory, of which a GB costs
        a ninth of a core.
        """
        for cores, amounts in self.rows:
            if cores >= cpu * _SLACK and amounts[-1] >= memory * _SLACK:
                return Sizes(cores, next(amount for amount in amounts if amount >= memory * _SLACK))
        return None

    @property
    def largest(self) -> Sizes:
        """The most that there is."""
        cores, amounts = self.rows[-1]
        return Sizes(cores, amounts[-1])


@dataclass(frozen=True, slots=True)
class Steps:
    """Any size, within what a person would write: cores in steps of ``cpu``, memory as ``memory`` rounds it."""

    cpu: float
    memory: Callable[[float], int]

    def smallest(self, cpu: float, memory: float) -> Sizes:
        """The fewest steps that cover both; at least one of each."""
        return Sizes(max(1, math.ceil(cpu / self.cpu * _SLACK)) * self.cpu, self.memory(memory))

    @property
    def largest(self) -> None:
        """Bounded by the machines there are alone, which ``matching`` knows."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One platform.

    Attributes:
        name: what an option calls it.
        title: as people write it.
        memory_unit: what it takes memory in, ``MB`` (10^6 bytes) or ``MiB`` (2^20).
        sizes: which sizes it takes.
        gpus: whether it has any.
        source: where that is said.
    """

    name: str
    title: str
    memory_unit: str
    sizes: Pairs | Steps
    source: str
    gpus: bool = True

    @property
    def memory_unit_bytes(self) -> int:
        """Bytes in one of :attr:`memory_unit`."""
        return _BYTES_PER_UNIT[self.memory_unit]


def _every(first: int, last: int, step: int) -> tuple[int, ...]:
    return tuple(range(first * 1024, last * 1024 + 1, step * 1024))


_FARGATE = Pairs(
    (
        (0.25, (512, 1024, 2048)),
        (0.5, _every(1, 4, 1)),
        (1.0, _every(2, 8, 1)),
        (2.0, _every(4, 16, 1)),
        (4.0, _every(8, 30, 1)),
        (8.0, _every(16, 60, 4)),
        (16.0, _every(32, 120, 8)),
        (32.0, (61_440, 122_880, 249_856)),
    )
)
_ALL = (
    Target(
        name="kubernetes",
        title="Kubernetes",
        memory_unit="MB",
        sizes=Steps(cpu=0.25, memory=round_up),
        source="metaflow/plugins/kubernetes/kube_utils.py, qos_requests_and_limits; "
        "kubernetes.io/docs/concepts/configuration/manage-resources-containers",
    ),
    Target(
        name="batch",
        title="AWS Batch on EC2",
        memory_unit="MiB",
        sizes=Steps(cpu=1.0, memory=round_up_binary),
        source="docs.aws.amazon.com/batch/latest/APIReference/API_ResourceRequirement.html; "
        "metaflow/plugins/aws/batch/batch_client.py",
    ),
    Target(
        name="fargate",
        title="AWS Batch on Fargate",
        memory_unit="MiB",
        sizes=_FARGATE,
        source="docs.aws.amazon.com/batch/latest/APIReference/API_ResourceRequirement.html",
        gpus=False,
    ),
    Target(
        name="slurm",
        title="SLURM",
        memory_unit="MiB",
        sizes=Steps(cpu=1.0, memory=round_up_binary),
        source="slurm.schedmd.com/sbatch.html, --cpus-per-task and --mem, whose megabytes are 2^20 bytes",
    ),
    Target(
        name="gcp-batch",
        title="Google Cloud Batch",
        memory_unit="MiB",
        sizes=Steps(cpu=0.25, memory=round_up_binary),
        source="cloud.google.com/batch/docs/reference/rest/v1/projects.locations.jobs, ComputeResource",
    ),
)
TARGETS: Mapping[str, Target] = {target.name: target for target in _ALL}
"""Every target by its name."""


def named(name: str) -> Target:
    """The target called ``name``.

    Raises:
        UsageError: there is none; the message names those that are.
    """
    if name not in TARGETS:
        raise UsageError(f"no target is called {name!r}; known are {', '.join(TARGETS)}")
    return TARGETS[name]


def round_to(target: Target, cpu: float, memory_bytes: float) -> Sizes | None:
    """The smallest sizes of ``target`` that cover ``cpu`` cores and ``memory_bytes``; None where it has none so large.

    Cores are covered as they are: what measuring may have added to them is taken off before (``rounding.whole_cores``).
    """
    return target.sizes.smallest(cpu, memory_bytes / target.memory_unit_bytes)


def why_none(target: Target, cpu: float, memory_bytes: float) -> str:
    """The sentence for a step that :func:`round_to` has no size for; empty where it has one."""
    largest = target.sizes.largest
    if largest is None or round_to(target, cpu, memory_bytes) is not None:
        return ""
    memory = memory_bytes / target.memory_unit_bytes
    return (
        f"{cpu:g} cores and {memory:,.0f} {target.memory_unit} are more than {target.title} has: "
        f"{largest.cpu:g} and {largest.memory:,} at most."
    )


def why_more(target: Target, cpu: float, memory_bytes: float) -> str:
    """Why what :func:`round_to` answers is more than was needed, where a reader would wonder; else empty."""
    sizes = round_to(target, cpu, memory_bytes)
    memory = memory_bytes / target.memory_unit_bytes
    if target.sizes.largest is None or sizes is None or (sizes.cpu <= cpu and sizes.memory <= round_up_binary(memory)):
        return ""
    return (
        f"{target.title} takes cores and memory in pairs: {sizes.cpu:g} vCPU with {sizes.memory:,} "
        f"{target.memory_unit} is the smallest that covers {cpu:g} with {memory:,.0f}."
    )
