"""The table of orchestrators, in the order in which they are asked: the nearest to the program comes first.

What comes in: `Evidence`. What goes out: what the first row that recognizes the process says. A row's ``source`` is
where its orchestrator documents or sets what the row reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.identity import Origin, Platform, Request
from stepsize.instrumentation.orchestrators import airflow, batch, engines, platforms, pods
from stepsize.instrumentation.orchestrators.rows import Orchestrator, by_prefix, env, last_part, one_of

if TYPE_CHECKING:
    from stepsize.instrumentation.orchestrators.evidence import Evidence
    from stepsize.instrumentation.orchestrators.rows import Found

ORCHESTRATORS: tuple[Orchestrator, ...] = (
    Orchestrator(
        name="Metaflow",
        source="metaflow/plugins/kubernetes/kubernetes_job.py; metaflow/cli_components/step_cmd.py",
        present=one_of(env("MF_PATHSPEC"), engines.metaflow_task("--task-id")),
        flow=one_of(engines.part_of(env("MF_PATHSPEC"), 0), engines.metaflow_flow),
        run=one_of(engines.part_of(env("MF_PATHSPEC"), 1), engines.metaflow_task("--run-id")),
        step=one_of(engines.part_of(env("MF_PATHSPEC"), 2), engines.metaflow_step),
        task=one_of(engines.part_of(env("MF_PATHSPEC"), 3), engines.metaflow_task("--task-id")),
        attempt=one_of(env("MF_ATTEMPT"), engines.metaflow_task("--retry-count")),
        user=env("METAFLOW_USER"),
        target=platforms.here_or_local("MF_PATHSPEC"),
    ),
    Orchestrator(
        name="Airflow",
        source="airflow/utils/operator_helpers.py, context_to_airflow_vars; a run's id begins with its type",
        present=env("AIRFLOW_CTX_DAG_ID"),
        flow=env("AIRFLOW_CTX_DAG_ID"),
        run=env("AIRFLOW_CTX_DAG_RUN_ID", "AIRFLOW_CTX_EXECUTION_DATE"),
        step=env("AIRFLOW_CTX_TASK_ID"),
        # Airflow exports no index of mapped tasks; its documented hook get_airflow_context_vars can.
        task=env("AIRFLOW_CTX_MAP_INDEX"),
        attempt=env("AIRFLOW_CTX_TRY_NUMBER"),
        first_attempt=1,
        item=env("AIRFLOW_CTX_MAP_INDEX"),
        run_origin=by_prefix(
            env("AIRFLOW_CTX_DAG_RUN_ID"),
            airflow.RUN_ORIGINS,
        ),
        # A pod of the KubernetesExecutor (its pod_generator.py); other workers run many tasks each.
        target=platforms.here_with("AIRFLOW_IS_K8S_EXECUTOR_POD"),
    ),
    Orchestrator(
        name="Prefect",
        source="prefect/workers/base.py, prepare_for_flow_run; prefect/runner; prefect/flow_engine.py",
        present=env("PREFECT__FLOW_RUN_ID"),
        # FILE:FUNCTION where a runner started it; else all there is of the flow is its deployment's id.
        flow=one_of(last_part(env("PREFECT__FLOW_ENTRYPOINT"), ":"), env("PREFECT__DEPLOYMENT_ID")),
        run=env("PREFECT__FLOW_RUN_ID"),
    ),
    Orchestrator(
        name="Dagster",
        source="dagster_k8s/executor.py, K8sStepHandler.launch_step; dagster_docker/docker_executor.py",
        present=env("DAGSTER_RUN_JOB_NAME", "DAGSTER_RUN_ID"),
        flow=env("DAGSTER_RUN_JOB_NAME"),
        run=one_of(env("DAGSTER_RUN_ID"), pods.dagster_run),
        step=env("DAGSTER_RUN_STEP_KEY"),
        target=platforms.here_with("DAGSTER_RUN_STEP_KEY"),
    ),
    Orchestrator(
        name="Flyte",
        source="flyteplugins/go/tasks/pluginmachinery/flytek8s/k8s_resource_adds.go, GetExecutionEnvVars",
        present=env("FLYTE_INTERNAL_EXECUTION_ID"),
        # A workflow is told as project:domain:name, and named after its module.
        flow=one_of(
            last_part(env("FLYTE_INTERNAL_EXECUTION_WORKFLOW"), ":"), env("FLYTE_INTERNAL_EXECUTION_LAUNCHPLAN")
        ),
        run=env("FLYTE_INTERNAL_EXECUTION_ID"),
        step=env("FLYTE_INTERNAL_TASK_NAME", "FLYTE_INTERNAL_NAME"),
        task=pods.pod_name,
        attempt=env("FLYTE_ATTEMPT_NUMBER"),
        project=env("FLYTE_INTERNAL_EXECUTION_PROJECT"),
        branch=env("FLYTE_INTERNAL_EXECUTION_DOMAIN"),
        code_version=env("FLYTE_INTERNAL_TASK_VERSION", "FLYTE_INTERNAL_VERSION"),
        target=platforms.here,
    ),
    Orchestrator(
        name="Kubeflow",
        source="kubeflow/pipelines backend/src/v2/component (launcher-v2's command line, KFP_POD_NAME)",
        present=env("KFP_POD_NAME"),
        flow=one_of(pods.kubeflow_option("--pipeline_name"), pods.argo_flow),
        run=one_of(env("KFP_RUN_ID"), pods.kubeflow_option("--run_id"), env("WORKFLOW_ID"), pods.argo_run),
        step=one_of(pods.kubeflow_component, pods.argo_template),
        task=env("KFP_POD_NAME"),
        target=platforms.pod,
    ),
    Orchestrator(
        name="Argo",
        source="argo-workflows workflow/common/common.go (EnvVar…) and workflow/controller/workflowpod.go",
        present=env("ARGO_NODE_ID"),
        flow=pods.argo_flow,
        run=pods.argo_run,
        step=pods.argo_template,
        # Each retry is a node of its own.
        task=env("ARGO_NODE_ID"),
        target=platforms.pod,
        request=pods.argo_request,
    ),
    Orchestrator(
        name="Nextflow",
        source="nextflow/executor/command-run.txt: the script around a task, and what it exports",
        present=env("NXF_TASK_WORKDIR"),
        flow=engines.nextflow_pipeline,
        run=one_of(env("TOWER_WORKFLOW_ID"), engines.nextflow_run),
        step=engines.nextflow_process,
        task=engines.nextflow_task,
        item=engines.nextflow_tag,
        target=engines.nextflow_target,
    ),
    Orchestrator(
        name="Snakemake",
        source="snakemake/spawn_jobs.py: the command line of a job (--target-jobs RULE:WILDCARDS, --attempt)",
        present=engines.snakemake_present,
        flow=engines.snakemake_workflow,
        run=engines.snakemake_run,
        step=engines.snakemake_rule,
        task=engines.snakemake_job,
        item=engines.snakemake_wildcards,
        attempt=engines.snakemake_option("--attempt"),
        first_attempt=1,
        target=engines.snakemake_target,
    ),
    Orchestrator(
        name="AWS Batch",
        source="docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html",
        present=env("AWS_BATCH_JOB_ID"),
        flow=env("AWS_BATCH_JQ_NAME"),
        # The children of an array job are PARENT:INDEX, the nodes of a parallel one PARENT#INDEX.
        run=batch.aws_job,
        task=env("AWS_BATCH_JOB_ID"),
        attempt=env("AWS_BATCH_JOB_ATTEMPT"),
        first_attempt=1,
        item=env("AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_NODE_INDEX"),
        target=platforms.here,
    ),
    Orchestrator(
        name="SLURM",
        source="slurm.schedmd.com/sbatch.html and srun.html, OUTPUT ENVIRONMENT VARIABLES",
        present=env("SLURM_JOB_ID"),
        flow=env("SLURM_JOB_NAME"),
        run=env("SLURM_ARRAY_JOB_ID", "SLURM_JOB_ID"),
        task=batch.slurm_task,
        attempt=env("SLURM_RESTART_COUNT"),
        item=env("SLURM_ARRAY_TASK_ID"),
        project=env("SLURM_JOB_ACCOUNT"),
        user=env("SLURM_JOB_USER"),
        target=platforms.here,
        request=batch.slurm_request,
    ),
    Orchestrator(
        name="GitHub Actions",
        source="docs.github.com/actions/reference/variables-reference",
        present=env("GITHUB_RUN_ID"),
        flow=env("GITHUB_WORKFLOW"),
        run=env("GITHUB_RUN_ID"),
        step=env("GITHUB_JOB"),
        attempt=env("GITHUB_RUN_ATTEMPT"),
        first_attempt=1,
        project=env("GITHUB_REPOSITORY"),
        branch=env("GITHUB_REF_NAME"),
        user=env("GITHUB_ACTOR"),
        code_version=env("GITHUB_SHA"),
        run_origin=by_prefix(
            env("GITHUB_EVENT_NAME"),
            {
                "schedule": Origin.SCHEDULE,
                "workflow_dispatch": Origin.ADHOC,
                "workflow_run": Origin.UPSTREAM_RUN,
                "": Origin.EVENT,
            },
        ),
    ),
    Orchestrator(
        name="GitLab CI",
        source="docs.gitlab.com/ci/variables/predefined_variables",
        present=env("CI_JOB_ID"),
        flow=env("CI_PIPELINE_NAME", "CI_PROJECT_PATH"),
        run=env("CI_PIPELINE_ID"),
        step=env("CI_JOB_NAME"),
        task=env("CI_JOB_ID"),
        item=env("CI_NODE_INDEX"),
        project=env("CI_PROJECT_PATH"),
        branch=env("CI_COMMIT_REF_NAME"),
        user=env("GITLAB_USER_LOGIN"),
        code_version=env("CI_COMMIT_SHA"),
        run_origin=by_prefix(
            env("CI_PIPELINE_SOURCE"),
            {
                "schedule": Origin.SCHEDULE,
                "web": Origin.ADHOC,
                "pipeline": Origin.UPSTREAM_RUN,
                "parent": Origin.UPSTREAM_RUN,
                "": Origin.EVENT,
            },
        ),
    ),
)
"""Asked in this order. A scheduler may run a workflow engine's jobs, never the other way round, so it comes later."""


def identify(evidence: Evidence) -> Found | None:
    """What the first row that knows this process says; who gave it what was asked for may be in a later one.

    A task on the machine of whoever started it was given nothing: what a scheduler gave is all of its tasks'.
    """
    rows = [found for row in ORCHESTRATORS if (found := row.find(evidence)) is not None]
    if not rows:
        return None
    target = next((found.target for found in rows if found.target is not None), None)
    asking = rows[:1] if target == Platform.LOCAL else rows
    request = next((found.request for found in asking if found.request != Request()), Request())
    return rows[0]._replace(target=target, request=request)
