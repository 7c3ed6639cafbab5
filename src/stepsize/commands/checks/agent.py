"""The agent of this destination: whether one runs, what it has lost, what waits on disk.

What comes in: settings. What goes out: findings. Asks the agent that lives, starts none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize import discovery
from stepsize.commands.checks.finding import Finding, Level
from stepsize.errors import StepsizeError
from stepsize.instrumentation import client, wire
from stepsize.instrumentation.agent.spools import directory_of, pending_points

if TYPE_CHECKING:
    from stepsize.settings import Settings

_PART = "agent"
_PATIENCE_S = 5.0


def check_agent(settings: Settings) -> list[Finding]:
    """What the agent says, and what earlier ones left."""
    found = [*_living(settings)]
    waiting = pending_points(settings)
    if waiting:
        said = f"{waiting} points wait in {directory_of(settings)} for their destination"
        found.append(Finding(_PART, Level.NOTE, said, "they are sent with the next task or report, once it answers"))
    return found


def _living(settings: Settings) -> list[Finding]:
    try:
        log = discovery.agent_socket(settings).with_suffix(".log")
        status = client.ask(settings, wire.Status(), _PATIENCE_S)
    except (OSError, StepsizeError) as error:
        return [
            Finding(_PART, Level.FAULT, f"the agent does not answer: {error}", "end it; the next task starts another")
        ]
    if not isinstance(status, wire.AgentStatus):
        return [Finding(_PART, Level.WELL, "none runs now; the next task starts one")]
    found = [
        Finding(
            _PART, Level.WELL, f"pid {status.pid} watches {status.tasks} tasks, {status.unsent_points} points unsent"
        )
    ]
    if status.dropped_points:
        why = ", ".join(f"{count} {reason}" for reason, count in status.losses.items())
        found.append(Finding(_PART, Level.FAULT, f"{status.dropped_points} points were lost ({why})", f"see {log}"))
    return found
