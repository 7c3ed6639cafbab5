"""A flow on few types of servers as text: a table, JSON, a Karpenter NodePool, an AWS Batch compute environment.

What comes in: a :class:`FlowPlan`, and today's date for the age of its prices. What goes out: text that ends a line.
What only the platform's owner knows (subnets, roles, node classes) is left as a word in capitals to replace.

Sources: the CRD ``karpenter.sh_nodepools.yaml`` (karpenter.sh/v1); the API reference of AWS Batch,
CreateComputeEnvironment.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from stepsize.analyzer.formats.aligned import folded
from stepsize.analyzer.formats.offers import age, record
from stepsize.errors import UsageError

if TYPE_CHECKING:
    from datetime import date

    from stepsize.analyzer.matching.flows import FlowPlan

FORMATS = ("table", "json", "karpenter", "batch")
_NODE_CLASSES = {"aws": ("karpenter.k8s.aws", "EC2NodeClass"), "azure": ("karpenter.azure.com", "AKSNodeClass")}
_ARCHITECTURES = {"x86_64": "amd64"}


def render(plan: FlowPlan, form: str, flow: str, today: date) -> str:
    """``plan`` in one of :data:`FORMATS`.

    Raises:
        UsageError: its vendor has no such thing.
    """
    if form == "karpenter":
        return _comment(plan, today) + _yaml(node_pool(plan, flow))
    if form == "batch":
        return json.dumps(compute_environment(plan, flow), indent=2) + "\n"
    if form == "json":
        return json.dumps(_record(plan, flow), indent=2) + "\n"
    return _table(plan, today)


def node_pool(plan: FlowPlan, flow: str) -> dict[str, Any]:
    """A manifest of kind NodePool that starts the types of ``plan`` and no others; its node class is to be named."""
    if plan.vendor_id not in _NODE_CLASSES:
        raise UsageError(f"Karpenter starts no servers of {plan.vendor_id} here; narrow with --vendor aws or azure")
    group, kind = _NODE_CLASSES[plan.vendor_id]
    architectures = sorted({step.packed.offer.cpu_architecture for step in plan.steps})
    requirements = {
        "node.kubernetes.io/instance-type": list(plan.types),
        "karpenter.sh/capacity-type": ["spot" if plan.allocation == "spot" else "on-demand"],
        "kubernetes.io/arch": [_ARCHITECTURES.get(name, name) for name in architectures],
        "kubernetes.io/os": ["linux"],
        "topology.kubernetes.io/region": [plan.region],
    }
    servers = sum(step.packed.servers * step.packed.offer.vcpus for step in plan.steps)
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": _name(flow)},
        "spec": {
            "template": {
                "spec": {
                    "nodeClassRef": {"group": group, "kind": kind, "name": "NODE-CLASS"},
                    "requirements": [
                        {"key": key, "operator": "In", "values": values} for key, values in requirements.items()
                    ],
                }
            },
            "limits": {"cpu": f"{servers:g}"},
            "disruption": {"consolidationPolicy": "WhenEmpty", "consolidateAfter": "1m"},
        },
    }


def compute_environment(plan: FlowPlan, flow: str) -> dict[str, Any]:
    """The input of AWS Batch's CreateComputeEnvironment with the types of ``plan``."""
    if plan.vendor_id != "aws":
        raise UsageError(f"AWS Batch starts no servers of {plan.vendor_id}; narrow with --vendor aws")
    spot = plan.allocation == "spot"
    return {
        "computeEnvironmentName": _name(flow),
        "type": "MANAGED",
        "state": "ENABLED",
        "computeResources": {
            "type": "SPOT" if spot else "EC2",
            "allocationStrategy": "SPOT_PRICE_CAPACITY_OPTIMIZED" if spot else "BEST_FIT_PROGRESSIVE",
            "minvCpus": 0,
            "maxvCpus": int(sum(step.packed.servers * step.packed.offer.vcpus for step in plan.steps)),
            "instanceTypes": list(plan.types),
            "subnets": ["SUBNET"],
            "securityGroupIds": ["SECURITY-GROUP"],
            "instanceRole": "INSTANCE-PROFILE",
        },
    }


def _name(flow: str) -> str:
    """A name that Kubernetes and AWS Batch take: lower case, digits, dashes, at most 63."""
    return re.sub(r"[^a-z0-9]+", "-", flow.lower()).strip("-")[:63].strip("-") or "flow"


def _record(plan: FlowPlan, flow: str) -> dict[str, Any]:
    return {
        "flow": flow,
        "vendor_id": plan.vendor_id,
        "region": plan.region,
        "allocation": plan.allocation,
        "types": list(plan.types),
        "cost_per_run": plan.cost,
        "currency": plan.steps[0].packed.offer.currency,
        "proven_cheapest": plan.exact,
        "steps": [
            {
                "step": step.step,
                "cpu": step.work.need.cpu,
                "memory_mib": step.work.need.memory_mib,
                "gpu": step.work.need.gpu,
                "tasks": step.work.tasks,
                "duration_s": step.work.duration_s,
                "tasks_per_server": step.packed.tasks_per_server,
                "servers": step.packed.servers,
                "cost_per_run": step.packed.cost,
                "price_per_task": step.packed.cost_per_task,
                "offer": record(step.packed.offer),
            }
            for step in plan.steps
        ],
    }


def _table(plan: FlowPlan, today: date) -> str:
    head = ("step", "server", "USD/hour", "tasks", "on each", "servers", "USD/run")
    rows = [
        (
            step.step,
            step.packed.offer.server_id,
            f"{step.packed.offer.price_hourly:.4f}",
            f"{step.work.tasks}",
            f"{step.packed.tasks_per_server}",
            f"{step.packed.servers}",
            f"{step.packed.cost:.4f}",
        )
        for step in plan.steps
    ]
    return "\n".join([*folded([head, *rows], head[2:]), "", _summary(plan), _age(plan, today)]) + "\n"


def _summary(plan: FlowPlan) -> str:
    count = len(plan.types)
    found = "the cheapest" if plan.exact else "the cheapest found, not proven so,"
    terms = " spot" if plan.allocation == "spot" else ""
    return (
        f"{found[0].upper()}{found[1:]} {count} {'type' if count == 1 else 'types'} of {plan.vendor_id}{terms} in "
        f"{plan.region}: {plan.cost:.4f} USD a run."
    )


def _age(plan: FlowPlan, today: date) -> str:
    return age([step.packed.offer for step in plan.steps], today)


def summary(plan: FlowPlan, today: date) -> str:
    """What the plan costs and from when its prices are, for a format that has no room for it."""
    return f"{_summary(plan)} {_age(plan, today)}"


def _comment(plan: FlowPlan, today: date) -> str:
    return f"# {_summary(plan)}\n# {_age(plan, today)}\n# Replace NODE-CLASS with the name of a node class of yours.\n"


def _yaml(manifest: dict[str, Any]) -> str:
    import yaml  # noqa: PLC0415 - 20 ms that no other format pays

    text: str = yaml.safe_dump(manifest, sort_keys=False)
    return text
