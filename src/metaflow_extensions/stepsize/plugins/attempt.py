"""Which attempt a task's process is and what Metaflow knows of it.

What comes in: what Metaflow hands to a task's hooks. What goes out: an `Identity`. Reads the flow's own file and the
environment, changes nothing.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metaflow import current

from metaflow_extensions.stepsize.plugins.origin import run_origin
from metaflow_extensions.stepsize.plugins.request import requested

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepsize.identity import Identity


def describe(flow: Any, run_id: str, step_name: str, task_id: str, attempt: int, decorators: Iterable[Any]) -> Identity:
    """The attempt that this process is; ``decorators`` are the step's."""
    from stepsize.identity import Identity  # noqa: PLC0415 - absent in isolated interpreters

    production = current.get("is_production")
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
        request=requested(decorators, os.environ),
    )


def _origin(flow: Any) -> str | None:
    """Where the run came from; None leaves the word to ``OTEL_RESOURCE_ATTRIBUTES``, for whoever starts it knows."""
    from stepsize.identity import Attr  # noqa: PLC0415 - absent in isolated interpreters

    if Attr.RUN_ORIGIN in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        return None
    scheduled = "schedule" in getattr(flow, "_flow_decorators", ())
    return run_origin(os.environ, current.get("trigger"), scheduled=scheduled)


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
