"""Where a run came from: somebody's hand, a schedule, an event, another flow's run.

What comes in: a task's environment and what ``current.trigger`` holds. What goes out: a word, or None where it cannot
be told. Touches nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_ARGO_EVENT = "METAFLOW_ARGO_EVENT_PAYLOAD_"
"""Followed by ``event`` or ``run`` and a name; Argo puts ``null`` where that trigger did not fire."""


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
    payloads = (
        (name.removeprefix(_ARGO_EVENT), text) for name, text in environ.items() if name.startswith(_ARGO_EVENT)
    )
    return {name.partition("_")[0] for name, text in payloads if text != "null"}


def _is_of_argos_cron(environ: Mapping[str, str]) -> bool:
    """Whether a schedule started the workflow.

    Argo names a cron workflow's runs after the second they were due; all others end in five letters.
    Source: argo-workflows, workflow/cron/operator.go, ``getChildWorkflowName``.
    """
    name, template = environ["ARGO_WORKFLOW_NAME"], environ.get("ARGO_WORKFLOW_TEMPLATE", "")
    return bool(re.fullmatch(re.escape(template) + r"-\d{9,11}", name))
