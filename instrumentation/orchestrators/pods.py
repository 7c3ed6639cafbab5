"""Readers of orchestrators that start pods: Dagster, Flyte, Kubeflow Pipelines and Argo Workflows.

What comes in: `Evidence`. What goes out: texts and a `Request`. Pure but for what the evidence reads.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from stepsize.identity import Request

if TYPE_CHECKING:
    from stepsize.instrumentation.orchestrators.evidence import Evidence
    from stepsize.instrumentation.orchestrators.rows import Reader

_GENERATED = re.compile(r"-([bcdfghjklmnpqrstvwxz2456789]{5}|\d{10})$")
"""What Kubernetes appends for ``generateName``, or Argo to what a cron workflow starts."""
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
_DECIMAL = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_MOST_JSON_BYTES = 1 << 20


def pod_name(evidence: Evidence) -> str | None:
    """The pod, whose name is its host's; nothing outside of Kubernetes."""
    return evidence.env("HOSTNAME") if evidence.env("KUBERNETES_SERVICE_HOST") else None


def dagster_run(evidence: Evidence) -> str | None:
    """The run, from the arguments of a step's worker: base64 of zlib of JSON (dagster/_grpc/types.py)."""
    packed = evidence.env("DAGSTER_COMPRESSED_EXECUTE_STEP_ARGS")
    if packed is None:
        return None
    import base64  # noqa: PLC0415 - what asks for it is rare
    import zlib  # noqa: PLC0415 - as above

    try:
        text = zlib.decompressobj().decompress(base64.b64decode(packed), _MOST_JSON_BYTES).decode()
    except (ValueError, zlib.error):
        return None
    found = re.search(r'"(?:pipeline_)?run_id": ?"([^"]+)"', text)
    return found and found[1]


def kubeflow_option(name: str) -> Reader:
    """An option of the launcher that Kubeflow puts around a component's program."""

    def read(evidence: Evidence) -> str | None:
        return next((found for process in evidence.above if (found := process.option(name))), None)

    return read


def kubeflow_component(evidence: Evidence) -> str | None:
    """The component's name: the function of a Python component, else the label of its executor without ``exec-``."""
    function = kubeflow_option("--function_to_execute")(evidence)
    if function is not None:
        return function
    label = _json(kubeflow_option("--component_spec")(evidence)).get("executorLabel")
    return label.removeprefix("exec-") if isinstance(label, str) else None


def argo_run(evidence: Evidence) -> str | None:
    """The workflow's name. Older versions do not tell it; a node's id is that and a hash."""
    name = evidence.env("ARGO_WORKFLOW_NAME")
    node = evidence.env("ARGO_NODE_ID")
    return name or (node and re.sub(r"-\d{1,10}$", "", node))


def argo_flow(evidence: Evidence) -> str | None:
    """The workflow's name without what was made up for this run of it."""
    name = argo_run(evidence)
    return name and _GENERATED.sub("", name)


def argo_template(evidence: Evidence) -> str | None:
    """The template that the node runs."""
    name = _json(evidence.env("ARGO_TEMPLATE")).get("name")
    return name if isinstance(name, str) and name else None


def argo_request(evidence: Evidence) -> Request:
    """What the template's container asks for."""
    template = _json(evidence.env("ARGO_TEMPLATE"))
    container = template.get("container") or template.get("script")
    resources = container.get("resources") if isinstance(container, dict) else None
    asked = resources.get("requests") or resources.get("limits") if isinstance(resources, dict) else None
    if not isinstance(asked, dict):
        return Request()
    memory, disk = quantity(asked.get("memory")), quantity(asked.get("ephemeral-storage"))
    return Request(
        cpu=quantity(asked.get("cpu")),
        memory_bytes=None if memory is None else round(memory),
        gpu=quantity(asked.get("nvidia.com/gpu", asked.get("amd.com/gpu"))),
        disk_bytes=None if disk is None else round(disk),
    )


def quantity(value: Any) -> float | None:
    """A Kubernetes quantity: ``500m``, ``2``, ``1.5Gi``, ``512M``; ``None`` where it is none.

    Source: k8s.io/apimachinery/pkg/api/resource/quantity.go; exponents are not read.
    """
    found = re.fullmatch(r"(\d{1,18}(?:\.\d+)?)(m|[KMGTP]i|[kMGTP]?)", str(value))
    if found is None:
        return None
    amount, unit = float(found[1]), found[2]
    return amount / 1000 if unit == "m" else amount * {**_BINARY, **_DECIMAL}[unit]


def _json(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
