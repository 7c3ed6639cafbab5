"""The table of orchestrators: each row with the environment that its orchestrator makes."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.instrumentation.identity import of_command, of_settings, program_of
from stepsize.instrumentation.lineage import MARK, above, mark_of
from stepsize.instrumentation.orchestrators.evidence import Evidence
from stepsize.instrumentation.orchestrators.table import ORCHESTRATORS, identify
from stepsize.interpreter import environment_for_python
from stepsize.model import Identity, Request
from stepsize.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1 << 30
DAGSTER_STEP = json.dumps({"__class__": "ExecuteStepArgs", "pipeline_run_id": "3f2a", "step_keys_to_execute": ["load"]})
ARGO_TEMPLATE = {
    "name": "train",
    "container": {"resources": {"requests": {"cpu": "1500m", "memory": "2Gi", "nvidia.com/gpu": 1}}},
}
ROWS: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "Metaflow": (
        {"MF_PATHSPEC": "TrainFlow/argo-train-x7/fit/t-1", "MF_ATTEMPT": "2"},
        {"flow": "TrainFlow", "run": "argo-train-x7", "step": "fit", "task": "t-1", "attempt": 2, "target": None},
    ),
    "Airflow": (
        {
            "AIRFLOW_CTX_DAG_ID": "nightly",
            "AIRFLOW_CTX_TASK_ID": "load",
            "AIRFLOW_CTX_DAG_RUN_ID": "scheduled__2026-01-01T00:00:00+00:00",
            "AIRFLOW_CTX_TRY_NUMBER": "2",
        },
        {
            "flow": "nightly",
            "run": "scheduled__2026-01-01T00:00:00+00:00",
            "step": "load",
            "attempt": 1,
            "run_origin": "schedule",
        },
    ),
    "Prefect": (
        {"PREFECT__FLOW_RUN_ID": "0b7c", "PREFECT__FLOW_ENTRYPOINT": "flows/etl.py:nightly"},
        {"flow": "nightly", "run": "0b7c", "step": None},
    ),
    "Dagster": (
        {
            "DAGSTER_RUN_JOB_NAME": "etl",
            "DAGSTER_RUN_STEP_KEY": "load",
            "DAGSTER_COMPRESSED_EXECUTE_STEP_ARGS": base64.b64encode(zlib.compress(DAGSTER_STEP.encode())).decode(),
        },
        {"flow": "etl", "run": "3f2a", "step": "load"},
    ),
    "Flyte": (
        {
            "FLYTE_INTERNAL_EXECUTION_ID": "fa1b2",
            "FLYTE_INTERNAL_EXECUTION_PROJECT": "shop",
            "FLYTE_INTERNAL_EXECUTION_DOMAIN": "production",
            "FLYTE_INTERNAL_EXECUTION_WORKFLOW": "shop:production:etl.nightly",
            "FLYTE_INTERNAL_TASK_NAME": "etl.load",
            "FLYTE_INTERNAL_TASK_VERSION": "v7",
            "FLYTE_ATTEMPT_NUMBER": "1",
            "KUBERNETES_SERVICE_HOST": "10.0.0.1",
            "HOSTNAME": "fa1b2-n0-0",
        },
        {
            "flow": "etl.nightly",
            "run": "fa1b2",
            "step": "etl.load",
            "task": "fa1b2-n0-0",
            "attempt": 1,
            "project": "shop",
            "branch": "production",
            "code_version": "v7",
            "target": "kubernetes",
        },
    ),
    "Kubeflow": (
        {"KFP_POD_NAME": "etl-bcd45-17", "KFP_RUN_ID": "8c1d", "ARGO_NODE_ID": "etl-bcd45-17"},
        {"flow": "etl", "run": "8c1d", "task": "etl-bcd45-17", "target": "kubernetes"},
    ),
    "Argo": (
        {"ARGO_NODE_ID": "nightly-x7k2p-3141592653", "ARGO_TEMPLATE": json.dumps(ARGO_TEMPLATE)},
        {
            "flow": "nightly",
            "run": "nightly-x7k2p",
            "step": "train",
            "task": "nightly-x7k2p-3141592653",
            "request": Request(cpu=1.5, memory_bytes=2 * GIB, gpu=1.0),
            "target": "kubernetes",
        },
    ),
    "Nextflow": (
        {"NXF_TASK_WORKDIR": "/nowhere/work/ab/cd12", "SLURM_JOB_NAME": "nf-RNASEQ:ALIGN_(s1)"},
        {"step": "ALIGN", "item": "s1", "task": "ab/cd12"},
    ),
    "AWS Batch": (
        {
            "AWS_BATCH_JOB_ID": "9f-1:7",
            "AWS_BATCH_JQ_NAME": "spot",
            "AWS_BATCH_JOB_ATTEMPT": "3",
            "AWS_BATCH_JOB_ARRAY_INDEX": "7",
            "AWS_EXECUTION_ENV": "AWS_ECS_EC2",
        },
        {"flow": "spot", "run": "9f-1", "task": "9f-1:7", "attempt": 2, "item": "7", "target": "batch"},
    ),
    "SLURM": (
        {
            "SLURM_JOB_ID": "1001",
            "SLURM_JOB_NAME": "align",
            "SLURM_ARRAY_JOB_ID": "1000",
            "SLURM_ARRAY_TASK_ID": "3",
            "SLURM_RESTART_COUNT": "1",
            "SLURM_CPUS_PER_TASK": "4",
            "SLURM_MEM_PER_NODE": "8192",
            "SLURM_GPUS_ON_NODE": "2",
            "SLURM_JOB_USER": "ada",
            "SLURM_PROCID": "0",
        },
        {
            "flow": "align",
            "run": "1000",
            "task": "3",
            "attempt": 1,
            "item": "3",
            "user": "ada",
            "request": Request(cpu=4.0, memory_bytes=8 * GIB, gpu=2.0),
            "target": "slurm",
        },
    ),
    "GitHub Actions": (
        {
            "GITHUB_RUN_ID": "77",
            "GITHUB_WORKFLOW": "nightly",
            "GITHUB_JOB": "train",
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_REPOSITORY": "shop/etl",
            "GITHUB_REF_NAME": "main",
            "GITHUB_EVENT_NAME": "schedule",
        },
        {
            "flow": "nightly",
            "run": "77",
            "step": "train",
            "attempt": 0,
            "project": "shop/etl",
            "branch": "main",
            "run_origin": "schedule",
        },
    ),
    "GitLab CI": (
        {
            "CI_JOB_ID": "5",
            "CI_PIPELINE_ID": "9",
            "CI_JOB_NAME": "train",
            "CI_PROJECT_PATH": "shop/etl",
            "CI_PIPELINE_SOURCE": "push",
        },
        {"flow": "shop/etl", "run": "9", "step": "train", "task": "5", "run_origin": "event"},
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_an_orchestrator_is_recognized_by_what_it_leaves_in_the_environment(name: str) -> None:
    """Names, attempt (from 0), origin and request, as far as the orchestrator tells them."""
    environ, expected = ROWS[name]
    found = identify(Evidence(environ, proc="/nowhere"))
    assert found is not None
    assert found.orchestrator == name
    assert {key: getattr(found, key) for key in expected} == expected


def test_every_row_has_a_test_and_a_source() -> None:
    """Snakemake leaves nothing in the environment: it has a test of its own below."""
    assert {row.name for row in ORCHESTRATORS} == {*ROWS, "Snakemake"}
    assert all(row.source for row in ORCHESTRATORS)


def test_an_ordinary_environment_is_nobodys() -> None:
    """Nothing is guessed."""
    environ = {"PATH": "/bin", "USER": "ada", "KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "web-0"}
    assert identify(Evidence(environ, proc="/nowhere")) is None


VARIABLES = st.sampled_from(sorted({variable for environ, _ in ROWS.values() for variable in environ}))


@given(
    st.dictionaries(VARIABLES, st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30))
)
def test_no_environment_makes_it_fail(environ: dict[str, str]) -> None:
    """Whatever the variables hold, there is an answer, and no attempt below 0."""
    found = identify(Evidence(environ, proc="/nowhere"))
    assert found is None or found.attempt >= 0


def test_a_workflow_engine_comes_before_the_scheduler_that_runs_its_jobs() -> None:
    """The engine has the names, the scheduler knows what was asked for."""
    environ = {**ROWS["SLURM"][0], **ROWS["Airflow"][0]}
    identity = of_command(["./load.sh"], environ)
    assert (identity.flow, identity.step, identity.attempt) == ("nightly", "load", 1)
    assert identity.request == Request(cpu=4.0, memory_bytes=8 * GIB, gpu=2.0)


def test_what_is_said_comes_before_what_an_orchestrator_says() -> None:
    """An option, then its variable, then `OTEL_RESOURCE_ATTRIBUTES`, then the orchestrator."""
    environ = {
        **ROWS["Airflow"][0],
        "STEPSIZE_FLOW": "mine",
        "STEPSIZE_STEP": "variable",
        "STEPSIZE_ATTEMPT": "4",
        "OTEL_RESOURCE_ATTRIBUTES": "stepsize.flow.name=otel,stepsize.task.id=t9,stepsize.request.cpu=3",
    }
    identity = of_settings(["./load.sh"], environ, Settings.load(environ, step="option"))
    assert (identity.flow, identity.step, identity.task, identity.attempt) == ("mine", "option", "t9", 4)
    assert identity.run == ROWS["Airflow"][0]["AIRFLOW_CTX_DAG_RUN_ID"]
    assert identity.request.cpu == 3


def test_a_command_below_a_tracked_attempt_is_a_step_of_its_own() -> None:
    """What it uses is in the attempt above already, whose names it therefore does not take."""
    environ = {**ROWS["Airflow"][0], MARK: mark_of(os.getpid())}
    identity = of_command(["python3", "-u", "part.py"], environ)
    assert (identity.flow, identity.step) == ("nightly", "load/part.py")
    assert of_command(["./part.sh"], {**environ, MARK: f"{os.getpid()}:1"}).step == "load"  # another's number


def test_a_command_below_a_tracked_command_is_a_step_of_the_same_run() -> None:
    """The mark that children inherit names the attempt that they belong to, whatever is in the names."""
    outer = Identity("my flow/2", "7", "a:b", "0", 1)
    identity = of_command(["./part.sh"], {MARK: mark_of(os.getpid(), outer)})
    assert (identity.flow, identity.run, identity.step) == ("my flow/2", "7", "a:b/part.sh")
    inherited = {"STEPSIZE_FLOW": "my flow/2", "STEPSIZE_RUN": "7", "STEPSIZE_STEP": "a:b", "STEPSIZE_ATTEMPT": "1"}
    environ = {MARK: mark_of(os.getpid(), outer), **inherited, "STEPSIZE_TASK": "0"}
    assert of_settings(["./part.sh"], environ, Settings.load(environ)).step == "a:b/part.sh"
    assert above({MARK: mark_of(os.getpid(), outer)}) == ("my flow/2", "7", "a:b", "0", 1)
    assert above({MARK: mark_of(os.getpid())}) is None


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["/usr/bin/python3.12", "-X", "dev", "-u", "jobs/train.py", "--lr", "1"], "train.py"),
        (["python", "-m", "jobs.train"], "jobs.train"),
        (["python", "-c", "pass"], "python"),
        (["./load.sh", "-m"], "load.sh"),
        ([], "command"),
    ],
)
def test_a_python_program_is_called_by_its_script_or_module(argv: list[str], expected: str) -> None:
    """An interpreter says nothing of what it runs."""
    assert program_of(argv) == expected


TELL = """
import json, os
from stepsize.instrumentation.orchestrators.evidence import Evidence
from stepsize.instrumentation.orchestrators.table import identify
found = identify(Evidence(os.environ))
print(json.dumps(found and {**found._asdict(), "request": found.request._asdict()}))
"""


def _told(tmp_path: Path, program: str, *options: str, **environ: str) -> Any:
    """What is found in a process that is started by a program of this name with these options."""
    (tmp_path / "tell.py").write_text(TELL)
    above = tmp_path / program
    above.write_text(f"import subprocess, sys; subprocess.run([sys.executable, {str(tmp_path / 'tell.py')!r}])")
    command = [sys.executable, str(above), *options]
    done = subprocess.run(
        command, env=environment_for_python(environ), capture_output=True, check=True, cwd=tmp_path, timeout=60
    )
    return json.loads(done.stdout)


def test_snakemake_is_recognized_by_its_command_line(tmp_path: Path) -> None:
    """Rule, wildcards and attempt of a job that it runs in a process of its own."""
    job = ("--snakefile", "/data/rnaseq/workflow/Snakefile", "--target-jobs", "align:sample=a", "--attempt", "2")
    told = _told(tmp_path, "snakemake", *job)
    assert (told["flow"], told["step"], told["task"], told["item"]) == ("rnaseq", "align", "align:sample=a", "sample=a")
    assert told["attempt"] == 1
    assert told["run"].isdecimal()


def test_nextflow_tells_process_and_run(tmp_path: Path) -> None:
    """The process and its tag from the script around the task, pipeline and run from the `nextflow run` above."""
    (tmp_path / ".command.run").write_text("#!/bin/bash\n### ---\n### name: 'RNASEQ:ALIGN (s1)'\n### ---\n")
    head = ("nextflow.cli.Launcher", "run", "nf-core/rnaseq", "-name", "angry_bell")
    told = _told(tmp_path, "java", *head, NXF_TASK_WORKDIR=str(tmp_path))
    assert (told["flow"], told["run"], told["step"], told["item"]) == ("rnaseq", "angry_bell", "ALIGN", "s1")


def test_kubeflows_launcher_tells_pipeline_and_component(tmp_path: Path) -> None:
    """It is a process above, with everything on its command line."""
    options = ("--pipeline_name", "etl", "--run_id", "8c1d", "--component_spec", '{"executorLabel": "exec-load"}')
    told = _told(tmp_path, "launcher-v2", *options, KFP_POD_NAME="etl-1")
    assert (told["flow"], told["run"], told["step"], told["task"]) == ("etl", "8c1d", "load", "etl-1")


def test_a_metaflow_task_is_recognized_by_its_own_command_line(tmp_path: Path) -> None:
    """But for the flow's class, which is not on it; what the task starts is told from it."""
    script = tmp_path / "train.py"
    script.write_text(TELL)
    task = ("--quiet", "step", "fit", "--run-id", "17", "--task-id", "3", "--retry-count", "1")
    done = subprocess.run(
        [sys.executable, str(script), *task],
        env=environment_for_python({}),
        capture_output=True,
        check=True,
        timeout=60,
    )
    told = json.loads(done.stdout)
    assert [told[key] for key in ("flow", "run", "step", "task", "attempt")] == ["train", "17", "fit", "3", 1]
    assert _told(tmp_path, "flow.py", *task) is None
