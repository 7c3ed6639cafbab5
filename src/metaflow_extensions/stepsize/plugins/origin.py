"""Where a run came from: somebody's hand, a schedule, an event, another flow's run.

What comes in: a task's environment and what ``current.trigger`` holds. What goes out: a word, or None where it cannot
be told. Touches nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

ADHOC, SCHEDULE, EVENT, UPSTREAM_RUN = "adhoc", "schedule", "event", "upstream run"

_ARGO_EVENT = "METAFLOW_ARGO_EVENT_PAYLOAD_"
"""Followed by ``event`` or ``run`` and a name; Argo puts ``null`` where that trigger did not fire."""
_AIRFLOW_RUNS = {
    "manual": ADHOC,
    "scheduled": SCHEDULE,
    "backfill": SCHEDULE,
    "dataset_triggered": EVENT,
    "asset_triggered": EVENT,
}
"""What stands before ``__`` in the ids of Airflow's runs (airflow/utils/types.py, ``DagRunType``)."""


def run_origin(environ: Mapping[str, str], trigger: Any = None, *, scheduled: bool = False) -> str | None:
    """Where the run came from.

    Args:
        environ: the task's environment.
        trigger: ``current.trigger``, where there is one.
        scheduled: whether the flow has a ``@schedule``.
    """
    kinds = _fired(environ) | {event.type for event in getattr(trigger, "events", None) or ()}
    if kinds:
        return UPSTREAM_RUN if "run" in kinds else EVENT
    if "ARGO_WORKFLOW_NAME" in environ:
        return _of_argo(environ)
    if "METAFLOW_AIRFLOW_DAG_RUN_ID" in environ:
        return _AIRFLOW_RUNS.get(environ["METAFLOW_AIRFLOW_DAG_RUN_ID"].partition("__")[0])
    if "SFN_STATE_MACHINE" in environ:
        # A Step Functions execution does not know who started it: EventBridge or somebody's hand.
        return None if scheduled else ADHOC
    return ADHOC


def _fired(environ: Mapping[str, str]) -> set[str]:
    """The kinds of the triggers that started an Argo workflow (metaflow/plugins/argo/argo_workflows_decorator.py)."""
    payloads = (
        (name.removeprefix(_ARGO_EVENT), text) for name, text in environ.items() if name.startswith(_ARGO_EVENT)
    )
    return {name.partition("_")[0] for name, text in payloads if text != "null"}


def _of_argo(environ: Mapping[str, str]) -> str:
    """Argo names a cron workflow's runs after the second they were due; all others end in five letters.

    Source: argo-workflows, workflow/cron/operator.go, ``getChildWorkflowName``.
    """
    name, template = environ["ARGO_WORKFLOW_NAME"], environ.get("ARGO_WORKFLOW_TEMPLATE", "")
    return SCHEDULE if re.fullmatch(re.escape(template) + r"-\d{9,11}", name) else ADHOC
