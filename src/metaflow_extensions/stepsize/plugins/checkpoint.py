"""Whether this attempt goes on where an earlier one stopped, as ``@checkpoint`` of metaflow-checkpoint lets it.

What comes in: Metaflow's ``current``. What goes out: the earlier attempt, or None. Reads no checkpoint.
"""

from __future__ import annotations

from typing import Any


def resumed_from(current: Any) -> str | None:
    """``FLOW/RUN/STEP/TASK/ATTEMPT`` of the attempt whose checkpoint was loaded before the step began.

    It is an earlier attempt of the same task, or with ``load_policy="eager"`` of any run's.
    """
    checkpoint = current.get("checkpoint")
    if checkpoint is None or not checkpoint.is_loaded:
        return None
    return f"{checkpoint.info.pathspec}/{checkpoint.info.attempt}"
