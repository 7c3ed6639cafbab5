"""Which platform runs this process and gave it its resources, by what the platform itself leaves in the environment.

What comes in: a look-up of variables, or `Evidence`. What goes out: one of `Platform`, or ``None`` where nothing tells,
or where what runs the process serves several tasks. Pure but for what the evidence reads. Standard library only, and
light: every tracked Metaflow task imports it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.identity import Platform

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.instrumentation.orchestrators.evidence import Evidence
    from stepsize.instrumentation.orchestrators.rows import Reader

_ECS = {"AWS_ECS_FARGATE": Platform.FARGATE, "AWS_ECS_EC2": Platform.BATCH}
"""What ECS says of where it runs a task (ECS developer guide, "Amazon ECS environment variables")."""


def platform(env: Callable[[str], str | None]) -> str | None:
    """What started the container, job or machine that this process is in; the nearest to it, where there are several.

    Sources: AWS Batch user guide, "Job environment variables"; ECS developer guide, "Amazon ECS environment variables";
    sbatch(1), "Output environment variables"; Google Batch, ``TaskGroup.taskEnvironments``; kubernetes.io, "Service".
    """
    if env("SLURM_JOB_ID"):
        return Platform.SLURM
    if env("AWS_BATCH_JOB_ID"):
        # Jobs on EKS are pods, with sizes of their own.
        on_eks = env("AWS_BATCH_JOB_KUBERNETES_NODE_UID") or env("KUBERNETES_SERVICE_HOST")
        return None if on_eks else _ECS.get(env("AWS_EXECUTION_ENV") or "")
    if env("AWS_EXECUTION_ENV") == "AWS_ECS_FARGATE":
        return Platform.FARGATE
    if env("KUBERNETES_SERVICE_HOST"):
        return Platform.KUBERNETES
    if env("BATCH_TASK_INDEX") and env("BATCH_TASK_COUNT"):
        return Platform.GCP_BATCH
    return None


def of_metaflow(env: Callable[[str], str | None], flow: str, step: str) -> str | None:
    """What runs a task of Metaflow: the launcher's machine, unless the task's own job exported its name.

    A flow that somebody starts inside of a pod or a job has its steps run beside it, whatever that was given.
    """
    parts = (env("MF_PATHSPEC") or "").split("/")
    remote = len(parts) == 4 and (parts[0], parts[2]) == (flow, step)
    return platform(env) if remote else Platform.LOCAL


def here(evidence: Evidence) -> str | None:
    """The reader of an orchestrator that has a platform start each task."""
    return platform(evidence.env)


def here_with(variable: str) -> Reader:
    """The reader of an orchestrator that has a platform start a task where ``variable`` is set."""
    return lambda evidence: platform(evidence.env) if evidence.env(variable) else None


def here_or_local(variable: str) -> Reader:
    """The reader of an orchestrator that sets ``variable`` where another machine runs the task, and there alone."""
    return lambda evidence: platform(evidence.env) if evidence.env(variable) else Platform.LOCAL


def pod(_evidence: Evidence) -> str | None:
    """The reader of an orchestrator whose tasks are pods, each of them."""
    return Platform.KUBERNETES
