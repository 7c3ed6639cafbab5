"""What a task holds beside its cores for as long as it runs: memory and GPUs, as so many cores.

What comes in: the evidence of a step. What goes out: a :class:`Beside`. Pure.

A task that takes longer on fewer cores holds its memory and its GPUs for longer. Both are weighed as so many cores, so
that prices and currencies of clouds cancel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.gpu import alike

if TYPE_CHECKING:
    from stepsize.analyzer.usage import StepEvidence

BYTES_PER_CORE = 8 * 10**9
"""Memory that costs as much as a core: 8.7 GB by AWS's m5a.large and r5a.large (us-east-1), 7.5 GB by Google's
e2-standard-2 and e2-highmem-2 (us-central1); list prices of the bundled catalogue."""
CORES_PER_GPU = 12.0
"""Cores that cost as much as the T4 of AWS's g4dn.xlarge, by the same prices. Larger GPUs cost several times that, so
that this errs to fewer cores."""


@dataclass(frozen=True, slots=True)
class Beside:
    """Memory and devices that a task holds: the highest peak, and the most devices at once of the attempts that asked
    for as many as the newest.

    Where use of GPUs could not be read, those that were asked for count.
    """

    memory_bytes: int = 0
    gpus: float = 0.0

    @classmethod
    def of(cls, evidence: StepEvidence) -> Beside:
        """What the attempts that ended show."""
        memory_bytes = max((a.memory_peak_bytes or 0 for a in evidence.ended), default=0)
        asked = evidence.newest.requested_gpu if evidence.newest else None
        held = (a.requested_gpu if a.gpu_count is None else a.gpu_count for a in alike(evidence))
        return cls(memory_bytes, max((gpus or 0.0 for gpus in held), default=asked or 0.0))

    @property
    def cores(self) -> float:
        """Cores that cost as much."""
        return self.memory_bytes / BYTES_PER_CORE + self.gpus * CORES_PER_GPU


NOTHING = Beside()
