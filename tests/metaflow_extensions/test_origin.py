"""Where a run came from, from what each orchestrator tells its tasks."""

from __future__ import annotations

import pytest
from metaflow.events import Trigger

from metaflow_extensions.stepsize.plugins.attempt import run_origin

ARGO = {"ARGO_WORKFLOW_TEMPLATE": "shop.train", "ARGO_WORKFLOW_NAME": "shop.train-x7k2p"}
EVENT = "METAFLOW_ARGO_EVENT_PAYLOAD_event_new-data"
RUN = "METAFLOW_ARGO_EVENT_PAYLOAD_run_upstreamflow"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "adhoc"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "METAFLOW_KUBERNETES_WORKLOAD": "1"}, "adhoc"),
        (ARGO, "adhoc"),
        (ARGO | {"ARGO_WORKFLOW_NAME": "shop.train-1795320000"}, "schedule"),
        (ARGO | {"ARGO_WORKFLOW_NAME": "shop.train-24689"}, "adhoc"),
        (ARGO | {EVENT: '{"name": "new-data", "timestamp": 1}'}, "event"),
        (ARGO | {EVENT: "null", RUN: "null"}, "adhoc"),
        (ARGO | {RUN: '{"name": "metaflow.UpstreamFlow.end"}'}, "upstream run"),
        (ARGO | {EVENT: "null", RUN: "{}"}, "upstream run"),
        ({"METAFLOW_AIRFLOW_DAG_RUN_ID": "scheduled__2026-11-22T00:00:00+00:00"}, "schedule"),
        ({"METAFLOW_AIRFLOW_DAG_RUN_ID": "backfill__2026-11-22T00:00:00+00:00"}, "schedule"),
        ({"METAFLOW_AIRFLOW_DAG_RUN_ID": "manual__2026-11-22T00:00:00+00:00"}, "adhoc"),
        ({"METAFLOW_AIRFLOW_DAG_RUN_ID": "asset_triggered__2026-11-22T00:00:00+00:00"}, "event"),
        ({"METAFLOW_AIRFLOW_DAG_RUN_ID": "mine"}, None),
        ({"SFN_STATE_MACHINE": "TrainFlow"}, "adhoc"),
    ],
)
def test_the_environment_of_a_task_says_where_its_run_came_from(environ: dict[str, str], expected: str | None) -> None:
    """Argo names the trigger that fired and dates cron runs, Airflow's run ids begin with a word."""
    assert run_origin(environ) == expected


def test_step_functions_do_not_tell_a_schedule_from_a_hand() -> None:
    """A flow with a `@schedule` may have been started either way: not known."""
    assert run_origin({"SFN_STATE_MACHINE": "TrainFlow"}, scheduled=True) is None


@pytest.mark.parametrize(
    ("kinds", "expected"), [(["event"], "event"), (["event", "run"], "upstream run"), ([], "adhoc")]
)
def test_what_metaflow_itself_calls_the_trigger_counts(kinds: list[str], expected: str) -> None:
    """`current.trigger`, which other deployers set too."""
    events = [{"name": "x", "id": None, "timestamp": None, "type": kind} for kind in kinds]
    assert run_origin({}, Trigger(events)) == expected
