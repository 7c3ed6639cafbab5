"""What runs an attempt and gave it its resources: told by what the platform left, or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.analyzer.sizing.targets import TARGETS
from stepsize.identity import Attr, Platform
from stepsize.instrumentation.identity import of_command
from stepsize.instrumentation.lineage import MARK, mark_of
from stepsize.instrumentation.orchestrators.platforms import of_metaflow, platform
from stepsize.interpreter import environment_for_python
from stepsize.model import Request

if TYPE_CHECKING:
    from pathlib import Path

POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
SLURM = {"SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "4"}
JOB = {"AWS_BATCH_JOB_ID": "9f"}
EC2, FARGATE = {"AWS_EXECUTION_ENV": "AWS_ECS_EC2"}, {"AWS_EXECUTION_ENV": "AWS_ECS_FARGATE"}
GCP = {"BATCH_TASK_INDEX": "0", "BATCH_TASK_COUNT": "1"}
NIGHTLY = {"MF_PATHSPEC": "Nightly/7/train/3"}
CELERY = {"AIRFLOW_CTX_DAG_ID": "nightly", "AIRFLOW_CTX_TASK_ID": "load"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        (POD, "kubernetes"),
        ({**JOB, **EC2}, "batch"),
        ({**JOB, **FARGATE}, "fargate"),
        (JOB, None),  # neither is said
        ({**JOB, **POD, "AWS_BATCH_JOB_KUBERNETES_NODE_UID": "u"}, None),  # on EKS
        (FARGATE, "fargate"),
        (EC2, None),  # some container of ECS
        (SLURM, "slurm"),
        ({**SLURM, **POD}, "slurm"),  # SLURM's nodes may be pods
        (GCP, "gcp-batch"),
        ({"BATCH_TASK_INDEX": "0"}, None),
        ({"KUBERNETES_SERVICE_HOST": ""}, None),
    ],
)
def test_a_platform_is_known_by_what_it_leaves(environ: dict[str, str], expected: str | None) -> None:
    """The nearest to the process counts; Fargate is told from EC2 by what ECS says, and by nothing else."""
    assert platform(environ.get) == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "local"),
        (POD, "local"),  # a flow that somebody starts in a notebook's pod
        (SLURM, "local"),
        ({**NIGHTLY, **POD}, "kubernetes"),
        ({**NIGHTLY, **JOB, **FARGATE}, "fargate"),
        ({**NIGHTLY, **JOB, **EC2}, "batch"),
        (NIGHTLY, None),  # a platform that is not known
        ({**POD, "MF_PATHSPEC": "Other/7/train/3"}, "local"),  # started by a step of another flow
        ({**POD, "MF_PATHSPEC": "Nightly/7/start/1"}, "local"),
        ({**POD, "MF_PATHSPEC": "Nightly"}, "local"),
    ],
)
def test_a_metaflow_task_is_local_unless_its_job_bears_its_name(environ: dict[str, str], expected: str | None) -> None:
    """A remote task's job exports its pathspec; whatever runs the launcher gives the steps beside it nothing."""
    assert of_metaflow(environ.get, "Nightly", "train") == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (POD, "kubernetes"),
        ({**GCP, **POD}, "kubernetes"),
        ({}, None),
        ({**CELERY, **POD}, None),  # a worker runs many tasks
        ({**CELERY, **POD, "AIRFLOW_IS_K8S_EXECUTOR_POD": "True"}, "kubernetes"),
        ({**CELERY, **SLURM}, "slurm"),
        ({"DAGSTER_RUN_JOB_NAME": "etl", **POD}, None),
        ({"DAGSTER_RUN_JOB_NAME": "etl", "DAGSTER_RUN_STEP_KEY": "load", **POD}, "kubernetes"),
        ({"PREFECT__FLOW_RUN_ID": "1", **POD}, None),
        ({"GITHUB_RUN_ID": "1", **POD}, None),
        ({"NXF_TASK_WORKDIR": "/nowhere/ab/cd", **JOB, **FARGATE}, "fargate"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "stepsize.target=slurm", **POD}, "slurm"),
    ],
)
def test_a_command_says_what_runs_it(environ: dict[str, str], expected: str | None) -> None:
    """On its resource; what was said comes first, and where nothing tells there is no attribute."""
    attributes = of_command(["./load.sh"], environ).attributes()
    assert attributes.get(Attr.TARGET) == expected
    assert (Attr.TARGET in attributes) == (expected is not None)


def test_a_command_below_an_attempt_was_given_nothing() -> None:
    """What the attempt above was given is not its own."""
    assert of_command(["./part.sh"], {**POD, MARK: mark_of(os.getpid())}).target is None


TELL = """
import json, os
from stepsize.instrumentation.identity import of_command
found = of_command(["./align.sh"], os.environ)
print(json.dumps([found.target, found.request._asdict()]))
"""


def _told(tmp_path: Path, program: str, *options: str, **environ: str) -> tuple[str | None, Request]:
    """What is found in a process that is started by a program of this name with these options."""
    (tmp_path / "tell.py").write_text(TELL)
    above = tmp_path / program
    above.write_text(f"import subprocess, sys; subprocess.run([sys.executable, {str(tmp_path / 'tell.py')!r}])")
    command: list[str] = [sys.executable, str(above), *options]
    done = subprocess.run(
        command, env=environment_for_python(environ), capture_output=True, check=True, cwd=tmp_path, timeout=60
    )
    told: list[Any] = json.loads(done.stdout)
    return told[0], Request(**told[1])


@pytest.mark.parametrize(
    ("program", "options", "expected"),
    [
        ("snakemake", ("--cores", "4"), ("local", Request())),
        ("snakemake", ("--target-jobs", "align:s=a", "--mode", "remote"), ("slurm", Request(cpu=4.0))),
        ("java", ("nextflow.cli.Launcher", "run", "rnaseq.nf"), ("local", Request())),
        ("slurm_script", (), ("slurm", Request(cpu=4.0))),
    ],
)
def test_tasks_beside_their_engine_share_what_it_was_given(
    tmp_path: Path, program: str, options: tuple[str, ...], expected: tuple[str, Request]
) -> None:
    """An engine in a job of SLURM runs tasks on its own machine: the job's request is none of theirs.

    What it submits has a job of its own.
    """
    nextflow = {} if program == "snakemake" else {"NXF_TASK_WORKDIR": "/nowhere/work/ab/cd12"}
    assert _told(tmp_path, program, *options, **SLURM, **nextflow) == expected


VARIABLES = sorted({*POD, *SLURM, *JOB, *EC2, *GCP, *NIGHTLY, "AWS_BATCH_JOB_KUBERNETES_NODE_UID"})


@given(st.dictionaries(st.sampled_from(VARIABLES), st.text(max_size=20) | st.sampled_from(["AWS_ECS_EC2", "a/b/c/d"])))
def test_whatever_the_environment_holds_the_answer_is_one_that_sizes_are_known_for(environ: dict[str, str]) -> None:
    """Every platform that is told but the launcher's own machine has its row of sizes."""
    told = {platform(environ.get), of_metaflow(environ.get, "b", "c")} - {None, Platform.LOCAL}
    assert told <= set(TARGETS)
