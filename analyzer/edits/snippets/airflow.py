"""Sizes as Airflow's ``executor_config``: a Python module for the KubernetesExecutor. Pure.

Source: airflow.apache.org/docs/apache-airflow-providers-cncf-kubernetes/stable/kubernetes_executor.html#pod-override
(the task's container is called ``base``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.analyzer.edits.snippets.kubernetes import resources

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.edits.snippets.sizes import StepSizes

_HEAD = """from kubernetes.client import models as k8s


def _pod(**resources):
    container = k8s.V1Container(name="base", resources=k8s.V1ResourceRequirements(**resources))
    return {"pod_override": k8s.V1Pod(spec=k8s.V1PodSpec(containers=[container]))}


EXECUTOR_CONFIG = {
"""


def render(_flow: str, steps: Sequence[StepSizes]) -> str:
    """``EXECUTOR_CONFIG``: task id → what its operator takes as ``executor_config``."""
    rows = []
    for step in steps:
        amounts = ", ".join(f"{name}={value!r}" for name, value in resources(step).items())
        rows.append(f"    {step.step!r}: _pod({amounts}),  # {step.grounds}\n")
    return f"{_HEAD}{''.join(rows)}}}\n"
