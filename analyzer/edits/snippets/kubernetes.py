"""Sizes as patches of Kubernetes objects: strategic merges, one document a step. Pure.

A pod asks for what is recommended, and may have no more memory than that, since that is what was sized; no more is said
of cores, which a limit would only throttle. Of GPUs a request has to be the limit.

Source: kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch (containers are merged by
name), kubernetes.io/docs/concepts/configuration/manage-resources-containers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from stepsize.analyzer.edits.snippets.sizes import plain, quantity
from stepsize.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.edits.snippets.sizes import StepSizes

_LONGEST_NAME = 52
"""Of a CronJob, which appends eleven characters to it."""


def render(flow: str, steps: Sequence[StepSizes]) -> str:
    """A document for each step's CronJob, whose object and container are called as the step is.

    Raises:
        UsageError: two steps would be called the same, and one patch would undo the other.
    """
    documents = []
    called: dict[str, str] = {}
    for step in steps:
        name = label(step.step)
        if called.setdefault(name, step.step) != step.step:
            both = f"{_line(called[name])} and {_line(step.step)}"
            raise UsageError(f"{both} would both be called {name}: choose one with --step, and name its patch yourself")
        text = yaml.safe_dump(_patch(name, resources(step), step.timeout_s), sort_keys=False)
        documents.append(f"# {_line(flow)}/{_line(step.step)}, {step.grounds}\n{text}")
    return "---\n".join(documents)


def resources(step: StepSizes) -> dict[str, dict[str, str]]:
    """The ``resources`` of a container."""
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    if step.cpu is not None:
        requests["cpu"] = plain(step.cpu)
    if step.memory_bytes is not None:
        requests["memory"] = limits["memory"] = quantity(step.memory_bytes)
    if step.disk_bytes is not None:
        requests["ephemeral-storage"] = quantity(step.disk_bytes)
    if step.gpu is not None:
        requests["nvidia.com/gpu"] = limits["nvidia.com/gpu"] = str(step.gpu)
    return {name: amounts for name, amounts in (("requests", requests), ("limits", limits)) if amounts}


def label(name: str) -> str:
    """A step's name as Kubernetes takes names (RFC 1123)."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:_LONGEST_NAME].strip("-") or "step"


def _patch(name: str, amounts: dict[str, dict[str, str]], timeout_s: int | None) -> dict[str, Any]:
    job: dict[str, Any] = {"template": {"spec": {"containers": [{"name": name, "resources": amounts}]}}}
    if timeout_s is not None:
        job["activeDeadlineSeconds"] = timeout_s
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name},
        "spec": {"jobTemplate": {"spec": job}},
    }


def _line(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
