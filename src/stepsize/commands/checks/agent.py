"""The agent of this destination: whether one runs, what it has lost, what waits on disk.

What comes in: settings, environment variables. What goes out: findings. Asks the agent that lives, starts none.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from stepsize import discovery
from stepsize.commands.checks.finding import Finding, Level
from stepsize.errors import StepsizeError
from stepsize.instrumentation import client, wire
from stepsize.instrumentation.agent.spools import fault, waiting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepsize.instrumentation.agent.spools import Waiting
    from stepsize.settings import Settings

_PART = "agent"
_PATIENCE_S = 5.0


def check_agent(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """What the agent says, and what earlier ones left, for this destination and for others."""
    now_unix_s = time.time()
    left = (_waiting(one, now_unix_s) for one in waiting(settings, environ))
    return [*_living(settings), *_refused(settings), *left]


def _refused(settings: Settings) -> list[Finding]:
    why = fault(settings)
    if why is None:
        return []
    remedy = "set STEPSIZE_SPOOL to a directory of your own; until then they wait in memory alone"
    return [Finding(_PART, Level.FAULT, f"what no collector takes cannot be kept on disk: {why}", remedy)]


def _waiting(spool: Waiting, now_unix_s: float) -> Finding:
    if not spool.requests:
        said = f"{spool.damaged} damaged files lie in {spool.directory}: what was in them is lost"
        return Finding(_PART, Level.NOTE, said, "look at the disk, then delete them")
    age = _age(now_unix_s - (spool.oldest_unix_s or now_unix_s))
    what = f"{spool.points} points ({_size(spool.size_bytes)}, the oldest of {age} ago) wait in {spool.directory}"
    said = f"{what} for {spool.waits_for}"
    if spool.barred:
        return Finding(
            _PART, Level.FAULT, said, "correct OTEL_EXPORTER_OTLP_HEADERS; the next task or report sends them"
        )
    if spool.is_ours:
        return Finding(_PART, Level.NOTE, said, "they are sent with the next task or report, once it answers")
    where = f", with its headers {', '.join(spool.headers)}" if spool.headers else ""
    remedy = f"run `stepsize report` with the settings of that destination{where}; what nobody needs can be deleted"
    return Finding(_PART, Level.NOTE, said, remedy)


def _age(seconds: float) -> str:
    for unit, length_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.1f} MiB" if size_bytes >= 1 << 20 else f"{size_bytes / 2**10:.0f} KiB"


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
