"""Where a run came from: by hand, a schedule, an event, another flow's run.

What comes in: the environment of a task. What goes out: a word, or None where it cannot be told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEPLOYED = ("ARGO_WORKFLOW_NAME", "METAFLOW_SFN_STATE_MACHINE", "METAFLOW_AIRFLOW_JOB_ID")


def run_origin(environ: Mapping[str, str]) -> str | None:
    """``adhoc`` for a run that somebody started."""
    return None if any(name in environ for name in _DEPLOYED) else "adhoc"
