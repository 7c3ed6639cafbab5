"""Whether this host ends with the task: what the agent has not sent by then is lost.

What comes in: settings and an environment. What goes out: how long the end of a task may wait for unsent points. Reads
nothing else. Standard library only: it is imported inside the user's process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.setting_values import says_no

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepsize.settings import Settings

PATIENCE_S = 2.0
"""The most that the end of a task waits, where nobody has set STEPSIZE_END_WAIT."""

ENDING_HOSTS: tuple[tuple[str, str], ...] = (
    ("MF_PATHSPEC", "Metaflow's remote tasks: a pod or a Batch job each (metaflow/mflog/__init__.py)"),
    ("KUBERNETES_SERVICE_HOST", "a pod (kubernetes.io, Service, Environment variables)"),
    ("AWS_BATCH_JOB_ID", "an AWS Batch job (Batch user guide, Job environment variables)"),
    ("ECS_CONTAINER_METADATA_URI_V4", "an ECS or Fargate task (ECS developer guide, Task metadata endpoint version 4)"),
    ("AZ_BATCH_TASK_ID", "an Azure Batch task (Azure Batch, Compute node environment variables)"),
    ("CLOUD_RUN_JOB", "a Cloud Run job (Cloud Run, Container runtime contract)"),
    ("SLURM_JOB_ID", "a SLURM step: its cgroup is killed with it (sbatch(1), Output environment variables)"),
    ("PBS_JOBID", "a PBS job (qsub(1B))"),
    ("LSB_JOBID", "an LSF job (IBM Spectrum LSF, Environment variables)"),
    ("CI", "a job of GitHub Actions, GitLab CI, CircleCI and others: its runner is thrown away"),
)
"""Environment variables that are set where the host, or all processes of the job, end with it, and by whom."""


def end_wait_s(settings: Settings, environ: Mapping[str, str]) -> float:
    """Seconds that the end of a task may wait for unsent points; 0 where the agent outlives the task."""
    if settings.end_wait_s is not None:
        return settings.end_wait_s
    ends = any(not says_no(environ.get(name, "")) for name, _ in ENDING_HOSTS)
    return PATIENCE_S if ends else 0.0
