"""What the platforms that run a step take: units, smallest steps, pairs of cores and memory. Data and arithmetic, pure.

What comes in: a target's name, cores and bytes. What goes out: the smallest sizes of that target that cover them, in
its own unit, and sentences that say them. A size that a platform does not take is refused there, or is raised silently
to one that costs more.

Sources are with each target (read 2026-11); ``docs/targets.md`` says what Metaflow makes of these numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.rounding import round_up, round_up_binary
from stepsize.errors import UsageError
from stepsize.identity import Platform
from stepsize.model import BYTES_PER_MB

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MIB, _GIB = 2**20, 2**30
_FORTNIGHT_S = 14.0 * 24 * 3600
_BYTES_PER_UNIT = {"MB": BYTES_PER_MB, "MiB": _MIB}
_SLACK = 1 - 1e-9
"""What floating point may put above a size that fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a step is to have: cores, bytes of memory, devices, bytes of disk where it is told to ask for others.

    ``keeps_cpu`` and ``keeps_memory``: the step asks for that already, and is not told to write anything else.
    """

    cpu: float
    memory_bytes: float
    gpu: float = 0.0
    disk_bytes: float | None = None
    keeps_cpu: bool = False
    keeps_memory: bool = False


@dataclass(frozen=True, slots=True)
class Sizes:
    """What to ask a target for: cores, and memory in the target's unit."""

    cpu: float
    memory: int


@dataclass(frozen=True, slots=True)
class Pairs:
    """Cores that exist, the fewest first, each with the amounts of memory that go with it, the smallest first."""

    rows: tuple[tuple[float, tuple[int, ...]], ...]

    def smallest(self, cpu: float, memory: float, *, keeps_cpu: bool, keeps_memory: bool) -> Sizes | None:  # noqa: ARG002 - of a pair, nothing smaller covers it
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
    """Any size, within what a person would write: cores in steps of ``cpu``, memory as ``memory`` rounds it.

    ``cpus_per_core``: in how many parts the platform itself divides a core; it takes any whole number of its unit of
    memory.
    """

    cpu: float
    memory: Callable[[float], int]
    cpus_per_core: int = 1

    def smallest(self, cpu: float, memory: float, *, keeps_cpu: bool, keeps_memory: bool) -> Sizes:
        """The fewest steps that cover both, at least one of each; what is kept only as far as the platform needs it."""
        if keeps_cpu:
            cores = max(1, math.ceil(cpu * self.cpus_per_core * _SLACK)) / self.cpus_per_core
        else:
            cores = max(1, math.ceil(cpu / self.cpu * _SLACK)) * self.cpu
        whole = keeps_memory and math.isclose(memory, round(memory), rel_tol=1e-9) and memory >= 1
        return Sizes(cores, round(memory) if whole else self.memory(memory))

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
        disk_gib: the least and the most of the disk that it gives out by the GiB; None where it does not.
        longest_s: what runs for longer it may end; None where nothing says.
        source: where that is said.
    """

    name: str
    title: str
    memory_unit: str
    sizes: Pairs | Steps
    source: str
    gpus: bool = True
    disk_gib: tuple[int, int] | None = None
    longest_s: float | None = None

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
        name=Platform.KUBERNETES,
        title="Kubernetes",
        memory_unit="MB",
        sizes=Steps(cpu=0.25, memory=round_up, cpus_per_core=1000),
        source="metaflow/plugins/kubernetes/kube_utils.py, qos_requests_and_limits; "
        "kubernetes.io/docs/concepts/configuration/manage-resources-containers",
    ),
    Target(
        name=Platform.BATCH,
        title="AWS Batch on EC2",
        memory_unit="MiB",
        sizes=Steps(cpu=1.0, memory=round_up_binary),
        source="docs.aws.amazon.com/batch/latest/APIReference/API_ResourceRequirement.html; "
        "metaflow/plugins/aws/batch/batch_client.py",
    ),
    Target(
        name=Platform.FARGATE,
        title="AWS Fargate",
        memory_unit="MiB",
        sizes=_FARGATE,
        source="docs.aws.amazon.com/batch/latest/APIReference/API_ResourceRequirement.html; "
        "docs.aws.amazon.com/batch/latest/userguide/job_timeouts.html",
        gpus=False,
        disk_gib=(21, 200),
        longest_s=_FORTNIGHT_S,
    ),
    Target(
        name=Platform.SLURM,
        title="SLURM",
        memory_unit="MiB",
        sizes=Steps(cpu=1.0, memory=round_up_binary),
        source="slurm.schedmd.com/sbatch.html, --cpus-per-task and --mem, whose megabytes are 2^20 bytes",
    ),
    Target(
        name=Platform.GCP_BATCH,
        title="Google Cloud Batch",
        memory_unit="MiB",
        sizes=Steps(cpu=0.25, memory=round_up_binary, cpus_per_core=1000),
        source="cloud.google.com/batch/docs/reference/rest/v1/projects.locations.jobs, ComputeResource; "
        "cloud.google.com/batch/docs/set-timeouts",
        longest_s=_FORTNIGHT_S,
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


def round_to(target: Target, need: Need) -> Sizes | None:
    """The smallest sizes of ``target`` that cover ``need``; None where it has none so large.

    A size that the step asks for already and that the platform takes stays. Cores are covered as they are: what
    measuring may have added to them is taken off before (``rounding.whole_cores``).
    """
    return target.sizes.smallest(
        need.cpu,
        need.memory_bytes / target.memory_unit_bytes,
        keeps_cpu=need.keeps_cpu,
        keeps_memory=need.keeps_memory,
    )


def written(target: Target, need: Need) -> tuple[str, ...]:
    """What to write for ``target``, and what of it a reader would wonder about; or that it has nothing so large."""
    sizes = round_to(target, need)
    devices = () if target.gpus or need.gpu <= 0 else (f"{target.title} has no GPUs: what needs one runs elsewhere.",)
    if sizes is None:
        return (_none(target, need), *devices)
    line = f"On {target.title} write cpu={sizes.cpu:g}, memory={sizes.memory} ({target.memory_unit})."
    return (line, *_more(target, need, sizes), *devices, *_disk(target, need))


def changes(target: Target, need: Need) -> bool:
    """Whether what to write for ``target`` is anything else than ``need`` in MB of 10^6 bytes, or needs a word."""
    sizes = round_to(target, need)
    if sizes is None or len(written(target, need)) > 1:
        return True
    kept = need.keeps_cpu and need.keeps_memory
    same = math.isclose(sizes.cpu, need.cpu) and math.isclose(
        sizes.memory * target.memory_unit_bytes, need.memory_bytes, rel_tol=1e-9
    )
    return not same or not (kept or target.memory_unit == "MB")


def _none(target: Target, need: Need) -> str:
    largest = target.sizes.largest
    memory = need.memory_bytes / target.memory_unit_bytes
    at_most = "" if largest is None else f": {largest.cpu:g} and {largest.memory:,} at most"
    return f"{need.cpu:g} cores and {memory:,.0f} {target.memory_unit} are more than {target.title} has{at_most}."


def _more(target: Target, need: Need, sizes: Sizes) -> tuple[str, ...]:
    """Why it is more than was needed, where sizes come in pairs."""
    memory = need.memory_bytes / target.memory_unit_bytes
    if target.sizes.largest is None or (sizes.cpu <= need.cpu and sizes.memory <= round_up_binary(memory)):
        return ()
    return (
        (
            f"{target.title} takes cores and memory in pairs: {sizes.cpu:g} vCPU with {sizes.memory:,} "
            f"{target.memory_unit} is the smallest that covers {need.cpu:g} with {memory:,.0f}."
        ),
    )


def _disk(target: Target, need: Need) -> tuple[str, ...]:
    """What to write for disk, where the platform gives it out by the GiB."""
    if target.disk_gib is None or need.disk_bytes is None:
        return ()
    least, most = target.disk_gib
    gib = max(least, math.ceil(need.disk_bytes / _GIB * _SLACK))
    if gib > most:
        return (f"{gib} GiB of disk are more than {target.title} has: {most} at most.",)
    if need.disk_bytes <= (least - 1) * _GIB:
        return (f"{least - 1} GiB of disk come without asking: ephemeral_storage is not needed.",)
    return (f"For disk write ephemeral_storage={gib} (GiB).",)
