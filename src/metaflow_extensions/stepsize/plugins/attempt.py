"""Which attempt a task's process is and what Metaflow knows of it.

What comes in: what Metaflow hands to a task's hooks. What goes out: an `Identity`, where the run came from (somebody's
hand, a schedule, an event, another flow's run) in it. Reads the flow's own file and the environment, changes nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metaflow import current

from metaflow_extensions.stepsize.plugins.request import requested
from metaflow_extensions.stepsize.plugins.sized import ANNOTATION, of_step

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stepsize.identity import Identity

_ARGO_EVENT = "METAFLOW_ARGO_EVENT_PAYLOAD_"
"""Followed by ``event`` or ``run`` and a name; Argo puts ``null`` where that trigger did not fire."""


def describe(flow: Any, run_id: str, step_name: str, task_id: str, attempt: int, decorators: Iterable[Any]) -> Identity:
    """The attempt that this process is; ``decorators`` are the step's."""
    from stepsize.identity import Identity  # noqa: PLC0415 - absent in isolated interpreters
    from stepsize.instrumentation.orchestrators.platforms import of_metaflow  # noqa: PLC0415 - as above

    production = current.get("is_production")
    request, sized = requested(decorators, os.environ), of_step(os.environ, flow.name, step_name)
    if sized is not None:
        request = request._replace(cpu=sized.cpu, memory_bytes=sized.memory_bytes)
    return Identity(
        flow=flow.name,
        run=run_id,
        step=step_name,
        task=task_id,
        attempt=attempt,
        item=_item(flow),
        project=current.get("project_name"),
        branch=current.get("branch_name") or ("prod" if production else None),
        # A deployed flow runs as its orchestrator; who deployed it is its owner.
        user=os.environ.get("METAFLOW_OWNER") or current.get("username"),
        code_version=_code_version(flow),
        run_origin=_origin(flow),
        target=of_metaflow(os.environ.get, flow.name, step_name),
        request=request,
        annotations={} if sized is None else {ANNOTATION: sized.policy},
    )


def _origin(flow: Any) -> str | None:
    """Where the run came from; None leaves the word to ``OTEL_RESOURCE_ATTRIBUTES``, for whoever starts it knows."""
    from stepsize.identity import Attr  # noqa: PLC0415 - absent in isolated interpreters

    if Attr.RUN_ORIGIN in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        return None
    scheduled = "schedule" in getattr(flow, "_flow_decorators", ())
    return run_origin(os.environ, current.get("trigger"), scheduled=scheduled)


def run_origin(environ: Mapping[str, str], trigger: Any = None, *, scheduled: bool = False) -> str | None:
    """Where the run came from.

    Args:
        environ: the task's environment.
        trigger: ``current.trigger``, where there is one.
        scheduled: whether the flow has a ``@schedule``.
    """
    from stepsize.identity import Origin  # noqa: PLC0415 - absent in isolated interpreters

    kinds = _fired(environ) | {event.type for event in getattr(trigger, "events", None) or ()}
    if kinds:
        return Origin.UPSTREAM_RUN if "run" in kinds else Origin.EVENT
    if "ARGO_WORKFLOW_NAME" in environ:
        return Origin.SCHEDULE if _is_of_argos_cron(environ) else Origin.ADHOC
    if "METAFLOW_AIRFLOW_DAG_RUN_ID" in environ:
        from stepsize.instrumentation.orchestrators.airflow import RUN_ORIGINS  # noqa: PLC0415 - as above

        return RUN_ORIGINS.get(environ["METAFLOW_AIRFLOW_DAG_RUN_ID"].partition("__")[0] + "__")
    if "SFN_STATE_MACHINE" in environ:
        # A Step Functions execution does not know who started it: EventBridge or somebody's hand.
        return None if scheduled else Origin.ADHOC
    return Origin.ADHOC


def _fired(environ: Mapping[str, str]) -> set[str]:
    """The kinds of the triggers that started an Argo workflow (metaflow/plugins/argo/argo_workflows_decorator.py)."""
    names = [name for name in environ if name.startswith(_ARGO_EVENT)]  # their texts only: most have none
    return {name.removeprefix(_ARGO_EVENT).partition("_")[0] for name in names if environ[name] != "null"}


def _is_of_argos_cron(environ: Mapping[str, str]) -> bool:
    """Whether a schedule started the workflow.

    Argo names a cron workflow's runs after the second they were due; all others end in five letters.
    Source: argo-workflows, workflow/cron/operator.go, ``getChildWorkflowName``.
    """
    name, template = environ["ARGO_WORKFLOW_NAME"], environ.get("ARGO_WORKFLOW_TEMPLATE", "")
    return bool(re.fullmatch(re.escape(template) + r"-\d{9,11}", name))


def _item(flow: Any) -> str | None:
    """The foreach items from the outermost to this one, as Metaflow shows them, or None outside a foreach."""
    frames = getattr(flow, "_foreach_stack", None) or ()
    names = [str(frame.index if getattr(frame, "value", None) is None else frame.value) for frame in frames]
    return "/".join(names) or None


def _code_version(flow: Any) -> str | None:
    """The code package's hash where there is one, else the hash of the flow's own file."""
    packaged = os.environ.get("METAFLOW_CODE_SHA")
    if packaged:
        return packaged[:12]
    with suppress(OSError, AttributeError):
        return hashlib.sha256(Path(flow.script_name).read_bytes()).hexdigest()[:12]
    return None
