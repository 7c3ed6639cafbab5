"""Whether the attempts of a task before this one ran out of memory, by what the launcher kept of them.

What comes in: the flow's datastore and a task of the run. What goes out: which of them did. The process that waits for
a job says how it ended, and Metaflow keeps what that says as the runtime's part of the attempt's log. Only reads.
"""

from __future__ import annotations

from typing import Any

from metaflow.mflog import RUNTIME_LOG_SOURCE

_SAID = (b"Task ran out of memory", b"OutOfMemoryError: Container killed due to memory usage")
"""By Metaflow of a pod (its ``kubernetes.py``, exit code 137), by AWS Batch of a container (its ``reason``)."""


def killed_before(flow_datastore: Any, task: Any, retry_count: int) -> tuple[bool, ...]:
    """Whether each attempt before number ``retry_count`` ran out of memory; one that cannot be read did not."""
    return tuple(_killed(flow_datastore, task, attempt) for attempt in range(retry_count))


def _killed(flow_datastore: Any, task: Any, attempt: int) -> bool:
    try:
        kept = flow_datastore.get_task_datastore(
            task.run_id, task.step, task.task_id, attempt=attempt, allow_not_done=True
        )
        logs = kept.load_logs([RUNTIME_LOG_SOURCE], "stderr", attempt_override=attempt)
    except Exception:  # noqa: BLE001 - a datastore has many errors of its own; the retry then gets what it would have
        return False
    return any(said in text for _, text in logs for said in _SAID)
