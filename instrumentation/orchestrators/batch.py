"""Readers of batch systems: AWS Batch and SLURM.

What comes in: `Evidence`. What goes out: texts and a `Request`. Pure but for what the evidence reads.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stepsize.identity import Request
from stepsize.instrumentation.orchestrators.rows import integer, number

if TYPE_CHECKING:
    from stepsize.instrumentation.orchestrators.evidence import Evidence

_MIB = 1 << 20


def aws_job(evidence: Evidence) -> str | None:
    """The job that was submitted: a child of an array job is PARENT:INDEX, a node of a parallel one PARENT#INDEX."""
    job = evidence.env("AWS_BATCH_JOB_ID")
    return job and re.split("[:#]", job, maxsplit=1)[0]


def slurm_task(evidence: Evidence) -> str | None:
    """The array's index, the job step and the rank in it, as far as there are any: what of a job this process is.

    A batch script is no job step, and has no rank of its own.
    """
    step, rank = evidence.env("SLURM_STEP_ID"), evidence.env("SLURM_PROCID")
    parts = [evidence.env("SLURM_ARRAY_TASK_ID"), step, rank if step is not None else None]
    return ".".join(part for part in parts if part is not None) or None


def slurm_request(evidence: Evidence) -> Request:
    """What one task of the job was given. SLURM's MB are MiB; memory of a node is shared by the tasks on it."""
    cpus = number(evidence.env("SLURM_CPUS_PER_TASK"))
    tasks = integer(evidence.env("SLURM_NTASKS_PER_NODE")) or integer(evidence.env("SLURM_NTASKS")) or 1
    per_node, per_cpu = number(evidence.env("SLURM_MEM_PER_NODE")), number(evidence.env("SLURM_MEM_PER_CPU"))
    memory_mib = None
    if per_node and tasks == 1:  # 0 asks for all of the node's, which is not told
        memory_mib = per_node
    elif per_cpu:
        memory_mib = per_cpu * (cpus or 1)
    return Request(
        cpu=cpus,
        memory_bytes=None if memory_mib is None else round(memory_mib * _MIB),
        gpu=_gpus(evidence.env("SLURM_GPUS_PER_TASK", *(["SLURM_GPUS_ON_NODE"] if tasks == 1 else []))),
    )


def _gpus(text: str | None) -> float | None:
    """The number in ``2``, ``a100:2`` or ``a100:2,v100:1``."""
    counts = [integer(part.rpartition(":")[2]) for part in (text or "").split(",")]
    return float(sum(count or 0 for count in counts)) if text and None not in counts else None
